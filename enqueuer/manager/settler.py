"""From an outcome to the end of a message: sync, compare, commit, publish, count, log, forget. In this order.

In groups one message at a time goes from its commit to its end. Where each step is synced for itself (queue/directory/sync.py) a
batch takes the steps together.
"""

import logging
import time
from collections.abc import Callable
from enum import IntEnum

import msgspec

from enqueuer.ipc import frames
from enqueuer.ipc.scoreboard import Scoreboard
from enqueuer.ipc.timings import MANAGER, StageTimings
from enqueuer.log import serverlog
from enqueuer.manager.committer import CommitStep, Committer
from enqueuer.manager.schedule import Entry, Schedule
from enqueuer.queue.directory.store import Store
from enqueuer.queue.directory.sync import Change
from filterlink.log.complaints import Complaints
from filterlink.wire.loop import Loop

__all__ = ["Settler"]

log = logging.getLogger("QUEUE")

REPEAT = 1.0
"""Seconds until a commit or publish that the disk refused is repeated: it is never undone."""
MOST_PAUSE = 60.0
"""Seconds at the most until a message is judged again whose sync failed: each time its filters scan it again.

It waits for as long as syncs have failed so far. Their number says nothing: there may be ten in a second.
"""


class Progress(IntEnum):
    """How far a message has come."""

    STAGED = 0
    COMMITTED = 1
    PUBLISHED = 2
    COUNTED = 3
    GONE = 4


STEPS = ("commit", "publish", "count", "unlink", "")
"""What an item that has come so far does next, as timings.py calls it."""


class Settling(msgspec.Struct):
    """What the next sync makes durable: an outcome to be committed, or a first hold, after which the drop may go."""

    entry: Entry
    n: int
    outcome: frames.Outcome | None
    done: Progress = Progress.STAGED

    @property
    def change(self) -> Change:
        return Change(self.entry.id, self.n, None if self.outcome is None else self.outcome.places)


class Afterwards(msgspec.Struct):
    """Something to be done once these files, and the names in these folders, are durable as they are now."""

    action: Callable[[], object]
    folders: tuple[str, ...]


Item = Settling | Afterwards


class Settler:
    """Part of the queue manager. `put_off(entry, seconds)` has a message judged again."""

    def __init__(self, loop: Loop, store: Store, board: Scoreboard, schedule: Schedule, put_off: Callable[[Entry, float], None]) -> None:
        self._loop = loop
        self._store = store
        self._board = board
        self._schedule = schedule
        self._put_off = put_off
        self.ended: Callable[[int], None] = lambda _id: None
        """Called with the id of each message that has left."""
        self.give_back: Callable[[Entry], None] = lambda _entry: None
        """Called with each message whose drop is another than it was when it was taken."""
        self._timings = StageTimings(board.manager_timings, MANAGER)
        self._complaints = Complaints(log, logging.ERROR)
        self._failing_since: float | None = None
        self._distrusted = 0
        self._committer: Committer[Item] = Committer(loop, self._steps())

    @property
    def busy(self) -> bool:
        return self._committer.busy

    def add(self, entry: Entry, outcome: frames.Outcome | None) -> None:
        """Take what a processor has staged; None: the message is deferred, and its message file is to be made durable."""
        item = Settling(entry, entry.n, outcome)
        if self._stands(item):
            self._committer.add(item)

    def trusts(self, entry: Entry) -> bool:
        """Whether the message file that the last dispatch wrote, or found in Queue/, may be used.

        After a failed sync the kernel may have dropped pages that it shows as written, and the next sync succeeds: what
        was written before is ingested anew from the drop. A message without one was durable already.
        """
        return entry.drop is None or entry.n > self._distrusted

    def after_sync(self, action: Callable[[], object], *folders: str) -> None:
        """Call `action` once these files and the names in these folders are durable; outcomes that are added later come after it."""
        self._committer.add(Afterwards(action, folders))

    def pump(self) -> None:
        self._committer.pump()

    def close(self) -> None:
        self._committer.close()

    def _steps(self) -> list[CommitStep[Item]]:
        sync = self._store.sync
        staged = CommitStep[Item](
            lambda items: sync.staged(_changes(items, Progress.STAGED), _folders(items)), self._to(Progress.COMMITTED)
        )
        committed = CommitStep[Item](lambda _: sync.committed(), self._to(Progress.PUBLISHED))
        published = CommitStep[Item](lambda items: sync.published(_changes(items, Progress.PUBLISHED)), self._to(Progress.GONE))
        steps = [staged, committed, published] if sync.in_steps else [staged._replace(done=self._to(Progress.GONE))]
        return [step._replace(sync=self._noted(step.sync)) for step in steps]

    def _noted(self, sync: Callable[[list[Item]], None]) -> Callable[[list[Item]], None]:
        """Have the board know of a sync while it runs: should we be killed over it, a successor trusts nothing."""

        timings = StageTimings(self._board.manager_timings, MANAGER)  # another thread's

        def run(items: list[Item]) -> None:
            timings.start(0, "sync")
            with self._board.syncing():
                sync(items)
            timings.next("")

        return run

    def _to(self, goal: Progress) -> Callable[[list[Item], OSError | None], list[Item]]:
        """What follows a sync: each item is carried as far as `goal`."""

        def done(items: list[Item], error: OSError | None) -> list[Item]:
            if error is not None:
                return self._failed(items, error)
            self._failing_since = None
            return [item for item in items if self._stands(item) and self._carry(item, goal)]

        return done

    def _carry(self, item: Item, goal: Progress) -> bool:
        """Take the steps that are left. What the disk refuses is repeated until it works; False: not in this batch."""
        try:
            if isinstance(item, Afterwards):
                item.action()
                return False
            self._timings.start(item.n, STEPS[item.done])
            while item.done < goal:
                item.done = self._next(item)
                self._timings.next(STEPS[item.done])
        except OSError as error:
            tag = serverlog.message_tag(item.entry.id) if isinstance(item, Settling) else None
            step = STEPS[item.done] if isinstance(item, Settling) else "afterwards"
            self._complaints.say(f"{step} {error.errno}", f"will be repeated until it succeeds: {error}", tag)
            self._loop.after(REPEAT, lambda: self._again(item, goal))
            return False
        return item.done < Progress.GONE

    def _again(self, item: Item, goal: Progress) -> None:
        """What is deferred needs no further sync, and may have been judged meanwhile: then its file is not there to be synced."""
        if isinstance(item, Settling) and item.outcome is not None:
            self._committer.add(item)
        elif self._stands(item):
            self._carry(item, goal)

    def _next(self, item: Settling) -> Progress:
        entry = item.entry
        outcome = item.outcome
        if outcome is None:
            return self._release(entry)
        if item.done is Progress.STAGED and self._store.changed(entry.drop, entry.taken):
            self.give_back(entry)
            return Progress.GONE
        match item.done:
            case Progress.STAGED if outcome.moved:
                return self._move(entry, outcome)
            case Progress.STAGED:
                self._board.decide(entry.id, outcome.disposition)
                self._store.commit(entry.id, item.n)
            case Progress.COMMITTED:
                self._store.finish(entry.id, item.n, entry.drop, outcome.places)
            case Progress.PUBLISHED:
                self._count(entry, outcome)
            case _:
                self._store.forget(entry.id, item.n)
                self._gone(entry)
        return Progress(item.done + 1)

    def _move(self, entry: Entry, outcome: frames.Outcome) -> Progress:
        """All steps at once. The board says what is under way: a successor finds no file that would tell it."""
        self._board.decide(entry.id, outcome.disposition)
        self._board.moving = entry.id
        (place,) = outcome.places
        if entry.drop is not None:
            self._store.release_drop(entry.drop)
            entry.drop = None  # whatever becomes of the rename: the message file is all that is left, and stays
        self._store.move(entry.id, None, place)
        self._count(entry, outcome)
        self._board.moving = 0
        self._gone(entry)
        return Progress.GONE

    def _count(self, entry: Entry, outcome: frames.Outcome) -> None:
        self._board.announce(entry.id, outcome.disposition)
        self._board.add(outcome.disposition)
        serverlog.tell(log, entry.id, f"{outcome.disposition}: {outcome.reason}")

    def _gone(self, entry: Entry) -> None:
        self._schedule.remove(entry)
        self.ended(entry.id)

    def _release(self, entry: Entry) -> Progress:
        """The message file is durable: a deferred message needs its drop no more, if that is what was read."""
        if self._store.changed(entry.drop, entry.taken):
            if entry.state == "deferred":  # else a processor has it, and its outcome is compared, too
                self.give_back(entry)
        elif entry.drop is not None:
            self._store.release_drop(entry.drop)
            entry.drop = None
        return Progress.GONE

    # ---- failed syncs

    def _failed(self, items: list[Item], error: OSError) -> list[Item]:
        """Nothing undecided was renamed: it is judged again, from the drop. What is decided waits for a sync that succeeds."""
        self._failing_since = self._failing_since or time.monotonic()
        log.critical("sync failed: %s; %d messages wait, nothing of them has been published by it", error, len(items))
        self._distrusted = self._board.distrust()
        for entry in self._schedule.entries.values():
            if entry.drop is not None:
                entry.ingested = False
        for item in items:
            if isinstance(item, Settling) and item.done is Progress.STAGED:
                self._judge_again(item)
            else:
                self._loop.after(REPEAT, lambda item=item: self._committer.add(item))  # type: ignore[misc]
        return []

    def _stands(self, item: Item) -> bool:
        """Not so if a sync failed since its dispatch: what that staged may be lost, though a later sync succeeds; judge it again.

        Also what was gathered while that sync ran, and what a message without a drop had staged.
        """
        if isinstance(item, Afterwards) or item.done is not Progress.STAGED or item.n > self._distrusted:
            return True
        self._judge_again(item)
        return False

    def _judge_again(self, item: Settling) -> None:
        """A message that is only deferred waits for its next offer anyway."""
        if item.entry.drop is not None:
            item.entry.ingested = False
        if item.outcome is not None:
            failing = time.monotonic() - self._failing_since if self._failing_since is not None else 0.0
            self._put_off(item.entry, min(MOST_PAUSE, max(REPEAT, failing)))
            item.entry.ingested = item.entry.drop is None


def _changes(items: list[Item], done: Progress) -> list[Change]:
    return [item.change for item in items if isinstance(item, Settling) and item.done is done]


def _folders(items: list[Item]) -> set[str]:
    return {folder for item in items if isinstance(item, Afterwards) for folder in item.folders}
