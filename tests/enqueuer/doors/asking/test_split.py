"""Several outcomes of one message: what one answer can say, and what the queue gets."""

from typing import Any

import pytest

from enqueuer.doors.asking.decision import Action, DoorDecision, PartDecision
from enqueuer.doors.asking.split import most_severe, split
from enqueuer.log.facts import Verdicts

WORDS: dict[str, Action] = {
    "enqueued": "accept",
    "rejected": "reject",
    "deferred": "tempfail",
    "discarded": "discard",
    "quarantined": "quarantine",
    "on_hold": "quarantine",
}


def part(disposition: str, *recipients: bytes, **more: Any) -> DoorDecision:
    return DoorDecision(
        id=7,
        action=WORDS[disposition],
        disposition=disposition,
        verdicts=Verdicts({}, {}),
        parts=(PartDecision(recipients, disposition, f"text of {disposition}"),),
        **more,
    )


@pytest.mark.parametrize(
    ("parts", "action", "removed", "handed"),
    [
        ((part("rejected", b"a"), part("enqueued", b"b", b"c")), "accept", (b"a",), (b"a",)),
        ((part("enqueued", b"b"), part("discarded", b"a")), "accept", (b"a",), ()),
        ((part("enqueued", b"b"), part("quarantined", b"a"), part("on_hold", b"c")), "accept", (b"a", b"c"), (b"a", b"c")),
        ((part("enqueued", b"b"), part("deferred", b"a")), "tempfail", (), ()),
        ((part("rejected", b"b"), part("discarded", b"a")), "reject", (), ()),
        ((part("rejected", b"b"), part("quarantined", b"a"), part("discarded", b"c")), "quarantine", (b"b", b"c"), (b"b",)),
        ((part("enqueued", b"a", fields=(b"X: 1",)), part("enqueued", b"b", fields=(b"X: 1",))), "accept", (), ()),
        ((part("enqueued", b"a"), part("enqueued", b"b", fields=(b"X: 1",))), "accept", (b"b",), (b"b",)),
        ((part("enqueued", b"a"), part("enqueued", b"b", changes=((b"Subject", b"x"),))), "accept", (b"b",), (b"b",)),
        ((part("enqueued", b"a"), part("enqueued", b"b", recipients=(b"n",), removed=(b"b",))), "accept", (b"b",), ()),
    ],
    ids=["refused", "discarded", "held", "deferred", "all refused", "none accepted", "same", "other fields", "other subject", "redirected"],
)
def test_one_answer_for_all(parts: tuple[DoorDecision, ...], action: str, removed: tuple[bytes, ...], handed: tuple[bytes, ...]) -> None:
    """The order of the parts makes no difference to the answer."""
    for order in (parts, parts[::-1]):
        found = split(order)
        if [each.action for each in parts].count("accept") < 2:
            assert (found.decision.action, set(found.decision.removed), set(found.handed)) == (action, set(removed), set(handed))
    found = split(parts)
    assert (found.decision.action, found.decision.removed, found.handed) == (action, removed, handed)
    assert {each.recipients for each in found.decision.parts} == {each.parts[0].recipients for each in parts}


def test_a_new_recipient_who_stays_is_not_added() -> None:
    """It would get the message twice."""
    found = split((part("enqueued", b"a"), part("enqueued", b"b", recipients=(b"a", b"n"), removed=(b"b",)))).decision
    assert found.recipients == (b"n",)
    assert split((part("enqueued", b"a"), part("rejected", b"b"))).decision.reason == "the queue gets a copy for 1 recipient"


def test_the_most_severe_outcome() -> None:
    """A client that decides by itself gets all of them."""
    order = ["deferred", "rejected", "quarantined", "on_hold", "discarded", "enqueued"]
    for at in range(len(order)):
        found = most_severe([part(each, each.encode()) for each in reversed(order[at:])])
        assert found.disposition == order[at]
        assert [each.disposition for each in found.parts] == order[at:][::-1]
