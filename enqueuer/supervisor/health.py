"""Whether the queue makes progress or has nothing to do. Pure: two looks at the board are compared. A process that exists is not health."""

from typing import NamedTuple

__all__ = ["HealthSample", "trouble"]


class HealthSample(NamedTuple):
    """What the board and the supervisor say at one instant."""

    generation: int
    """Of the queue manager."""
    turns: int
    """Of the queue manager's loop."""
    recovering: int
    """Messages that a recovery has come by."""
    filter_turns: int
    """Of the multiplexer's loop: it alone ends a scan that hangs."""
    dispatches: int
    ended: int
    """Messages that have left."""
    waiting: int
    settling: int
    """Outcomes that wait for their sync and commit."""
    busy: int
    """Processors that have a message. How long a filter may take is that filter's time-out, not ours."""
    draining: bool


def trouble(before: HealthSample, now: HealthSample) -> str:
    """What stood still between two looks; "" = the engine is well."""
    recovers = before.generation == now.generation and before.recovering != now.recovering
    if before.turns == now.turns and not recovers:
        return "the queue manager does not answer"
    if before.filter_turns == now.filter_turns:
        return "the filter multiplexer does not answer"
    if before.settling and now.settling and before.ended == now.ended:
        return f"{now.settling} decided messages wait for the disk"
    stands = before.dispatches == now.dispatches and not (before.busy or now.busy or now.draining)
    if before.waiting and now.waiting and stands:
        return f"{now.waiting} messages wait, and no processor gets one"
    return ""
