"""Gathers outcomes and makes them durable together: one syncfs for all that came while the last one ran.

A thread of the queue manager does nothing but sync. A lone message is synced at once; under load a sync begins at most
each INTERVAL, which quarters the disk's flushes and costs a few milliseconds.
"""

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from filterlink.loop import Loop

__all__ = ["Committer"]

INTERVAL = 0.010
T = TypeVar("T")


class Committer(Generic[T]):
    """Calls `done(items, error)` in the loop once everything that was written before add(item) is durable, or the sync failed."""

    def __init__(self, loop: Loop, sync: Callable[[], None], done: Callable[[list[T], OSError | None], None]) -> None:
        self._loop, self._sync, self._done = loop, sync, done
        self._gathered: list[T] = []
        self._syncing: list[T] = []
        self._next = 0.0
        self._timer_set = False
        self._error: OSError | None = None
        self._orders: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._ended = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        loop.watch(self._ended, self._synced)
        self._thread = threading.Thread(target=self._work, name="committer", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        return bool(self._gathered or self._syncing)

    def add(self, item: T) -> None:
        self._gathered.append(item)

    def pump(self) -> None:
        """Begin a sync where one is due; call it at the end of each turn of the loop."""
        if self._syncing or not self._gathered or self._timer_set:
            return
        now = time.monotonic()
        if now < self._next:
            self._timer_set = True
            self._loop.at(self._next, self._due)
            return
        self._next = now + INTERVAL
        self._syncing, self._gathered = self._gathered, []
        self._orders.put(True)

    def close(self) -> None:
        """End the thread; what is not synced is not told."""
        self._orders.put(False)
        self._thread.join()
        self._loop.forget(self._ended)
        os.close(self._ended)

    def _due(self) -> None:
        self._timer_set = False
        self.pump()

    def _work(self) -> None:
        while self._orders.get():
            self._error = None
            try:
                self._sync()
            except OSError as error:
                self._error = error
            os.eventfd_write(self._ended, 1)

    def _synced(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._ended)
            items, self._syncing = self._syncing, []
            self._done(items, self._error)
