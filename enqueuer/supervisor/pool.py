"""Decide how many processors are started, and which of them leave. Pure.

Policy only: this module forks, kills and waits for nothing.
"""

from collections.abc import Sequence

import msgspec

__all__ = ["PoolPlan", "Slot", "plan"]


class Slot(msgspec.Struct, frozen=True):
    """One processor as the supervisor sees it."""

    number: int
    leaving: bool = False
    busy: bool = False
    large: bool = False
    """It works on a large message."""


class PoolPlan(msgspec.Struct, frozen=True):
    """What to do so that the pool has its size."""

    start: int = 0
    leave: tuple[int, ...] = ()


def plan(configured: int, slots: Sequence[Slot]) -> PoolPlan:
    """Compare the existing processors with the configured number. Those that are leaving do not count.

    Processors with large messages leave first, then the other busy ones, then the idle ones. So those stay that are free
    soonest, and small messages go on. Among equals the one with the highest number leaves.
    """
    staying = [slot for slot in slots if not slot.leaving]
    surplus = len(staying) - configured
    if surplus <= 0:
        return PoolPlan(start=-surplus)
    first_to_go = sorted(staying, key=lambda slot: (slot.busy and slot.large, slot.busy, slot.number), reverse=True)
    return PoolPlan(leave=tuple(slot.number for slot in first_to_go[:surplus]))
