from enqueuer.log.history import Story, arrivals, stories

LOG = """\
10:00:00.100 2 ENQUEUER running: recovery is complete, drops are accepted
10:00:01.250 2 QUEUE([17]) from <ann@example.org>, 117 bytes, a b, c.eml
10:00:01.500 2 QUEUE([17]) deferred: the filter said: later
23:59:59.999 2 QUEUE([18]) discarded: nobody wants it
10:00:02.000 2 QUEUE([18]) from <>, 9 bytes, x.eml
10:00:03.000 2 QUEUE([17]) enqueued: OUT
10:00:04.000 2 QUEUE([19]) quarantined: a rule: "from <x>, 1 bytes, y"
no line at all
""".splitlines(keepends=True)


def test_each_message_has_its_story() -> None:
    """In whatever order its lines stand; what is between is no disposition."""
    assert stories(LOG) == {
        17: Story("a b, c.eml", 36001.25, "enqueued", "OUT", 36003.0),
        18: Story("x.eml", 36002.0, "discarded", "nobody wants it", 86399.999),
        19: Story("", None, "quarantined", 'a rule: "from <x>, 1 bytes, y"', 36004.0),
    }


def test_arrivals_are_told() -> None:
    """Those lines only that say that a message was received."""
    assert list(arrivals(LOG)) == [36001.25, 36002.0]
