"""The warnings about rules: only what is certain."""

import msgspec
import pytest

from enqueuer.policy import rulelint
from enqueuer.policy.tree import ALWAYS, Node
from enqueuer.policy.when import parse


class Given(msgspec.Struct, frozen=True):
    name: str
    sentence: str = ""
    actions: tuple[tuple[str, ...], ...] = (("Discard",),)
    priority: int = 5
    scope: str = "message"
    mode: str = "active"

    @property
    def node(self) -> Node:
        return parse(self.sentence) if self.sentence else ALWAYS


ASK = (("ExternalFilter", "A"),)


def warnings(*rules: Given) -> list[str]:
    return rulelint.warnings(rules)


@pytest.mark.parametrize("end", ["Stop Processing", "Discard", "Reject with", "Quarantine"])
def test_an_action_after_the_end(end: str) -> None:
    assert warnings(Given("R", "human", ((end,), ("Write To Log", "x")))) == [
        f'rule "R": action "Write To Log" is never reached: "{end}" ends the rule; write it before, or remove it'
    ]


@pytest.mark.parametrize("hold", [("Hold for", "2h"), ("Hold until", "20:00")])
def test_a_hold_does_not_hide_what_is_behind_it(hold: tuple[str, str]) -> None:
    assert not warnings(Given("R", "", (hold, ("Write To Log", "x"))), Given("low", "human", priority=1))


def test_what_ends_a_message_after_its_hold_hides_the_rest() -> None:
    found = warnings(Given("R", "", (("Hold for", "2h"), ("Discard",), ("Write To Log", "x"))), Given("low", "human", priority=1))

    assert [each.partition(" before")[0] for each in found] == [
        'rule "R": action "Write To Log" is never reached: "Discard" ends the rule; write it',
        'rule "low": it is never reached: rule "R"',
    ]


@pytest.mark.parametrize(
    ("sentence", "item", "form"),
    [
        ('day is "Samstag"', "Samstag", "Sat"),
        ('day in "Sat, Sonntag"', "Sonntag", "Sat"),
        ('human or not time_of_day is "9:00"', "9:00", "09:00"),
        ('date is "2026-12-24"', "2026-12-24", "04 Dec 2026"),
        ('date in "24 Dec 2026,1 Jan 2027"', "1 Jan 2027", "04 Dec 2026"),
    ],
)
def test_a_day_or_time_in_a_form_that_the_clock_never_has(sentence: str, item: str, form: str) -> None:
    (found,) = warnings(Given("R", sentence))

    assert found.startswith('rule "R": no ')
    assert found.endswith(f' has the form "{item}", so it never fits: write for example "{form}"')


@pytest.mark.parametrize(
    "sentence",
    ['day in "sat,Sunday,S*,#days"', 'time_of_day in "09:00,09:00:30,9*"', 'date in "24 dec 2026,01 Jan 2027 18:00,* Dec *"', "day > Fri"],
)
def test_a_day_or_time_that_fits_is_fine(sentence: str) -> None:
    assert not warnings(Given("R", sentence.replace("> Fri", '> "Fri"')))


def test_an_end_after_other_actions_is_fine() -> None:
    assert not warnings(Given("R", "human", (("Add Header", "X: 1"), ("Mirror To", "a@b"), ("Discard",))))


@pytest.mark.parametrize("end", ["Stop Processing", "Discard", "Reject with", "Quarantine"])
def test_a_rule_behind_one_that_always_ends(end: str) -> None:
    low = Given("low", "human", priority=1)

    assert warnings(low, Given("all", "", ((end,),))) == [
        f'rule "low": it is never reached: rule "all" before it ends all mail with "{end}"; give it a higher priority'
    ]


def test_a_rule_behind_one_with_wider_conditions() -> None:
    narrow = Given("narrow", "size < 10K and human and ambiguous", priority=1)

    assert warnings(Given("wide", "size < 10K and ambiguous"), narrow) == [
        'rule "narrow": it is never reached: rule "wide" before it ends all mail with size is less than 10K and ambiguous with "Discard"; '
        "give it a higher priority"
    ]


@pytest.mark.parametrize(
    "first",
    [
        Given("first", "", ASK),
        Given("first", "", mode="shadow"),
        Given("first", "", priority=0),
        Given("first", "human or size < 10K"),
        Given("first", 'header("X") is "y"'),
        Given("first", "", priority=1),
    ],
)
def test_a_rule_that_may_be_reached(first: Given) -> None:
    """Between both rules a field may be added, so that the later one holds."""
    assert not warnings(first, Given("R", 'header("X") is "y" and human', priority=2))


@pytest.mark.parametrize(
    "sentence",
    [
        "size > 10K and size < 10K",
        "size > 10 and size < 11",
        "size is 5 and size is 6",
        "size is 5 and size > 5",
        "size is 5 and size is not 5",
        "size < 1K and human and size > 1K",
        "human and not human",
        'return_path is "a" and return_path is "b"',
        'source is "trusted" and source is not "trusted"',
        'client is in "10.0.0.0/8" and client is not in "10.0.0.0/8"',
        "time_of_day > 22:00 and time_of_day < 06:00",
        'day > "Fri" and day < "Mon"',
        'date > "24 Dec 2026" and date < "1 Dec 2026"',
        "attempts > 1 and attempts < 2",
    ],
)
def test_conditions_that_never_hold_together(sentence: str) -> None:
    found = warnings(Given("R", sentence))

    assert len(found) == 1
    assert found[0].startswith('rule "R": it never applies: `')
    assert ("write `or`" in found[0]) is sentence.startswith(("time", "day"))


@pytest.mark.parametrize(
    "sentence",
    [
        "size > 10 and size < 12",
        "size > 10K or size < 10K",
        'any recipient is "a" and any recipient is "b"',
        'any recipient is "a" and any recipient is not "a"',
        'to is "a" and to is not "a"',
        'from is "a" and from is "b"',
        'return_path is "a*" and return_path is "*b"',
        "time_of_day > 22:00 or time_of_day < 06:00",
        "time_of_day > 08:00 and time_of_day < 18:00",
        'header("A") is "x" and not header("B") is "x"',
        'day is "Mon" and day is "M*"',
    ],
)
def test_conditions_that_may_hold_together(sentence: str) -> None:
    assert not warnings(Given("R", sentence))


def test_a_filter_that_no_earlier_rule_asks() -> None:
    score = Given("score", 'score("A") > 5')

    assert warnings(score) == [
        'rule "score": no rule before it asks filter "A", so `score("A") is greater than 5` never holds; give that rule a higher priority '
        "than this one"
    ]
    assert warnings(score, Given("ask", "", ASK))
    assert not warnings(Given("ask", "", ASK, 6), score)
    assert not warnings(Given("ask", "human", ASK), score)
    assert 'did you mean "Spam"?' in warnings(Given("ask", "", (("ExternalFilter", "Spam"),), 6), Given("R", 'score("Span") > 5'))[0]


def test_a_rule_that_is_off_is_not_looked_at() -> None:
    assert not warnings(Given("R", "human and not human", (("Discard",), ("Discard",)), priority=0))
