"""Decide whether the queue makes progress or has nothing to do: compare two samples of the scoreboard. Pure.

That a process exists does not prove that it works.
"""

from typing import NamedTuple

__all__ = ["HealthSample", "trouble"]


class HealthSample(NamedTuple):
    """What the scoreboard and the supervisor show at one instant."""

    generation: int
    """The queue manager's generation."""
    turns: int
    """Turns of the queue manager's loop."""
    recovering: int
    """Messages that a recovery has examined."""
    filter_turns: int
    """Turns of the multiplexer's loop: only the multiplexer ends a scan that hangs."""
    dispatches: int
    ended: int
    """Messages that were finalized."""
    waiting: int
    settling: int
    """Outcomes that wait for their sync and commit."""
    busy: int
    """Processors that work on a message. The filter's own time-out limits how long it may take."""
    draining: bool


def trouble(before: HealthSample, now: HealthSample) -> str:
    """Return what made no progress between two samples; "" = the engine is well."""
    recovers = before.generation == now.generation and before.recovering != now.recovering
    if before.turns == now.turns and not recovers:
        return "the queue manager does not answer"
    if before.filter_turns == now.filter_turns:
        return "the filter multiplexer does not answer"
    if before.settling and now.settling and before.ended == now.ended:
        return f"{now.settling} messages with an outcome wait for the disk"
    stands = before.dispatches == now.dispatches and not (before.busy or now.busy or now.draining)
    if before.waiting and now.waiting and stands:
        return f"{now.waiting} messages wait, and no processor takes one"
    return ""
