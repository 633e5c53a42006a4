"""Actions of rules at doors that only ask."""

from pathlib import Path

import pytest

from enqueuer.policy.atdoors import AT_DOORS, NOT_AT_DOORS, expect_answers
from enqueuer.policy.rules import Rule
from enqueuer.policy.vocabulary import ACTIONS
from tests.guards import ROOT

FORWARD = Rule(name="copy", actions=(("Forward To", "a@a.example"),))


def test_an_action_that_needs_the_message_is_refused_if_there_is_a_door() -> None:
    with pytest.raises(
        ValueError, match='rule "copy": action "Forward to" is impossible for mail of door "postfix": it makes a new message'
    ):
        expect_answers([FORWARD], ["postfix"])
    expect_answers([FORWARD], [])
    expect_answers([Rule(name="copy", priority=0, actions=FORWARD.actions)], ["postfix"])
    expect_answers([Rule(name="all", actions=tuple((name,) for name in (*AT_DOORS, "Mirror To")))], ["postfix"])


def test_each_action_has_its_place() -> None:
    assert AT_DOORS.keys() | NOT_AT_DOORS.keys() == ACTIONS.keys()
    assert not AT_DOORS.keys() & NOT_AT_DOORS.keys()


def test_the_page_has_each_action_of_the_table() -> None:
    """With the same words."""
    page = Path(ROOT / "docs/doors.md").read_text()
    for action, text in AT_DOORS.items():
        assert f"| `{action}` |" in page
        assert f"| {text} |" in page
    for action in NOT_AT_DOORS:
        assert f"| `{action}` |" in page
