"""Demands on the table of states and events."""

import re
from typing import get_args

import pytest

from enqueuer.manager.states import COUNTED, TRANSITIONS, Event, IllegalEvent, State, after
from tests.guards import ROOT


def _shown() -> dict[str, dict[str, str]]:
    """The table of DESIGN.md: a row is a state, a column an event."""
    head = "| state | "
    rows = list[list[str]]()
    lines = (ROOT / "DESIGN.md").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(head))
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([re.sub(r"[`*]", "", cell).strip() for cell in line.strip("|").split("|")])
    (_, *events), _, *states = rows
    return {state: {event: then for event, then in zip(events, thens, strict=True) if then} for state, *thens in states}


def test_the_design_shows_this_table() -> None:
    assert _shown() == TRANSITIONS


def test_the_table_knows_each_state_and_each_event() -> None:
    """Each state but the first can be reached, and each but the last can be left."""
    assert set(TRANSITIONS) == set(get_args(State))
    assert {event for events in TRANSITIONS.values() for event in events} == set(get_args(Event))
    assert {then for events in TRANSITIONS.values() for then in events.values()} == set(get_args(State)) - {"new"}
    assert [state for state, events in TRANSITIONS.items() if not events] == ["gone"]
    assert set(COUNTED) == set(get_args(State)) - {"new", "gone"}


def test_an_event_that_is_not_allowed_names_message_state_and_event() -> None:
    """No handler of the queue manager takes it for an error of the disk or of a file of others."""
    with pytest.raises(IllegalEvent, match="message 7 is settling: the event wait is not allowed in this state") as raised:
        after("settling", "wait", 7)
    assert not isinstance(raised.value, OSError | ValueError | RecursionError)
