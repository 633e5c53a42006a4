"""Where a released message goes on: after a filter, after another action, or from the start."""

import pytest

from enqueuer.manager.marks import goes_on
from enqueuer.policy.outcome import mark

AGAIN = None, "it is scanned again"


@pytest.mark.parametrize(
    ("why", "expected"),
    [
        ({"rule": "r", "filter": "F"}, (mark("r", "F"), 'goes on after filter "F" in rule "r"')),
        ({"rule": "r", "action": ["Quarantine"]}, (mark("r", "Quarantine"), 'goes on after "Quarantine" in rule "r"')),
        (
            {"rule": "r", "action": ["Hold for", "2h"], "filter": None},
            (mark("r", "Hold for", "2h"), 'goes on after "Hold for" in rule "r"'),
        ),
        ({"rule": "r", "filter": "F", "action": []}, (mark("r", "F"), 'goes on after filter "F" in rule "r"')),
        ({"rule": "r", "filter": None}, AGAIN),
        ({"filter": "F"}, AGAIN),
        ({"rule": "r", "action": ["Hold for", 2]}, AGAIN),
        ({"rule": "r", "action": "Hold"}, AGAIN),
        ({"rule": "r", "action": ["x"] * 1000}, AGAIN),
        ({"rule": "\udc80", "filter": "F"}, AGAIN),
        ({"rule": "r", "action": ["\udc80"]}, AGAIN),
        ({}, AGAIN),
    ],
)
def test_the_reason_says_where(why: dict[str, object], expected: tuple[bytes | None, str]) -> None:
    """A .why may have been changed by hand."""
    assert goes_on(why) == expected
