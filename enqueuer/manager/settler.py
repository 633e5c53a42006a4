"""Settle messages: batches, the committer's thread, repeats after errors, the totals and the log.

The store has the order of the steps (queue/directory/settle.py). In groups, one message at a time goes from its commit to its
end. Where each step is synced separately (queue/directory/sync.py), a batch takes the steps together.
"""

import logging
import time
from collections.abc import Callable

import msgspec

from enqueuer.ipc import frames
from enqueuer.ipc.scoreboard import DISPOSITIONS, Scoreboard
from enqueuer.ipc.timings import MANAGER, StageTimings
from enqueuer.log import serverlog
from enqueuer.log.facts import closing
from enqueuer.manager.committer import CommitStep, Committer
from enqueuer.manager.schedule import Entry, Schedule
from enqueuer.queue.port import Decision, MessageStore, Progress, Settlement, SyncPhase, Witness
from filterlink.log.complaints import Complaints
from filterlink.wire.loop import Loop

__all__ = ["Settler"]

log = logging.getLogger("QUEUE")

REPEAT = 1.0
"""Seconds until a commit or publication that the disk refused is repeated. It is never undone."""
MOST_PAUSE = 60.0
"""Seconds at most until a message whose sync failed is scanned again. Each time its filters scan it again.

It waits as long as syncs have failed so far. The number of failures does not count: there may be ten in a second.
"""


STEPS = ("commit", "publish", "count", "unlink", "")
"""The next step of an item by its progress, with the names of timings.py."""


class Settling(Decision, kw_only=True):
    """A change that the next sync makes durable: an outcome to commit, or a first deferral, after which the drop may go."""

    entry: Entry
    outcome: frames.Outcome | None


class Afterwards(msgspec.Struct):
    """An action that follows once these files, and the names in these folders, are durable."""

    action: Callable[[], object]
    folders: tuple[str, ...]


Item = Settling | Afterwards


class Settler(Witness[Settling]):
    """Part of the queue manager. `put_off(entry, seconds)` has a message scanned again."""

    def __init__(
        self, loop: Loop, store: MessageStore, board: Scoreboard, schedule: Schedule, put_off: Callable[[Entry, float], None]
    ) -> None:
        self._loop = loop
        self._board = board
        self._schedule = schedule
        self._put_off = put_off
        self.ended: Callable[[int], None] = lambda _id: None
        """Called with the id of each message that has left."""
        self.decided: Callable[[int, str, float], None] = lambda _id, _disposition, _until: None
        """Called with each outcome that was carried out, and the time of a message that is on hold now."""
        self.enter: Callable[[frames.Born], None] = lambda _born: None
        """Called with each new message."""
        self.give_back: Callable[[Entry], None] = lambda _entry: None
        """Called with each message whose drop was changed after it was taken."""
        self._timings = StageTimings(board.manager_timings, MANAGER)
        self._complaints = Complaints(log, logging.ERROR)
        self._failing_since: float | None = None
        self._distrusted = 0
        self._order: Settlement[Settling] = store.settlement(self)
        self._committer: Committer[Item] = Committer(loop, [self._step(phase) for phase in self._order.phases])

    @property
    def busy(self) -> bool:
        return self._committer.busy

    def add(self, entry: Entry, outcome: frames.Outcome | None) -> None:
        """Take the staged outputs of a processor. None: the message is deferred, and its message file must become durable."""
        places, moved = (None, False) if outcome is None else (outcome.places, outcome.moved)
        item = Settling(entry.id, entry.n, entry.ref, places, moved, entry=entry, outcome=outcome)
        if self._stands(item):
            self._committer.add(item)

    def trusts(self, entry: Entry) -> bool:
        """Return whether the message file that the last dispatch wrote, or found in Queue/, may be used.

        After a failed sync the kernel may have dropped pages that it shows as written, and the next sync succeeds. So a message file from
        before is ingested again from the drop. A message without a drop was durable already.
        """
        return entry.durable or entry.n > self._distrusted

    def after_sync(self, action: Callable[[], object], *folders: str) -> None:
        """Call `action` once these files and the names in these folders are durable. Outcomes that are added later come after it."""
        self._committer.add(Afterwards(action, folders))

    def pump(self) -> None:
        self._committer.pump()

    def close(self) -> None:
        self._committer.close()

    def _step(self, phase: SyncPhase[Settling]) -> CommitStep[Item]:
        """Make one step of the committer. The board shows that its sync runs: if this process is killed meanwhile, the next one trusts
        nothing.
        """
        timings = StageTimings(self._board.manager_timings, MANAGER)  # of the committer's thread

        def sync(items: list[Item]) -> None:
            timings.start(0, "sync")
            with self._board.syncing():
                phase.sync([item for item in items if isinstance(item, Settling)], _folders(items))
            timings.next("")

        return CommitStep(sync, self._to(phase.goal))

    def _to(self, goal: Progress) -> Callable[[list[Item], OSError | None], list[Item]]:
        """Return the function that follows a sync: it takes each item as far as `goal`."""

        def done(items: list[Item], error: OSError | None) -> list[Item]:
            if error is not None:
                return self._failed(items, error)
            self._failing_since = None
            return [item for item in items if self._stands(item) and self._carry(item, goal)]

        return done

    def _carry(self, item: Item, goal: Progress) -> bool:
        """Take the remaining steps. What the disk refuses is repeated until it succeeds. False: the item does not go on in this batch."""
        try:
            if isinstance(item, Afterwards):
                item.action()
                return False
            self._timings.start(item.n, STEPS[item.done])
            while item.done < goal:
                self._order.step(item)
                self._timings.next(STEPS[item.done])
        except OSError as error:
            tag = serverlog.message_tag(item.entry.id) if isinstance(item, Settling) else None
            step = STEPS[item.done] if isinstance(item, Settling) else "afterwards"
            self._complaints.say(f"{step} {error.errno}", f"will be repeated until it succeeds: {error}", tag)
            self._loop.after(REPEAT, lambda: self._again(item, goal))
            return False
        return item.done < Progress.GONE

    def _again(self, item: Item, goal: Progress) -> None:
        """Repeat a step after an error. A deferred message needs no further sync. It may have been scanned meanwhile: then its file is
        gone, and a sync of it would fail.
        """
        if isinstance(item, Settling) and item.outcome is not None:
            self._committer.add(item)
        elif self._stands(item):
            self._carry(item, goal)

    # ---- the engine's steps at the end of a message (Witness)

    def deciding(self, decision: Settling) -> None:
        """Note on the board the decision and the message that is moved: the next queue manager finds no file of that one."""
        assert decision.outcome is not None
        self._board.decide(decision.id, decision.outcome.disposition)
        if decision.moved:
            self._board.moving = decision.id

    def changed(self, decision: Settling) -> None:
        """Give back a changed drop. A deferred message that a processor has again keeps its drop: the outcome of that dispatch is compared,
        too.
        """
        if decision.outcome is not None or decision.entry.state == "deferred":
            self.give_back(decision.entry)

    def released(self, decision: Settling) -> None:
        decision.entry.ref = b""
        decision.entry.durable = True

    def left(self, decision: Settling) -> None:
        assert decision.outcome is not None
        outcome = decision.outcome
        if outcome.disposition in DISPOSITIONS:
            self._board.announce(decision.id, outcome.disposition)
            self._board.add(outcome.disposition)
        for born in outcome.born:
            self.enter(born)
        self.decided(decision.id, outcome.disposition, outcome.until)
        text = f"{outcome.disposition.replace('_', ' ')}: {outcome.reason}"
        serverlog.tell(log, decision.id, closing(text, outcome.facts, outcome.stamp[0], time.time()))

    def gone(self, decision: Settling) -> None:
        if decision.moved:
            self._board.moving = 0
        self._schedule.remove(decision.entry)
        self.ended(decision.id)

    # ---- failed syncs

    def _failed(self, items: list[Item], error: OSError) -> list[Item]:
        """Handle a failed sync. Undecided messages are scanned again, from the drop: nothing of them was renamed. Decided ones wait for a
        sync that succeeds.
        """
        self._failing_since = self._failing_since or time.monotonic()
        log.critical("sync failed: %s; the %d messages that waited for it are not published", error, len(items))
        self._distrusted = self._board.distrust()
        for entry in self._schedule.entries.values():
            if not entry.durable:
                entry.ingested = False
        for item in items:
            if isinstance(item, Settling) and item.done is Progress.STAGED:
                self._judge_again(item)
            else:
                self._loop.after(REPEAT, lambda item=item: self._committer.add(item))  # type: ignore[misc]
        return []

    def _stands(self, item: Item) -> bool:
        """Return whether an item is still valid. After a failed sync the staged files of an earlier dispatch may be lost, even if a later
        sync succeeds: that message is scanned again.

        This includes items that were gathered while that sync ran, and messages without a drop.
        """
        if isinstance(item, Afterwards) or item.done is not Progress.STAGED or item.n > self._distrusted:
            return True
        self._judge_again(item)
        return False

    def _judge_again(self, item: Settling) -> None:
        """Have a message scanned again. One that is only deferred waits for its next offer anyway."""
        if not item.entry.durable:
            item.entry.ingested = False
        if item.outcome is not None:
            failing = time.monotonic() - self._failing_since if self._failing_since is not None else 0.0
            self._put_off(item.entry, min(MOST_PAUSE, max(REPEAT, failing)))
            item.entry.ingested = item.entry.durable


def _folders(items: list[Item]) -> set[str]:
    return {folder for item in items if isinstance(item, Afterwards) for folder in item.folders}
