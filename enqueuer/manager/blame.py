"""Who is to blame when a process dies or a filter does not answer, and when the limit is reached: attempts, suspects, Bad/.

    what happened                                            who is charged
    a processor died, not while it waited for a filter       its message
    a time-out, and the helper answered others meanwhile     the message that timed out
    queue manager, filterlink or supervisor died             no message; the active ones run one at a time:
                                                             charged before that run, refunded after it
    a helper that answers for others ended over it alone     the message that it scanned (filterlink/dispatch/suspects.py)
    REJECTED again, and the filter scanned others since      the message
    any other verdict, deferred and parked too; an outage    no message
    a filter submits it again and again                      its fingerprint (loops.py)

So a message that kills a processor, the queue manager or the whole engine ends in Bad/. The mail beside it does not.
"""

import logging
import time
from collections.abc import Callable, Iterable

from enqueuer.config.schema import EngineSettings
from enqueuer.ipc import frames
from enqueuer.ipc.scoreboard import Scoreboard
from enqueuer.log import facts, serverlog
from enqueuer.log.facts import Verdicts
from enqueuer.manager.loops import LoopDetector
from enqueuer.manager.schedule import Entry, Place, Schedule
from enqueuer.queue.message.timestamps import rfc3339, time_of_day
from enqueuer.queue.port import MessageStore
from filterlink.config.settings import OnRefused
from filterlink.log.complaints import Complaints

__all__ = ["Blame"]

log = logging.getLogger("QUEUE")
CLOCK_OF_FILES = 5
"""CLOCK_REALTIME_COARSE, the clock of file times. The time module has no name for it."""
LONGEST_PAUSE = 3600.0
"""Seconds between two tries of a message that a filter refuses for its own sake. If retry_after is longer, it counts."""
MOST_DOUBLED = 20
MAX_REASON = 500
"""Characters of a refusal that are kept and logged."""
MOST_LINES = 100
"""Lines a minute about messages that one filter refuses."""
AGAIN = 5.0
"""Seconds until the engine tries again to give up a message, after the disk had no room for it."""
NOTES = 10
"""Events of a message that are kept for its .why file."""


class Blame:
    """Part of the queue manager. `settle(entry, outcome)` commits the staged outputs, `refuse(entry, reason)` gives a drop back.

    `put_off(entry, seconds, reason)` has the message tried again later, if the disk has no room to give it up now.
    """

    def __init__(
        self,
        store: MessageStore,
        board: Scoreboard,
        schedule: Schedule,
        settle: Callable[[Entry, frames.Outcome], None],
        refuse: Callable[[Entry, str], None],
        put_off: Callable[[Entry, float, str], None],
    ) -> None:
        self.attempts = store.attempts()
        self.most = 5
        self._loops = LoopDetector()
        self.given_up: Callable[[int], None] = lambda _id: None
        """Called with the id of each message that goes to Bad/ from here."""
        self._store = store
        self._board = board
        self._schedule = schedule
        self._settle = settle
        self._refuse = refuse
        self._put_off = put_off
        self._complaints = Complaints(log, logging.ERROR)
        self._refusals = Complaints(log, burst=MOST_LINES)

    def configure(self, settings: EngineSettings) -> None:
        self.most = settings.max_attempts
        self._loops.most = settings.max_hops

    def begin(self, entry: Entry) -> tuple[tuple[bytes, str], ...]:
        """Note the start of a dispatch; return the closed and watched fingerprints, which the processor must know."""
        entry.begun = entry.begun or time.clock_gettime_ns(CLOCK_OF_FILES)
        return self._loops.closed(entry.begun)

    def decided(self, entry: Entry, told: frames.Outcome | frames.Deferred) -> None:
        """Pass an answer to the loop detector: a filter may have submitted again any message that it stops, defers or lets pass."""
        if not told.judged_by:
            return
        disposition = told.disposition if isinstance(told, frames.Outcome) else "deferred"
        times = told.created, entry.begun, time.clock_gettime_ns(CLOCK_OF_FILES), time.time_ns()
        if disposition == "enqueued":
            found = self._loops.passed(told.kinds[0], told.judged_by, *times)
        elif disposition == "deferred":
            found = self._loops.deferred(told.kinds[0], told.judged_by, *times)
        else:
            found = self._loops.stopped(told.kinds, told.judged_by, *times)
        if found:
            what = "discards this message and submits it" if disposition == "discarded" else "submits this message"
            log.warning("mail loop: filter %s %s again each time", told.judged_by, what, extra=serverlog.message_tag(entry.id))

    def pardon(self, id: int) -> None:
        """Forget the charges of a message that an administrator has scanned again, and all closed loops."""
        self.attempts.forget(id)
        self._loops.forget()

    def suspect(self, ids: Iterable[int]) -> None:
        """Mark messages that were active when the process died: from now on they run one at a time."""
        for id in ids:
            entry = self._schedule.entries.get(id)
            if entry is not None and entry.state == "waiting":
                self._schedule.suspect(entry)
                self._note(entry, "a processor worked on it when the engine or its queue manager ended: it runs alone")

    def admit(self, entry: Entry) -> bool:
        """Return whether an active message may go to a processor. A suspect is charged now; at the limit it goes to Bad/."""
        if self.doomed(entry):
            return False
        if not entry.suspect:
            return True
        if self.attempts.of(entry.id) >= self.most:
            self._give_up(entry, "the engine or its queue manager ended while this message was being scanned")
            return False
        self.attempts.charge(entry.id)
        return True

    def cleared(self, entry: Entry) -> None:
        """Note that its processor answered: this time the message killed no process."""
        if entry.suspect:
            entry.suspect = False
            self.attempts.refund(entry.id)

    def killed(self, entry: Entry, *, waiting: bool) -> float | None:
        """Charge a message whose processor died over it. While the processor waited for a filter, the message is not charged.

        Return the seconds until it is scanned again. None: it reached the limit, and goes to Bad/.
        """
        entry.deaths += 1
        if waiting:
            log.warning(
                "the processor ended while the message waited for a filter; the message is scanned again",
                extra=serverlog.message_tag(entry.id),
            )
            return 0.0
        count = self.attempts.of(entry.id) if entry.suspect else self.attempts.charge(entry.id)
        self._note(entry, f"the processor ended while it scanned this message, {count} of {self.most} times")
        if self._enough(entry, count, f"processors ended {count} times while they scanned this message"):
            return None
        return 0.0 if entry.deaths == 1 else 0.1 * 2**entry.deaths

    def overdue(self, entry: Entry, filter: str) -> bool:
        """Charge a message for which a filter did not answer, although it answered for others. True: it reached the limit."""
        count = self.attempts.charge(entry.id)
        self._note(entry, f"{filter} did not answer in time, {count} of {self.most} times")
        return self._enough(entry, count, f"{filter} did not answer for it {count} times, while it answered for others", filter)

    def refused(self, entry: Entry, frame: frames.Deferred, policy: OnRefused, pause: float) -> float:
        """Note that a filter which scans others refused it again. Return the seconds until the next try; they do not count if it was given
        up now.

        The pause doubles with each refusal. `policy`: where the message goes after the last one.
        """
        entry.refusals = count = entry.refusals + 1
        text = f"{frame.filter} refused it again, and scanned other messages in between ({count} of {self.most} times): {frame.reason}"
        self._remember(entry, text[:MAX_REASON])
        self._refusals.say(frame.filter, text[:MAX_REASON], serverlog.message_tag(entry.id))
        if policy != "defer" and count >= self.most:
            entry.rule = frame.rule
            reason = f"{frame.filter} refused it {count} times, while it scanned others: {frame.reason}"
            self._give_up(entry, reason, frame.filter, "quarantine" if policy == "quarantine" else "bad")
        return min(pause * 2.0 ** min(count, MOST_DOUBLED), max(pause, LONGEST_PAUSE))

    def guilty(self, entry: Entry, filter: str, reason: str) -> None:
        """Charge a message over which a helper ended while it scanned this message alone. The filter answers for others."""
        count = self.attempts.charge(entry.id)
        self._note(entry, f"a helper of {filter} ended while it scanned this message alone, {count} of {self.most} times: {reason}")
        if count >= self.most:
            entry.doom = (f"{count} helpers of {filter} ended while they scanned this message", filter, "bad")
            if entry.state not in ("active", "settling"):
                self.doomed(entry)

    def doomed(self, entry: Entry) -> bool:
        """Give a message up if that is decided; return whether it is. A message that a processor has is given up when it comes back."""
        if entry.doom is None:
            return False
        self._give_up(entry, *entry.doom)
        return True

    def _enough(self, entry: Entry, count: int, reason: str, filter: str | None = None) -> bool:
        if count < self.most:
            return False
        self._give_up(entry, reason, filter)
        return True

    def _give_up(self, entry: Entry, reason: str, filter: str | None = None, place: Place = "bad") -> None:
        """Send a message to Bad/ (or Quarantine/), as it was scanned, with the reason. A drop that was never ingested goes back to its
        writer.
        """
        try:
            self._set_aside(entry, reason, filter, place)
        except OSError as error:
            self._complaints.say(f"give up {error.errno}", f"[{entry.id}] cannot be given up now: {error}; the engine tries again")
            entry.doom = (reason, filter, place)
            self._put_off(entry, AGAIN, str(error))

    def _set_aside(self, entry: Entry, reason: str, filter: str | None, place: Place) -> None:
        self.given_up(entry.id)
        if not entry.durable and not self._store.is_whole(entry.id):
            self._refuse(entry, reason)
            return
        if not entry.counted:
            entry.counted = True
            self._board.add("received")
        entry.n = self._board.next_dispatch()
        disposition = "quarantined" if place == "quarantine" else "bad"
        why: dict[str, object] = {"id": entry.id, "fate": disposition, "reason": reason, "filter": filter, "rule": entry.rule or None}
        now = time.time()
        why |= {"attempts": max(self.attempts.of(entry.id), entry.refusals), "time": rfc3339(now)}
        outcome = frames.Outcome(entry.id, entry.n, disposition, (), reason, (0, 0))
        if (head := self._store.head(entry.id)) is not None:
            verdicts = Verdicts.of(entry.verdicts)
            why |= facts.document(head.envelope, head.header, verdicts, now - head.came / 1e9)
            outcome.facts = facts.before(head.envelope, head.header), facts.after(verdicts.answers, head.header)
            outcome.stamp = head.came, 0
        outcome.places = self._store.set_aside(entry.id, entry.n, place, why | {"log": list(entry.notes)})
        self._schedule.settle(entry)
        self._settle(entry, outcome)

    def _note(self, entry: Entry, text: str) -> None:
        log.warning("%s", text, extra=serverlog.message_tag(entry.id))
        self._remember(entry, text)

    def _remember(self, entry: Entry, text: str) -> None:
        entry.notes = (*entry.notes, f"{time_of_day(int(time.time()))} {text}")[-NOTES:]
