"""The books against the shelves: does what came in equal what left and what is here, and is on disk what we think is?

    received + returned = enqueued + discarded + quarantined + rejected + bad + still here

The sum is looked at with each audit; so are the names in Queue/ and .taken/, a slice a turn, so that a large queue stops
nothing. Files come and go while they are listed: only what is wrong in two audits one after the other is told.
"""

import logging
from collections.abc import Iterator

from enqueuer.ipc.scoreboard import DISPOSITIONS, Scoreboard
from enqueuer.manager.schedule import Schedule
from enqueuer.queue.directory import names
from enqueuer.queue.directory.disk import DiskPort
from filterlink.wire.loop import Loop

__all__ = ["Reconciliation"]

log = logging.getLogger("QUEUE")

EACH = 60.0
"""Seconds between two audits."""
SLICE = 2000
"""Names looked at in one turn of the loop: about 2 ms."""
TOLD = 10
"""Ids named in the log; more would be no help."""


class Reconciliation:
    """Part of the queue manager. `unaccounted` is 0 as long as the books are right."""

    def __init__(self, loop: Loop, disk: DiskPort, schedule: Schedule, board: Scoreboard) -> None:
        self._loop = loop
        self._disk = disk
        self._schedule = schedule
        self._board = board
        self._doubtful: frozenset[int] = frozenset()
        self._wrong: frozenset[int] = frozenset()
        self._difference = 0
        loop.after(EACH, self._begin)

    @property
    def unaccounted(self) -> int:
        """Messages that are in the books and not on disk, or the other way round, or in neither sum."""
        return len(self._wrong) + abs(self._difference)

    def audit(self) -> Iterator[None]:
        """One audit, in slices."""
        before = set(self._schedule.entries)
        found: set[int] = set()
        for count, name in enumerate(self._names()):
            found.add(name)
            if count % SLICE == SLICE - 1:
                yield
        now = self._schedule.entries
        missing = {id for id in before & now.keys() if id not in found and now[id].state != "settling"}
        self._judge(frozenset(missing | (found - now.keys() - before)))

    def _begin(self) -> None:
        self._go_on(self.audit())

    def _go_on(self, slices: Iterator[None]) -> None:
        try:
            goes_on = next(slices, False) is None
        except OSError as error:
            log.error("the audit cannot look at the disk: %s; it is tried again", error)
            goes_on = False
        if goes_on:
            self._loop.after(0, lambda: self._go_on(slices))
        else:
            self._loop.after(EACH, self._begin)

    def _names(self) -> Iterator[int]:
        for name in self._disk.names("Submitted/.taken"):
            if taken := names.parse_taken(name.encode("utf-8", "surrogateescape")):
                yield taken.id
        for name in self._disk.names("Queue"):
            if (queued := names.parse_queue(name)) and queued.kind != "tmp":
                yield queued.id

    def _judge(self, doubtful: frozenset[int]) -> None:
        """Tell what was wrong in this audit and in the last one."""
        wrong = doubtful & self._doubtful
        self._doubtful = doubtful
        here = sum(entry.counted for entry in self._schedule.entries.values())
        totals = self._board.totals()
        difference = totals["received"] + totals["returned"] - sum(totals[disposition] for disposition in DISPOSITIONS) - here
        if wrong - self._wrong:
            named = ", ".join(map(str, sorted(wrong)[:TOLD]))
            log.error("%d messages are unaccounted for, in the books or on disk only: %s", len(wrong), named)
        if difference and difference != self._difference:
            log.error("the totals differ from what is here by %d", difference)
        self._wrong = wrong
        self._difference = difference
