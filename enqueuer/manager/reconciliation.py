"""The reconciliation: do the totals fit the messages in the queue, and does the disk hold what the schedule knows?

    received + returned = enqueued + discarded + quarantined + rejected + bad + still here

Each audit checks the sum and the inventory of the store. It reads the inventory one slice a turn, so that a large queue stops no
other work. Files come and go while they are listed, so an audit reports only what the audit before found wrong too.
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
    """Part of the queue manager. `unaccounted` is 0 as long as the totals are right."""

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
        """Messages that only the schedule has or only the disk has, and the difference of the sums."""
        return len(self._wrong) + abs(self._difference)

    def audit(self) -> Iterator[None]:
        """Do one audit, in slices."""
        before = set(self._schedule.entries)
        found: set[int] = set()
        for count, id in enumerate(self._store.inventory()):
            found.add(id)
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
        here = sum(entry.counted for entry in self._schedule.entries.values())
        totals = self._board.totals()
        difference = totals["received"] + totals["returned"] - sum(totals[disposition] for disposition in DISPOSITIONS) - here
        if wrong - self._wrong:
            named = ", ".join(map(str, sorted(wrong)[:TOLD]))
            log.error("%d messages are unaccounted for, known to the queue manager or on disk only: %s", len(wrong), named)
        if difference and difference != self._difference:
            log.error("the totals differ from the messages in the queue by %d", difference)
        self._wrong = wrong
        self._difference = difference
