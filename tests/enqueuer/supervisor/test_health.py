"""Demands on the watchdog's judgement: it pings while the queue makes progress or has nothing to do, and only then."""

from typing import Any

import pytest

from enqueuer.supervisor.health import HealthSample, trouble

IDLE = HealthSample(3, 100, 0, 50, 7, 7, waiting=0, settling=0, busy=0, draining=False)
TURNED = IDLE._replace(turns=101, filter_turns=51)


def test_an_idle_engine_is_well() -> None:
    assert trouble(IDLE, TURNED) == ""


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        ({}, {"turns": 100}, "queue manager"),
        ({"waiting": 0}, {"turns": 100, "waiting": 0}, "queue manager"),
        ({}, {"filter_turns": 50}, "multiplexer"),
        ({"settling": 3}, {"settling": 5}, "wait for the disk"),
        ({"waiting": 1}, {"waiting": 2}, "no processor takes one"),
        ({"generation": 2}, {"turns": 100, "recovering": 900}, "queue manager"),
    ],
)
def test_what_stands_still_is_named(before: dict[str, Any], now: dict[str, Any], says: str) -> None:
    """Also a queue manager that hangs in an empty queue: it would not see mail that comes; and one that dies in each recovery."""
    assert says in trouble(IDLE._replace(**before), TURNED._replace(**now))


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"waiting": 5}, {"waiting": 9, "dispatches": 8}),
        ({"waiting": 5, "busy": 4}, {"waiting": 5, "busy": 4}),
        ({"settling": 3}, {"settling": 3, "ended": 8}),
        ({"settling": 3}, {"settling": 0}),
        ({"waiting": 0}, {"waiting": 5}),
        ({"waiting": 5}, {"waiting": 5, "draining": True}),
        ({}, {"turns": 100, "recovering": 900}),
    ],
)
def test_progress_or_a_slow_filter_is_no_trouble(before: dict[str, Any], now: dict[str, Any]) -> None:
    assert trouble(IDLE._replace(**before), TURNED._replace(**now)) == ""
