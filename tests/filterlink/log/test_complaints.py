"""Demands on repeated complaints: the log gets a bounded number of lines, whatever the names in them."""

import logging
import time

import pytest

from filterlink.log.complaints import MAX_KINDS, Complaints


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_lasting_trouble_is_one_line_a_minute(caplog: pytest.LogCaptureFixture, clock: list[float]) -> None:
    """Each by itself; the next line says how often it was seen meanwhile."""
    complaints = Complaints(logging.getLogger("X"))
    for _ in range(5):
        complaints.say("disk", "full")
        complaints.say("files", "none")
    clock[0] += 60
    complaints.say("disk", "full")

    assert caplog.messages == ["full", "none", "full (4 more of this in the last minute)"]


def test_a_burst_has_more_lines(caplog: pytest.LogCaptureFixture, clock: list[float]) -> None:
    complaints = Complaints(logging.getLogger("X"), burst=3)
    for n in range(5):
        complaints.say("kind", f"message {n}")
    clock[0] += 60
    complaints.say("kind", "message 5")

    assert caplog.messages == ["message 0", "message 1", "message 2", "message 5 (2 more of this in the last minute)"]


def test_names_from_outside_fill_neither_log_nor_memory(caplog: pytest.LogCaptureFixture, clock: list[float]) -> None:
    """50,000 kinds in a minute, and as many in the next one."""
    complaints = Complaints(logging.getLogger("X"))
    for minute in range(2):
        for n in range(50_000):
            complaints.say(f"{minute} {n}", "no")
        clock[0] += 61

    assert len(caplog.messages) <= 2 * (MAX_KINDS + 3)
    assert len(complaints._kinds) <= MAX_KINDS + 2
