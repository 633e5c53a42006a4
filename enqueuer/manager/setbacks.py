"""What becomes of a message that came to nothing this time: it is put off, or its drop is refused or goes back.

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
from enqueuer.queue.directory.ingest import complete, queue_path
from enqueuer.queue.directory.store import Store, Unwiped, drop_path

__all__ = ["TROUBLE_PAUSE", "Setbacks"]

TROUBLE_PAUSE = 5.0
"""Seconds until a message is tried again that the machine could not work on (disk full, I/O error)."""


class Setbacks:
    """Errors of the disk are no end of the queue manager: what cannot be done now is tried again."""

    spooler: Spooler
    """Takes refused drops back; there is none before recovery."""

    def __init__(self, store: Store, schedule: Schedule, machine: Machine, board: Scoreboard) -> None:
        self._store = store
        self._schedule = schedule
        self._machine = machine
        self._board = board
        self.forgotten: Callable[[int], None] = lambda _id: None
        """Called with the id of each message whose drop goes back to the drop folder."""
        self._unwiped: dict[int, int] = {}
        """Messages that were put off, and their last dispatch: what it staged is to be unlinked."""
        self._not_before = 0.0
        """When that is tried again after an error."""

    def put_off(self, entry: Entry, seconds: float, reason: str = "") -> None:
        """Try again later, with whatever is on disk then."""
        self._unwiped[entry.id] = entry.n
        # that a file is there is not enough: after a failed sync it may be the one that was to be ingested anew
        with contextlib.suppress(OSError):  # an I/O error: the next try says what is wrong
            entry.ingested = entry.ingested and self._store.disk.stamp(queue_path(entry.id)) is not None
        self._schedule.defer(entry, "", time.monotonic() + seconds, now=time.monotonic(), reason=reason)

    def refuse(self, entry: Entry, reason: str) -> None:
        """Give the drop back to where its writer looks for it, or to rest where its writer went on."""
        try:
            changed = self._store.changed(entry.drop, entry.taken)
            last = self._is_all_that_is_left(entry)
        except OSError as error:
            self.put_off(entry, TROUBLE_PAUSE, str(error))
            return
        if changed:
            self.give_back(entry)
        elif last:
            entry.drop = None
            entry.ingested = True
            self.put_off(entry, TROUBLE_PAUSE, reason)
        elif self.spooler.refuse_claimed(self._store, entry, reason):
            self._schedule.remove(entry)
        else:
            self.put_off(entry, TROUBLE_PAUSE)

    def _is_all_that_is_left(self, entry: Entry) -> bool:
        """Whether the drop has gone, and its message file is complete: that is never unlinked. Raises OSError."""
        disk = self._store.disk
        return (entry.drop is None or disk.stamp(drop_path(entry.drop)) is None) and complete(disk, entry.id)

    def give_back(self, entry: Entry) -> None:
        """Its drop was changed after it was taken: it is no message yet, whatever was made of it."""
        if not self.spooler.give_back(self._store, entry):
            entry.ingested = False
            self.put_off(entry, TROUBLE_PAUSE)
            return
        if entry.counted:
            self._board.add("received", -1)
        self._schedule.remove(entry)
        self.forgotten(entry.id)

    def wipe(self) -> None:
        """Unlink what was staged in vain since the last turn. What cannot go is tried again after PAUSE seconds, or in recovery."""
        if not self._unwiped or time.monotonic() < self._not_before:
            return
        try:
            self._store.wipe(self._unwiped)
            self._unwiped.clear()
        except OSError as error:
            if isinstance(error, Unwiped):
                self._unwiped = {id: n for id, n in self._unwiped.items() if id in error.ids}
            self._not_before = time.monotonic() + PAUSE
            self._machine.complain("wipe", f"what was staged in vain stays for now: {error}")
