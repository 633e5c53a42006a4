"""A dispatch without an outcome: put the message off, refuse its drop, or give the drop back.

Part of the queue manager.
"""

import contextlib
import time
from collections.abc import Callable

from enqueuer.doors.admission import PAUSE
from enqueuer.ipc.scoreboard import Scoreboard
from enqueuer.manager.pauses import Machine
from enqueuer.manager.schedule import Entry, Schedule
from enqueuer.manager.spooler import Spooler
from enqueuer.queue.port import MessageStore, Unwiped

__all__ = ["TROUBLE_PAUSE", "Setbacks"]

TROUBLE_PAUSE = 5.0
"""Seconds until the engine tries a message again that the machine could not work on (disk full, I/O error)."""


class Setbacks:
    """Handles errors of the disk without an end of the queue manager: it tries again later."""

    spooler: Spooler
    """Takes refused drops back. There is none before recovery."""

    def __init__(self, store: MessageStore, schedule: Schedule, machine: Machine, board: Scoreboard) -> None:
        self._store = store
        self._schedule = schedule
        self._machine = machine
        self._board = board
        self.forgotten: Callable[[int], None] = lambda _id: None
        """Called with the id of each message whose drop goes back to the drop folder."""
        self._unwiped: dict[int, int] = {}
        """Messages that were put off, and their last dispatch, whose staged files must be unlinked."""
        self._not_before = 0.0
        """time.monotonic() of the next try after an error."""

    def put_off(self, entry: Entry, seconds: float, reason: str = "") -> None:
        """Defer a message. The next try works with the files that are on disk then."""
        self._unwiped[entry.id] = entry.n
        # a file alone proves nothing: after a failed sync it may be the one that must be ingested again
        with contextlib.suppress(OSError):  # an I/O error: the next try reports it
            entry.ingested = entry.ingested and self._store.has_message(entry.id)
        self._schedule.defer(entry, "", time.monotonic() + seconds, now=time.monotonic(), reason=reason)

    def refuse(self, entry: Entry, reason: str) -> None:
        """Refuse a drop: it becomes NAME.bad beside its reason. If its writer changed it, it goes back to the drop folder."""
        try:
            changed = self._store.is_changed(entry.ref)
            last = self._is_all_that_is_left(entry)
        except OSError as error:
            self.put_off(entry, TROUBLE_PAUSE, str(error))
            return
        if changed:
            self.give_back(entry)
        elif last:
            entry.ref = b""
            entry.durable = True
            entry.ingested = True
            self.put_off(entry, TROUBLE_PAUSE, reason)
        elif self.spooler.refuse_claimed(entry, reason):
            self._schedule.remove(entry)
        else:
            self.put_off(entry, TROUBLE_PAUSE)

    def _is_all_that_is_left(self, entry: Entry) -> bool:
        """Return whether the drop has gone and its message file is complete: such a file is never unlinked. Raises OSError."""
        return (entry.durable or not self._store.has_source(entry.ref)) and self._store.is_whole(entry.id)

    def give_back(self, entry: Entry) -> None:
        """Give back a drop that was changed after it was taken. It is not a message yet, and what was made of it goes."""
        if not self.spooler.give_back(entry):
            entry.ingested = False
            self.put_off(entry, TROUBLE_PAUSE)
            return
        if entry.counted:
            self._board.add("received", -1)
        self._schedule.remove(entry)
        self.forgotten(entry.id)

    def wipe(self) -> None:
        """Unlink the staged files of dispatches without an outcome. What cannot go is tried again after PAUSE seconds, or in recovery."""
        if not self._unwiped or time.monotonic() < self._not_before:
            return
        try:
            self._store.wipe(self._unwiped)
            self._unwiped.clear()
        except OSError as error:
            if isinstance(error, Unwiped):
                self._unwiped = {id: n for id, n in self._unwiped.items() if id in error.ids}
            self._not_before = time.monotonic() + PAUSE
            self._machine.complain("wipe", f"staged files that are no longer needed stay for now: {error}")
