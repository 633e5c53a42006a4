"""Run one epoll loop with timers: each long-lived process of the engine has one. No threads, no callbacks from elsewhere."""

import heapq
import itertools
import select
import time
from collections.abc import Callable

__all__ = ["READ", "STILL", "WRITE", "Alarm", "Loop", "Timer"]

READ = select.EPOLLIN
WRITE = select.EPOLLOUT


MANY = 1000
"""Timers below which the cancelled ones are not removed before their time."""
STILL = 1.0
"""Seconds by which a turn may be late before the loop counts as interrupted: its process was frozen, stopped or suspended."""


class Timer:
    """A call that is due at `when` (seconds of time.monotonic)."""

    __slots__ = ("action", "when")

    def __init__(self, when: float, action: Callable[[], None]) -> None:
        self.when = when
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Loop:
    """Call back when a descriptor is ready or a time has come, until stop() is called."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._watched: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()
        self._many = MANY
        """Timers, cancelled ones included, at which the cancelled ones are removed."""
        self._soon: list[Callable[[], None]] = []
        self._stopped = False
        self._woke = time.monotonic()
        self._lost = 0.0

    def now(self) -> float:
        """Return time.monotonic() minus the seconds for which this loop was interrupted.

        A paused container or a stopped process reads no answers. Waiting times are measured by this clock. So no answer is overdue
        before the loop has read what arrived during the interruption.
        """
        return min(time.monotonic(), self._woke + STILL) - self._lost

    def watch(self, fd: int, callback: Callable[[int], None], events: int = READ) -> None:
        """Call `callback(events)` whenever `fd` is ready; hang-up and error always count."""
        self._poll.register(fd, events)
        self._watched[fd] = callback

    def modify(self, fd: int, events: int) -> None:
        self._poll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching `fd`. Call this before the descriptor is closed."""
        if self._watched.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def at(self, when: float, action: Callable[[], None]) -> Timer:
        """Call `action` once, at `when` (seconds of time.monotonic)."""
        timer = Timer(when, action)
        if len(self._timers) > self._many:  # timers of messages that ended long ago would fill the memory
            self._timers = [each for each in self._timers if each[2].action is not None]
            heapq.heapify(self._timers)
            self._many = max(MANY, 2 * len(self._timers))
        heapq.heappush(self._timers, (when, next(self._count), timer))
        return timer

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        return self.at(time.monotonic() + seconds, action)

    def soon(self, action: Callable[[], None]) -> None:
        """Call `action` once, after all that is due now, before the loop waits: for work that is cheaper in batches."""
        self._soon.append(action)

    def stop(self) -> None:
        """Leave run() after this turn."""
        self._stopped = True

    def run(self) -> None:
        self._stopped = False
        while not self._stopped:
            self.turn()

    def turn(self, most: float = 3600.0) -> None:
        """Run the actions of soon(), wait at most `most` seconds, then run what is due, once."""
        if self._soon:
            self._run_soon()
        watched = self._watched
        for fd, events in self._wait(most):
            if (callback := watched.get(fd)) is not None:  # an earlier callback of this turn may have closed it
                callback(events)
        if self._timers:
            self._run_timers()

    def close(self) -> None:
        self._poll.close()

    def _wait(self, most: float) -> list[tuple[int, int]]:
        """Wait for descriptors and timers, and note how long the loop was interrupted, here or since the last turn."""
        began = time.monotonic()
        if began - self._woke > STILL:
            self._lost += began - self._woke - STILL
        pause = self._pause(most, began)
        ready = self._poll.poll(pause)
        self._woke = time.monotonic()
        if (late := self._woke - began - pause) > STILL:
            self._lost += late
        return ready

    def _pause(self, most: float, now: float) -> float:
        while self._timers and self._timers[0][2].action is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return most
        left = self._timers[0][0] - now
        if left > most:
            return most
        return left if left > 0 else 0.0

    def _run_soon(self) -> None:
        actions = self._soon
        self._soon = []
        for action in actions:
            action()

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if (action := timer.action) is not None:
                timer.action = None
                action()


class Alarm:
    """One action at the earliest of the requested times, with one timer for any number of requests."""

    def __init__(self, loop: Loop, action: Callable[[], None]) -> None:
        self._loop = loop
        self._action = action
        self._timer = Timer(0.0, action)
        self._timer.cancel()

    def after(self, seconds: float) -> None:
        """Call the action in this many seconds, or earlier if an earlier time was requested."""
        when = time.monotonic() + seconds
        if self._timer.action is None or when < self._timer.when:
            self._timer.cancel()
            self._timer = self._loop.at(when, self._action)
