"""The way in from the drop folder: when to look, what to claim next, when to leave things where they are.

Looks are asked for by hints (the watcher, a rescan timer) and done in slices, so that a million names stop nothing.
Claims stay a window ahead of the processors, a window for each lane: large drops must not hide the small ones behind them.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator

from enqueuer import config as configs
from enqueuer.queue.ids import Ids
from enqueuer.queue.intake import Candidate, Intake, Refusal, printable
from enqueuer.queue.names import taken
from enqueuer.schedule import Entry, Schedule
from filterlink.loop import Loop

__all__ = ["Spooler"]

log = logging.getLogger("SPOOL")

WINDOW = 1000
"""Claimed messages that wait in each lane. More would only move names from one folder to another."""
CLAIMS_A_TURN = 32
"""Some 2 ms: outcomes and processors are looked at in between."""
LOOK_PAUSE = 0.005
"""Between two looks while hints keep coming: a burst of events is one bulk scan."""
AGAIN = 0.5
"""Until a drop that was not complete is tried again."""
COMPLAIN_EACH = 60.0


class Spooler:
    """Turns complete drops into messages of the schedule."""

    def __init__(
        self, loop: Loop, intake: Intake, ids: Ids, schedule: Schedule, config: configs.Config, refused: Callable[[], None]
    ) -> None:
        self._loop, self._intake, self._ids, self._schedule, self._config = loop, intake, ids, schedule, config
        self._refused = refused
        self._wanted, self._not_before = True, 0.0
        self._listing: Iterator[list[Candidate]] | None = None
        self._listed: list[Candidate] = []
        self._lanes: tuple[list[Candidate], list[Candidate]] = ([], [])  # unclaimed, the next one last
        self._later: list[Candidate] = []
        self._complained: dict[str, float] = {}
        self._full, self._full_until = False, 0.0
        self._again_set = False
        self._rescan()

    @property
    def unclaimed(self) -> int:
        """Drops seen but not claimed yet."""
        return sum(map(len, self._lanes)) + len(self._later)

    def look(self) -> None:
        """Something may have happened in the folder."""
        self._wanted = True

    def pump(self) -> float:
        """Do one slice of what there is to do; return the seconds until there may be more."""
        now = time.monotonic()
        if self._listing is not None:
            self._list(self._listing)
            return 0.0
        claimed = self._claim(now)
        if claimed == CLAIMS_A_TURN:
            return 0.0
        if self._wanted and not any(self._lanes):
            if now < self._not_before:
                return self._not_before - now
            self._wanted, self._listed, self._listing = False, [], self._intake.listing()
            return 0.0
        return 1.0 if any(self._lanes) else 3600.0  # no room: nobody may tell when there is again

    def _rescan(self) -> None:
        """The safety net: with no hint at all everything would still be found."""
        self._wanted = True
        self._loop.after(self._config.spool.rescan, self._rescan)

    def _list(self, listing: Iterator[list[Candidate]]) -> None:
        try:
            self._listed += next(listing)
            return
        except StopIteration:
            pass
        except OSError as error:
            self._complain("look", f"the drop folder cannot be read: {error}")
        self._listing, self._not_before = None, time.monotonic() + LOOK_PAUSE
        self._listed.sort(reverse=True)
        over = self._config.enqueuer.lanes.large_over
        self._lanes = ([c for c in self._listed if c.size <= over], [c for c in self._listed if c.size > over])
        self._intake.forget_unseen({candidate.name for candidate in self._listed})
        self._listed, self._later = [], []

    def _claim(self, now: float) -> int:
        """Claim what the windows have room for, the oldest first; return how many names were tried."""
        tried = 0
        for large, lane in enumerate(self._lanes):
            room = WINDOW - self._schedule.lane("waiting", large=bool(large))
            while lane and room > 0 and tried < CLAIMS_A_TURN and self._room(now):
                room -= self._take(lane.pop())
                tried += 1
        return tried

    def _take(self, candidate: Candidate) -> bool:
        id = 0
        try:
            id = self._ids.take(time.time_ns() // 1000)
            claim = self._intake.claim(candidate.name, id)
        except Refusal as refusal:
            self._refuse(candidate.name, str(refusal))
            return False
        except OSError as error:
            self._complain(
                error.strerror or "claim", f"{printable(candidate.name)} cannot be taken: {error.strerror}; it stays where it is"
            )
            claim = "later"
        if claim == "later":
            self._try_again(candidate)
        if claim != "taken":
            return False
        drop = os.fsdecode(taken(id, candidate.name))
        self._schedule.add(Entry(id, drop, candidate.size, time.monotonic()))
        return True

    def _refuse(self, name: bytes, reason: str) -> None:
        try:
            bad = self._intake.refuse(b"Submitted/" + name, name, reason)
        except OSError as error:
            self._complain("refuse", f"{printable(name)} ({reason}) cannot be renamed to .bad: {error.strerror}; it is left alone")
            return
        log.warning("%s refused: %s; it is %s now", printable(name), reason, printable(bad))
        self._refused()

    def _try_again(self, candidate: Candidate) -> None:
        self._later.append(candidate)
        if not self._again_set:
            self._again_set = True
            self._loop.after(AGAIN, self._again)

    def _again(self) -> None:
        self._again_set = False
        for candidate in self._later:
            self._lanes[candidate.size > self._config.enqueuer.lanes.large_over].append(candidate)
        self._later = []

    def _room(self, now: float) -> bool:
        """Whether the queue may take one more message. A full disk is looked at once a second."""
        limit = self._config.enqueuer.queue_limit
        if len(self._schedule) >= limit:
            self._complain("limit", f"queue_limit = {limit} messages reached: drops stay where they are until some have left")
            return False
        if now >= self._full_until:
            self._full_until = now + 1.0
            self._full = self._disk_full()
        return not self._full

    def _disk_full(self) -> bool:
        status, keep = os.statvfs("."), self._config.spool.min_free
        for what, free, total in (
            ("bytes", status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize),
            ("inodes", status.f_favail, status.f_files),
        ):
            if total and (what == "bytes" or keep.endswith("%")) and free < keep.of(total):
                self._complain("disk", f"less than min_free = {keep} of the disk's {what} are free: drops stay where they are")
                return True
        return False

    def _complain(self, about: str, text: str) -> None:
        """Log a lasting trouble once a minute."""
        now = time.monotonic()
        if now >= self._complained.get(about, 0.0):
            self._complained[about] = now + COMPLAIN_EACH
            log.warning("%s", text)
