"""Take mail from the drop folder: when to list it, what to claim next, when to leave drops where they are.

Hints (from the watcher, or a rescan timer) ask for listings. A listing runs in slices, so that a million names stop no other
work. Claims stay a window ahead of the processors. Each lane has its own window: large drops must not hide the small ones behind
them.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator

from enqueuer.config import schema as configs
from enqueuer.doors.admission import PAUSE
from enqueuer.ipc.scoreboard import StuckDrops
from enqueuer.log import serverlog
from enqueuer.manager.backlog import Backlog, pack, unpack
from enqueuer.manager.denied import Denied
from enqueuer.manager.pauses import IntakePause
from enqueuer.manager.schedule import Entry, Schedule
from enqueuer.queue.directory.disk import no_room
from enqueuer.queue.directory.intake import SLICE, Candidate, Intake, Refusal
from enqueuer.queue.message.printable import printable
from enqueuer.queue.port import Accepted, Ids, MessageStore
from filterlink.log.complaints import Complaints
from filterlink.wire.loop import Loop

__all__ = ["Spooler", "tell_received"]

log = logging.getLogger("SPOOL")
log_of_queue = logging.getLogger("QUEUE")

WINDOW = 1000
"""Claimed messages that wait in each lane. More would only move names from one folder to another."""
CLAIMS_A_TURN = 8
"""Claims in one turn of the loop, about 0.4 ms: outcomes and processors get their turn in between."""
LOOK_PAUSE = 0.001
"""Seconds between two listings while hints keep coming. A burst of events is one listing, and each message feels the wait."""
UNWATCHED = 2.0
"""Seconds at most that the first listing waits for the watcher. A listing before it watches would have to be repeated."""
AGAIN = 0.5
"""Seconds until incomplete drops are tried again."""
AGAIN_EACH = 0.0001
"""Seconds for each incomplete drop, if their sum is longer than AGAIN. A try takes a quarter of it."""
MAX_REFUSALS = 100
"""Lines of the log in a minute that name a refused drop. Each drop has its reason in a file beside it."""
STUCK_EACH = 2.0
"""Seconds between two listings while the folder has files that are not taken."""
MAX_EXAMPLE = 200
"""Characters of a name that the status shows."""
MAX_REASONS = 20
UNHURRIED = 20
"""The pause while one lane has no room, as a multiple of the time of the last listing: listings cost at most 5 % of the time."""


class Spooler:
    """Turns complete drops into messages of the schedule."""

    def __init__(
        self,
        loop: Loop,
        store: MessageStore,
        intake: Intake,
        ids: Ids,
        schedule: Schedule,
        config: configs.Config,
        refused: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._intake = intake
        self._ids = ids
        self._schedule = schedule
        self._config = config
        self._store = store
        self._refused = refused
        self._wanted = True
        self._not_before = time.monotonic() + UNWATCHED
        self._unhurried = 0.0
        self._listing: Iterator[list[Candidate]] | None = None
        self._began = 0.0
        self._lanes = _lanes()
        self._later = list[bytes]()
        self._listed = _lanes()
        self._listed_later = list[bytes]()
        self._denied = Denied()
        self._refusals = 0
        self._refusals_until = 0.0
        self._complaints = Complaints(log)
        self._pause = IntakePause()
        self.stuck: tuple[StuckDrops, ...] = ()
        """Files in the folder that are not taken, as of the last listing."""
        self._again_set = False
        self._rescan()

    @property
    def unclaimed(self) -> int:
        """Drops that were seen but not claimed yet."""
        return sum(map(len, self._lanes)) + len(self._later)

    def paused(self, now: float) -> str | None:
        """Return why no drop is taken, in one line; None: drops are taken."""
        return self._pause.why(now, len(self._schedule), self._config)

    def configure(self, config: configs.Config) -> None:
        """Apply other settings. Names that were skipped under the old ones are listed again."""
        self._config = config
        self._intake.configure(config.spool.suffixes, config.spool.max_size)
        self._wanted = True

    def watched(self) -> None:
        """Note that the watcher watches the folder from now on, and list it: earlier changes came without a hint."""
        self._wanted = True
        self._not_before = 0.0

    def look(self) -> None:
        """List the folder soon: something may have changed there."""
        self._wanted = True

    def pump(self) -> float:
        """Do one slice of the work; return the seconds until there may be more."""
        now = time.monotonic()
        if self._listing is not None:
            self._list(self._listing, now)
            return 0.0
        if self._claim(now) == CLAIMS_A_TURN:
            return 0.0
        if self.stuck and now > self._unhurried + STUCK_EACH:
            self._wanted = True  # no hint comes when a file is removed
        if self._wanted and not all(self._lanes):
            # drops of a full lane must not hide those of the other lane, but each listing has them again
            not_before = self._unhurried if any(self._lanes) else self._not_before
            if now < not_before:
                return not_before - now
            self._begin(now)
            return 0.0
        return 1.0 if any(self._lanes) else 3600.0  # no room: no hint may come when there is room again

    def refuse_claimed(self, entry: Entry, reason: str) -> bool:
        """Refuse a claimed drop that could not become a message. False: not now, because the reason cannot be written."""
        name = self._store.name(entry.ref) or b""
        try:
            self._tell_refused(name, self._store.refuse(entry.id, entry.ref, reason), reason)
        except OSError as error:
            self._complaints.say("refuse", f"{printable(name)} ({reason}) cannot be renamed to .bad: {error.strerror}; tried again")
            return False
        return True

    def give_back(self, entry: Entry) -> bool:
        """Give back a drop whose writer went on after it was taken. It is taken again when it has rested. False: not now."""
        try:
            name = self._store.give_back(entry.id, entry.ref)
        except OSError as error:
            self._complaints.say(
                "give back", f"{printable(self._store.name(entry.ref) or b'')} cannot go back: {error.strerror}; the engine tries again"
            )
            return False
        if name is not None:
            self._intake.changed(name, time.monotonic() - entry.since)
            text = "%s was changed after it was taken: it is back in the drop folder, and nothing of it has been passed on"
            log_of_queue.warning(text, printable(name), extra=serverlog.message_tag(entry.id))
        self._wanted = True
        return True

    def _rescan(self) -> None:
        """List the folder without a hint: the safety net that finds every drop."""
        self._wanted = True
        self._loop.after(self._config.spool.rescan, self._rescan)

    # ---- listings

    def _begin(self, now: float) -> None:
        self._listing = self._intake.listing()
        self._wanted = False
        self._began = now
        self._listed = _lanes()
        self._listed_later = []

    def _list(self, listing: Iterator[list[Candidate]], now: float) -> None:
        try:
            self._sort(next(listing), now)
        except StopIteration:
            self._listing = None
            self._not_before = now + LOOK_PAUSE
            self._unhurried = now + UNHURRIED * (now - self._began)
            self._lanes = self._listed
            self._later = self._listed_later
            self._pause.unreadable = ""
            self._tell_unseen()
            self._denied.forget_unseen_since(self._began)
            self.stuck = self._stuck()
            self._try_later()
        except OSError as error:
            self._pause.unreadable = f"the drop folder cannot be read: {error.strerror}"
            self._complaints.say("look", self._pause.unreadable)
            self._listing = None
            self._wanted = True
            self._not_before = now + PAUSE
            self._unhurried = now + PAUSE

    def _sort(self, candidates: list[Candidate], now: float) -> None:
        """Put listed drops into the lanes, except those that could not be taken a moment ago."""
        barred = {each.name for each in candidates if self._denied.bars(each, now) or self._intake.resting(each)}
        self._listed_later += (pack(each) for each in candidates if each.name in barred)
        self._fill(self._listed, (each for each in candidates if each.name not in barred))

    def _fill(self, lanes: tuple[Backlog, Backlog], candidates: Iterable[Candidate]) -> None:
        over = self._config.enqueuer.lanes.large_over
        both: tuple[list[Candidate], list[Candidate]] = ([], [])
        for candidate in candidates:
            both[candidate.size > over].append(candidate)
        for lane, theirs in zip(lanes, both, strict=True):
            lane.add(theirs)

    # ---- claims

    def _claim(self, now: float) -> int:
        """Claim as many drops as the windows have room for, the oldest first; return how many names were tried."""
        tried = 0
        for large, lane in enumerate(self._lanes):
            room = WINDOW - self._schedule.lane("waiting", large=bool(large))
            while lane and room > 0 and tried < CLAIMS_A_TURN and self._room(now):
                room -= self._take(lane.pop())
                tried += 1
        return tried

    def _take(self, candidate: Candidate) -> bool:
        try:
            id = self._ids.take(time.time_ns() // 1000)
            try:
                accepted = self._store.accept(id, candidate.name)
            except Refusal as refusal:
                self._tell_refused(candidate.name, self._store.refuse_drop(candidate.name, str(refusal)), str(refusal))
                return False
        except OSError as error:
            self._failed(candidate, error)
            return False
        if accepted == "later":
            self._later.append(pack(candidate))
            self._try_later()
        if not isinstance(accepted, Accepted):
            return False
        self._schedule.add(Entry(id, accepted.ref, candidate.size, time.monotonic()))
        return True

    def _tell_refused(self, name: bytes, bad: bytes | None, reason: str) -> None:
        if bad is not None:
            self._tell_refusal(f"{printable(name)} refused: {reason}; it was renamed to {printable(bad)}")
            self._refused()

    def _tell_refusal(self, text: str) -> None:
        """Log a refused drop by its name, as long as there are few."""
        if (now := time.monotonic()) >= self._refusals_until:
            self._refusals = 0
            self._refusals_until = now + 60
        self._refusals += 1
        if self._refusals <= MAX_REFUSALS:
            log.warning("%s", text)
        else:
            self._complaints.say("refused", f"{text}; the log does not name every refused drop: the .bad.why of each has the reason")

    def _stuck(self) -> tuple[StuckDrops, ...]:
        """Return the files of the folder that are not taken, by reason."""
        unread = {f"cannot be read: {os.strerror(code)}": (count, name) for code, (name, count) in self._intake.unseen.items()}
        found = self._intake.ignored | unread | self._denied.reasons()
        return tuple(StuckDrops(why, count, printable(name)[:MAX_EXAMPLE]) for why, (count, name) in list(found.items())[:MAX_REASONS])

    def _tell_unseen(self) -> None:
        for code, (name, count) in self._intake.unseen.items():
            more = f" and {count - 1} more" if count > 1 else ""
            self._complaints.say(f"unseen {code}", f"{printable(name)}{more} in the drop folder cannot be read: {os.strerror(code)}")

    def _failed(self, candidate: Candidate, error: OSError) -> None:
        """Handle a drop that can be neither claimed nor refused: the machine has no room now, or the folder's mode forbids it."""
        if no_room(error):
            self._complaints.say(str(error.errno), self._pause.failed(time.monotonic(), error))
            self._fill(self._lanes, (candidate,))
            return
        self._denied.note(candidate, time.monotonic(), f"cannot be taken: {error.strerror}")
        self._complaints.say(f"claim {error.errno}", f"{printable(candidate.name)} cannot be taken: {error.strerror}; it stays where it is")
        self._later.append(pack(candidate))
        self._try_later()

    def _try_later(self) -> None:
        if self._later and not self._again_set:
            self._again_set = True
            self._loop.after(max(AGAIN, AGAIN_EACH * len(self._later)), self._again)

    def _again(self) -> None:
        self._again_set = False
        now = time.monotonic()
        later = self._later
        self._later = []
        for at in range(0, len(later), SLICE):
            candidates = list(map(unpack, later[at : at + SLICE]))
            barred = {each.name for each in candidates if self._denied.bars(each, now)}
            self._later += (pack(each) for each in candidates if each.name in barred)
            self._fill(self._lanes, (each for each in candidates if each.name not in barred))
        self._try_later()

    def _room(self, now: float) -> bool:
        """Return whether the queue may take one more message."""
        why = self._pause.no_room(now, len(self._schedule), self._config)
        if why:
            self._complaints.say(why.partition(" ")[0], why)
        return not why


def tell_received(id: int, name: bytes | None, sender: bytes, size: int, dropper: int | None) -> None:
    """Write the message's first line in the log. `name`: that of its source. The line ends with the dropper, if that is not the engine."""
    source = "found in the queue" if name is None else printable(name)
    by = "" if dropper is None else f", uid {dropper}"
    serverlog.tell(log_of_queue, id, f"from <{printable(sender)}>, {size} bytes, {source}{by}")


def _lanes() -> tuple[Backlog, Backlog]:
    """Make the backlogs of small and large drops."""
    return Backlog(), Backlog()
