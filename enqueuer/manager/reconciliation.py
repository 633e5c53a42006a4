"""Compare the totals with each other, and the schedule with the store.

    received + returned = enqueued + discarded + quarantined + rejected + bad + still here

Each audit checks this sum, and compares the schedule with the inventory of the store: a slice in each turn of the
loop, so that a large queue stops nothing. Files come and go while they are listed. So only a message that is wrong in
two audits in a row is reported.
"""

import logging
from collections.abc import Iterator

from enqueuer.ipc.scoreboard import DISPOSITIONS, Scoreboard
from enqueuer.manager.schedule import Schedule
from enqueuer.queue.port import MessageStore
from filterlink.wire.loop import Loop

__all__ = ["Reconciliation"]

log = logging.getLogger("QUEUE")

EACH = 60.0
"""Seconds between two audits."""
SLICE = 2000
"""Names read in one turn of the loop: about 2 ms."""
TOLD = 10
"""Ids named in the log; more would not help."""


class Reconciliation:
    """Part of the queue manager. `unaccounted` is 0 as long as totals, schedule and store agree."""

    def __init__(self, loop: Loop, store: MessageStore, schedule: Schedule, board: Scoreboard) -> None:
        self._loop = loop
        self._store = store
        self._schedule = schedule
        self._board = board
        self._doubtful: frozenset[int] = frozenset()
        self._wrong: frozenset[int] = frozenset()
        self._difference = 0
        loop.after(EACH, self._begin)

    @property
    def unaccounted(self) -> int:
        """Return how many messages are only in the schedule or only on disk, plus the difference of the totals."""
        return len(self._wrong) + abs(self._difference)

    def audit(self) -> Iterator[None]:
        """Do one audit, in slices."""
        before = set(self._schedule.entries)
        on_hold = set(self._schedule.on_hold)
        found: set[int] = set()
        for count, id in enumerate(self._store.inventory()):
            found.add(id)
            if count % SLICE == SLICE - 1:
                yield
        now = self._schedule.entries
        yield
        kept = set(self._store.kept("hold"))
        now_on_hold = self._schedule.on_hold
        astray = (on_hold & now_on_hold.keys()) - kept | kept - now_on_hold.keys() - on_hold - now.keys()
        missing = {id for id in before & now.keys() if id not in found and now[id].state != "settling"}
        self._judge(frozenset(missing | astray | (found - now.keys() - before)))

    def _begin(self) -> None:
        self._go_on(self.audit())

    def _go_on(self, slices: Iterator[None]) -> None:
        try:
            goes_on = next(slices, False) is None
        except OSError as error:
            log.error("the audit cannot read the disk: %s; it is tried again", error)
            goes_on = False
        if goes_on:
            self._loop.after(0, lambda: self._go_on(slices))
        else:
            self._loop.after(EACH, self._begin)

    def _judge(self, doubtful: frozenset[int]) -> None:
        """Log what was wrong in this audit and in the last one."""
        wrong = doubtful & self._doubtful
        self._doubtful = doubtful
        entries = self._schedule.entries
        here = sum(entry.counted for entry in entries.values()) + len(self._schedule.on_hold.keys() - entries.keys())
        totals = self._board.totals()
        difference = totals["received"] + totals["returned"] - sum(totals[disposition] for disposition in DISPOSITIONS) - here
        if wrong - self._wrong:
            named = ", ".join(map(str, sorted(wrong)[:TOLD]))
            log.error(
                "%d messages are unaccounted for (in the schedule and not on disk, or on disk and not in the schedule): %s",
                len(wrong),
                named,
            )
        if difference and difference != self._difference:
            log.error(
                "the totals are wrong: received + returned differs by %d from the messages that have ended and those that are still here",
                difference,
            )
        self._wrong = wrong
        self._difference = difference
