"""Actions of rules at doors that only ask."""

from pathlib import Path

import pytest

from enqueuer.policy.atdoors import AT_DOORS, expect_answers
from enqueuer.policy.rules import Rule
from enqueuer.policy.vocabulary import ACTIONS
from tests.guards import ROOT

MIRROR = Rule(name="copy", actions=(("Mirror To", "a@a.example"),))


def test_an_action_that_needs_the_message_is_refused_if_there_is_a_door() -> None:
    with pytest.raises(ValueError, match='rule "copy": action "Mirror To" is impossible for mail of door "postfix"'):
        expect_answers([MIRROR], ["postfix"])
    expect_answers([MIRROR], [])
    expect_answers([Rule(name="copy", priority=0, actions=MIRROR.actions)], ["postfix"])


def test_the_page_has_each_action_of_the_table() -> None:
    page = Path(ROOT / "docs/doors.md").read_text()
    assert AT_DOORS.keys() <= ACTIONS.keys()
    for action in AT_DOORS:
        assert f"| `{action}` |" in page
