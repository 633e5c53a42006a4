"""One deadline of a session that is cheap to move: a timer that fires too early is set again."""

import time
from collections.abc import Callable

from filterlink.wire.loop import Loop, Timer

__all__ = ["Watchdog"]


class Watchdog:
    """Calls `late()` when the client has not gone on in time."""

    def __init__(self, loop: Loop, late: Callable[[], None]) -> None:
        self._loop = loop
        self._late = late
        self._due = 0.0
        self._limit = 0.0
        self._timer: Timer | None = None
        self.expected = 0.0
        """The seconds of the last expect()."""

    def expect(self, seconds: float, in_all: float = 0.0) -> None:
        """Give the client this many seconds from now. `in_all`: a limit that stays until a call sets another one, or until clear()."""
        now = time.monotonic()
        if in_all:
            self._limit = now + in_all
        self.expected = seconds
        self._due = min(now + seconds, self._limit or now + seconds)
        if self._timer is None or self._timer.action is None or self._timer.when > self._due:
            self._set()

    def clear(self) -> None:
        """Expect nothing of the client."""
        self._limit = 0.0
        self._due = 0.0

    def stop(self) -> None:
        self.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _set(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.at(self._due, self._fire)

    def _fire(self) -> None:
        if not self._due:
            return
        if time.monotonic() < self._due:
            self._set()
        else:
            self._late()
