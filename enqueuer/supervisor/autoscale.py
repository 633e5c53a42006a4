"""`processors = "auto"`: how many processors there should be now, and why. Pure: what was seen and the time are arguments.

Policy only, as in pool.py: nothing here looks, forks or logs. It grows while messages wait for nothing but a processor, and
shrinks when fewer were enough for a while. Growing is quick, shrinking is slow, and slower still where it was regretted:
so no load makes the count swing for long.
"""

import math

import msgspec

__all__ = ["LOOK", "Autoscale", "LoadSample", "Room"]

LOOK = 0.5
"""Seconds between two looks."""
STEADY = 2
"""Looks in a row that must ask for more: those forked for the last growth have begun by then, and a blink is no load."""
CPU_LIMIT = 0.85
"""Share of all cores in use above which another processor would only take turns with the others."""
IDLE_SHARE = 8
"""One in so many may be idle while more are wanted: if more are idle, processors are not what messages wait for."""
SPARE = 1.25
"""Times as many as were ever busy stay: the next burst is rarely the same."""
REGRET = 20
"""A growth within so many times the patience after a shrink says that the shrink came too early; a later one that it was right."""
MOST_PATIENCE = 20
"""Times auto_idle that patience grows to at the most: 10 minutes where it is 30 s."""


class Room(msgspec.Struct, frozen=True):
    """Of the filters that rules ask, the one with the most free slots (0 in one that is not ready)."""

    filter: str
    free: int


class LoadSample(msgspec.Struct, frozen=True):
    """The engine at one look."""

    now: float
    """Seconds of a monotonic clock."""
    waiting: int
    """Messages that wait for a processor and for nothing else."""
    busy: int
    """Processors that have a message; of those that are to stay."""
    idle: int
    """Processors that could take one of those that wait: where only large ones do, what their lane has left."""
    cpu: float | None = None
    """Share of all cores in use since the last look; None: not known."""
    room: Room | None = None
    """None: no filter is asked."""


class Autoscale:
    """The count, from look to look."""

    def __init__(self, count: int, low: int, high: int, idle: float) -> None:
        """Begin with `count`, within low and high; `idle` is the least time in seconds for which fewer must have been enough."""
        self._low = low
        self._high = high
        self._idle = idle
        self._patience = idle
        self.count = min(max(count, low), high)
        self._wished = 0
        self._calm_since: float | None = None
        self._peak = 0
        self._shrunk_at: float | None = None

    def configure(self, low: int, high: int, idle: float) -> None:
        """Take other settings; the count is put within them at the next look. What was learned holds as long as `idle` does."""
        if idle != self._idle:
            self._patience = idle
        self._low = low
        self._high = high
        self._idle = idle

    def look(self, seen: LoadSample) -> str:
        """Set `count`; return why it changed, "" where it did not."""
        return self._keep_within() or self._grow(seen) or self._shrink(seen)

    def _keep_within(self) -> str:
        before = self.count
        self.count = min(max(self.count, self._low), self._high)
        return "" if before == self.count else f"auto_min is {self._low}, auto_max {self._high}"

    def _grow(self, seen: LoadSample) -> str:
        able = seen.cpu is not None and seen.cpu < CPU_LIMIT
        self._wished = self._wished + 1 if able and self._short(seen) else 0
        step = min(max(1, self.count // 2), seen.waiting, self._high - self.count)
        if seen.room is not None:
            step = min(step, seen.room.free)
        if self._wished < STEADY or step <= 0:
            return ""
        self._wished = 0
        if self._shrunk_at is not None:
            regretted = seen.now - self._shrunk_at < REGRET * self._patience
            self._patience = min(self._patience * 2, self._idle * MOST_PATIENCE) if regretted else self._idle
        self._shrunk_at = self._calm_since = None
        self.count += step
        return f"{_messages(seen.waiting)}, {_free(seen.room)}, CPU {100 * (seen.cpu or 0):.0f} %"

    def _short(self, seen: LoadSample) -> bool:
        """Whether processors, and nothing else, are what messages wait for."""
        return seen.waiting > 0 and seen.idle * IDLE_SHARE <= self.count

    def _shrink(self, seen: LoadSample) -> str:
        if self._short(seen) or self._enough(seen.busy) >= self.count:
            self._calm_since = None
            return ""
        if self._calm_since is None:
            self._calm_since = seen.now
            self._peak = 0
        self._peak = max(self._peak, seen.busy)
        if seen.now - self._calm_since < self._patience:
            return ""
        why = f"at most {self._peak} busy in the last {self._patience:.0f} s"
        self.count = self._enough(self._peak)
        self._shrunk_at = seen.now
        self._calm_since = None
        return why

    def _enough(self, busy: int) -> int:
        return max(self._low, math.ceil(busy * SPARE))


def _messages(count: int) -> str:
    return "1 message waits" if count == 1 else f"{count} messages wait"


def _free(room: Room | None) -> str:
    return "no filter is asked" if room is None else f'filter "{room.filter}" has {room.free} free slots'
