"""Gather outcomes and make them durable together: one sync serves all that came while the last one ran.

A thread of the queue manager does only syncs. A single message is synced at once. Under load a batch begins at most once each
INTERVAL: that quarters the disk's flushes and costs a few milliseconds.
"""

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from filterlink.wire.loop import Loop

__all__ = ["PIECE", "CommitStep", "Committer"]

INTERVAL = 0.010
MOST = 1000
"""Messages of one batch: its later messages wait for the files of all."""
PIECE = 4
"""Items handed out in one turn of the loop, about 0.1 ms: processors that have an outcome meanwhile get their next message."""
T = TypeVar("T")


class CommitStep(NamedTuple, Generic[T]):
    """One step of a batch. A batch goes through the steps in order; the next batch begins after its last step. `done` gets the batch in
    pieces.
    """

    sync: Callable[[list[T]], None]
    """Runs in the thread: make the files of these items durable. May raise OSError; any other error ends the process."""
    done: Callable[[list[T], OSError | None], list[T]]
    """Runs in the loop after the sync: return the items that go on to the next step. It gets all items at once if the sync failed."""


class Committer(Generic[T]):
    """Takes the items of add() through the steps. The first sync covers everything that was written before add(item)."""

    def __init__(self, loop: Loop, steps: Sequence[CommitStep[T]]) -> None:
        self._loop = loop
        self._steps = steps
        self._gathered: list[T] = []
        self._batch: list[T] = []
        self._left: list[T] = []
        self._handed = 0
        """How many items of the batch have been handed out. `_left` has those that go on."""
        self._at = 0
        self._next = 0.0
        self._timer_set = False
        self._error: OSError | None = None
        self._fault: BaseException | None = None
        """The error that ended the thread."""
        self._orders: queue.SimpleQueue[tuple[CommitStep[T], list[T]] | None] = queue.SimpleQueue()
        self._ended = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        loop.watch(self._ended, self._synced)
        self._thread = threading.Thread(target=self._work, name="committer", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        return bool(self._gathered or self._batch)

    def add(self, item: T) -> None:
        self._gathered.append(item)

    def pump(self) -> None:
        """Begin a batch if one is due. Call it at the end of each turn of the loop."""
        if self._batch or not self._gathered or self._timer_set:
            return
        now = time.monotonic()
        if now < self._next:
            self._timer_set = True
            self._loop.at(self._next, self._due)
            return
        self._next = now + INTERVAL
        batch = self._gathered[:MOST]
        self._gathered = self._gathered[MOST:]
        self._begin(0, batch)

    def close(self) -> None:
        """End the thread. Items that are not synced are dropped without an answer."""
        self._orders.put(None)
        self._thread.join()
        self._loop.forget(self._ended)
        os.close(self._ended)

    def _due(self) -> None:
        self._timer_set = False
        self.pump()

    def _begin(self, at: int, batch: list[T]) -> None:
        self._at = at
        self._batch = batch
        self._orders.put((self._steps[at], batch))

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            step, batch = order
            self._error = None
            try:
                step.sync(batch)
            except OSError as error:
                self._error = error
            except BaseException as fault:  # noqa: BLE001 - it is raised in the loop: without syncs no message leaves
                self._fault = fault
            os.eventfd_write(self._ended, 1)

    def _synced(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._ended)
            if self._fault is not None:
                raise self._fault
            self._handed = 0
            self._left = []
            self._hand_out()

    def _hand_out(self) -> None:
        piece = self._batch[self._handed : None if self._error else self._handed + PIECE]
        self._handed += len(piece)
        self._left += self._steps[self._at].done(piece, self._error)
        if self._handed < len(self._batch):
            self._loop.after(0, self._hand_out)
            return
        self._batch = []
        if self._left and self._at + 1 < len(self._steps):
            self._begin(self._at + 1, self._left)
