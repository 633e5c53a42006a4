"""From an outcome to the end of a message: sync, commit, publish, count, log, forget. In this order, one message at a time."""

import logging
from collections.abc import Callable

import msgspec

from enqueuer import frames, serverlog
from enqueuer.board import Board
from enqueuer.committer import Committer
from enqueuer.queue.store import Store
from enqueuer.schedule import Entry, Schedule
from filterlink.loop import Loop

__all__ = ["Settler"]

log = logging.getLogger("QUEUE")

REPEAT = 1.0
"""Seconds until a commit or publish that the disk refused is repeated: it is never undone."""


class Settling(msgspec.Struct):
    """What the next sync makes durable: an outcome to be committed, or a first hold, after which the drop may go."""

    entry: Entry
    n: int
    outcome: frames.Outcome | None
    committed: bool = False


class Afterwards(msgspec.Struct):
    """Something to be done once what stands on disk now is durable."""

    action: Callable[[], object]


class Settler:
    """Part of the queue manager. `put_off(entry, seconds)` has a message judged again."""

    def __init__(self, loop: Loop, store: Store, board: Board, schedule: Schedule, put_off: Callable[[Entry, float], None]) -> None:
        self._loop, self._store, self._board, self._schedule, self._put_off = loop, store, board, schedule, put_off
        self.ended: Callable[[int], None] = lambda _id: None
        """Called with the id of each message that has left."""
        self._committer: Committer[Settling | Afterwards] = Committer(loop, store.disk.sync, self._synced)

    @property
    def busy(self) -> bool:
        return self._committer.busy

    def add(self, entry: Entry, outcome: frames.Outcome | None) -> None:
        """Take what a processor has staged; None: the message is held, and its message file is to be made durable."""
        self._committer.add(Settling(entry, entry.n, outcome))

    def after_sync(self, action: Callable[[], object]) -> None:
        """Call `action` once everything that is on disk now is durable; outcomes that are added later come after it."""
        self._committer.add(Afterwards(action))

    def pump(self) -> None:
        self._committer.pump()

    def close(self) -> None:
        self._committer.close()

    def _synced(self, batch: list[Settling | Afterwards], error: OSError | None) -> None:
        if error is not None:
            log.critical("sync failed: %s; %d messages are judged again, nothing of them had been published", error, len(batch))
        for item in batch:
            if isinstance(item, Afterwards):
                if error is None:
                    item.action()
                else:
                    self._committer.add(item)
            elif error is None:
                self._settle(item)
            elif item.outcome is not None:
                self._put_off(item.entry, REPEAT)

    def _settle(self, item: Settling) -> None:
        """Carry out what has been made durable. What the disk refuses is repeated until it works."""
        try:
            if item.outcome is not None:
                self._carry_out(item, item.outcome)
            elif item.entry.drop is not None:
                self._store.release_drop(item.entry.drop)
                item.entry.drop = None
        except OSError as error:
            log.error("will be repeated: %s", error, extra=serverlog.message_tag(item.entry.id))
            self._loop.after(REPEAT, lambda: self._settle(item))

    def _carry_out(self, item: Settling, outcome: frames.Outcome) -> None:
        entry, fate = item.entry, outcome.fate
        if not item.committed:
            self._board.announce(entry.id, fate)
            self._store.commit(entry.id, item.n)
            item.committed = True
        self._store.finish(entry.id, item.n, entry.drop, outcome.places)
        self._board.add(fate)
        log.log(serverlog.MAJOR, "%s: %s", fate, outcome.reason, extra=serverlog.message_tag(entry.id))
        self._store.forget(entry.id, item.n)
        self._schedule.remove(entry)
        self.ended(entry.id)
