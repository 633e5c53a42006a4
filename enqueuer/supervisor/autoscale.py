"""Decide how many processors there should be under `processors = "auto"`, and why.

Policy only, as in pool.py: this module reads no clock, forks nothing and logs nothing. Samples and times are arguments.
The count grows while messages wait for a processor and for nothing else. It shrinks when fewer processors were enough
for a while. It grows quickly and shrinks slowly. After a shrink that came too early it shrinks even more slowly, so a
steady load does not make the count swing. Pure.
"""

import math

import msgspec

__all__ = ["LOOK", "Autoscale", "LoadSample", "Room"]

LOOK = 0.5
"""Seconds between two samples."""
STEADY = 2
"""Samples in a row that must ask for more processors: by then the last ones forked have begun, and a short peak is over."""
CPU_LIMIT = 0.85
"""Share of all cores in use. Above it, one more processor would only take CPU time from the others."""
IDLE_SHARE = 8
"""At most one processor in this many may be idle for the count to grow: more idle ones show that processors are not the bottleneck."""
SPARE = 1.25
"""Processors that stay, as a multiple of the most that were busy: the next burst is rarely the same."""
REGRET = 20
"""A shrink came too early if the count grows again within this many times the patience."""
MOST_PATIENCE = 20
"""The patience grows to at most this many times auto_idle: 10 minutes where auto_idle is 30 s."""


class Room(msgspec.Struct, frozen=True):
    """The filter with the most free slots, among those that rules ask. A filter that is not ready has 0 free slots."""

    filter: str
    free: int


class LoadSample(msgspec.Struct, frozen=True):
    """One sample of the engine's load."""

    now: float
    """Seconds of a monotonic clock."""
    waiting: int
    """Messages that wait for a processor and for nothing else."""
    busy: int
    """Processors that work on a message, without those that are leaving."""
    idle: int
    """Processors that could take one of the waiting messages. Where only large ones wait: what the large lane has left."""
    cpu: float | None = None
    """Share of all cores in use since the last sample; None: unknown."""
    room: Room | None = None
    """None: the rules ask no filter."""


class Autoscale:
    """The number of processors, adjusted from sample to sample."""

    def __init__(self, count: int, low: int, high: int, idle: float) -> None:
        """Begin with `count`, limited to low ... high. `idle`: seconds for which fewer processors must have been enough before a shrink."""
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
        """Take new settings. The next sample puts the count within them. The learned patience is kept unless `idle` changes."""
        if idle != self._idle:
            self._patience = idle
        self._low = low
        self._high = high
        self._idle = idle

    def look(self, seen: LoadSample) -> str:
        """Set `count`; return the reason of the change, or "" if it did not change."""
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
        """Return whether messages wait for processors and for nothing else."""
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
    return "the rules ask no filter" if room is None else f'filter "{room.filter}" has {room.free} free slots'
