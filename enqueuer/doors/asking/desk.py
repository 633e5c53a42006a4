"""The desk of a door process: receives messages, walks the rules, asks the filters, and decides in time.

    begin  -> receiving -> submit -> asking -> decided
                 |                     |
               cancel                cancel: filterlink gets Abandon, the file is removed
                                     answer_within is over: the door answers. If it defers, the scan goes on, and its answer is kept

After a fault of ours (a full disk, a lost file) the cause is `trouble`: on_failure of the door says what follows.
"""

import logging
import time
from collections.abc import Callable
from functools import partial

from enqueuer.config.doors import Door
from enqueuer.config.schema import Config
from enqueuer.doors.asking.decision import AskedContent, Cause, DoorDecision, cause_of, decided
from enqueuer.doors.asking.handover import CopyForQueue, CopyWriter
from enqueuer.doors.asking.kept import KeptAnswers, KeptOfMessage
from enqueuer.doors.asking.mail import AskedMail
from enqueuer.doors.asking.report import cancelled_line, decided_line
from enqueuer.doors.asking.scanlink import ScanLink
from enqueuer.doors.asking.sessionlines import envelope_of, received
from enqueuer.doors.asking.split import SplitDecision, most_severe, split
from enqueuer.ipc.doortallies import DoorTally
from enqueuer.ipc.ruletallies import TallySlot
from enqueuer.log import ruletrail, serverlog
from enqueuer.log.facts import Verdicts
from enqueuer.policy import rules
from enqueuer.policy.active import ActivePolicy
from enqueuer.policy.facts import Facts
from enqueuer.queue.directory.asked import AskedFile, DoorIds
from enqueuer.queue.message.header import hops
from enqueuer.system.remembered import RememberedLists
from filterlink.log.complaints import Complaints
from filterlink.wire.frames import Ask, FilterAnswer
from filterlink.wire.loop import Loop, Timer

__all__ = ["AskedMessage", "ScanDesk"]

log = logging.getLogger("DOOR")

AGAIN = 0.25
"""Seconds until a message walks the rules again, after a filter was changed or removed."""
MAX_LATE = 100
"""Messages whose scan goes on after the door has answered. With one more, the oldest scan is abandoned."""
LONGEST_LATE = 600.0
"""Seconds for which such a scan may go on."""
TAG = "DOOR"


class ScanDesk:
    """The part of a door process that all its messages share."""

    def __init__(self, loop: Loop, link: ScanLink, ids: DoorIds, domain: str) -> None:
        self.loop = loop
        self.link = link
        self.ids = ids
        self.domain = domain
        self.kept = KeptAnswers()
        self.handover = CopyWriter(loop)
        self.remembered = RememberedLists()
        self.tally: TallySlot | None = None
        """Counts the rules that messages meet."""
        self.revision = 0
        """Counts the revisions of the configuration, and each time when the filters have followed."""
        self.keeps = False
        """Whether the filters have followed. Until then some answers are those of older settings."""
        self.complaints = Complaints(log)
        self.late: dict[AskedMessage, None] = {}
        """Messages that a filter still scans after the door has answered: the oldest first."""

    def configure(self, config: Config) -> None:
        """Take a revision of the configuration. Messages that wait for a filter continue with the new rules."""
        self.config = config
        self.policy = ActivePolicy.of(config)
        if self.tally is not None:
            self.tally.configure(rule.name for rule in self.policy.rules.active)
        self.kept.clear()
        self.revision += 1
        self.keeps = False

    def active(self) -> None:
        """Note that all filters scan by the settings of this revision: from now on answers about new messages are kept."""
        if not self.keeps:
            self.keeps = True
            self.revision += 1

    def begin(self, door: Callable[[], Door], tally: DoorTally, mail: AskedMail) -> "AskedMessage":
        """Begin a message. `door`: returns the active settings."""
        return AskedMessage(self, door, tally, mail, self.ids.take(time.time_ns() // 1000))

    def close(self) -> None:
        """Abandon the scans for which no client waits."""
        for each in list(self.late):
            each.finish()
        self.handover.close()


class AskedMessage:
    """One message, from its first byte until its file is removed."""

    def __init__(self, desk: ScanDesk, door: Callable[[], Door], tally: DoorTally, mail: AskedMail, id: int) -> None:
        self.id = id
        self.mail = mail
        self._desk = desk
        self._door = door
        self._tally = tally
        self._began = time.monotonic()
        self._answer: Callable[[DoorDecision], None] | None = None
        self._trouble = ""
        self._verdicts = Verdicts({}, {})
        self._revision = desk.revision
        self._asked = ""
        """The filter that scans the message now; "" = none."""
        self._since = 0.0
        self._n = 0
        self._timer: Timer | None = None
        self._again: Timer | None = None
        self._header = b""
        """The header, or the begin of a long one."""
        self._lacks: Callable[[DoorDecision], str] | None = None
        self._decided = self._over = False
        now = time.time()
        self._envelope = envelope_of(mail, door(), desk.domain, now)
        self._file = AskedFile(id, self._envelope, received(mail, desk.domain, id, now))
        self._kept = KeptOfMessage(desk.kept, mail, self._file.content)

    def write(self, data: bytes) -> None:
        if self._trouble or self._over:
            return
        try:
            self._file.write(data)
        except OSError as error:
            self._fail(f"its file cannot be written: {error.strerror}")

    def submit(self, answer: Callable[[DoorDecision], None], lacks: Callable[[DoorDecision], str] | None = None) -> None:
        self._answer = answer
        self._lacks = lacks
        if self._over:
            return
        try:
            if not self._trouble:
                self._file.finish()
        except OSError as error:
            self._fail(f"its file cannot be written: {error.strerror}")
        self._header = self._file.header_begin
        self._timer = self._desk.loop.after(self._door().answer_within, self._late)
        self._walk()
        self._file.release()

    def cancel(self) -> None:
        if self._decided or self._over:
            return
        if self._answer is not None:
            self._answer = None
            self._tally.cancelled += 1
        serverlog.tell(log, self.id, cancelled_line(self._door().name, self.mail, self._asked, self._seconds), TAG)
        self.finish()

    def finish(self) -> None:
        """End the message: remove its file, and abandon its scan."""
        self._over = True
        for timer in (self._timer, self._again):
            if timer is not None:
                timer.cancel()
        self._desk.late.pop(self, None)
        self._desk.link.abandon(self.id)
        self._file.remove()

    # The walk through the rules

    def _walk(self) -> None:
        self._again = None
        if self._trouble:
            self._decide(Cause.TROUBLE, rules.RuleOutcome(rules.Disposition.DEFERRED, self._trouble))
            return
        config = self._desk.config
        if (passed := hops(self._header).count) > config.enqueuer.max_hops:
            reason = f"mail loop: the message has passed {passed} hops"
            self._decide(Cause.LOOP, rules.RuleOutcome(rules.Disposition.BAD, reason))
            return
        try:
            result = self._follow_rules()
        except OSError as error:
            self._fail(f"its file cannot be read: {error.strerror}")
            self._walk()
            return
        self._ask(result.filter) if isinstance(result, rules.AskFilter) else self._conclude(result)

    def _follow_rules(self) -> rules.AskFilter | rules.Ruling:
        """Walk the rules, with the answers that were kept. Raises OSError."""
        answers = self._verdicts.answers
        while isinstance(result := rules.decide(self._desk.policy.rules, self._facts(), answers), rules.AskFilter):
            if (known := self._kept.find(time.monotonic(), result.filter)) is None:
                return result
            answers[result.filter] = known
            self._verdicts.seconds[result.filter] = 0.0
        return result

    def _facts(self) -> Facts:
        desk = self._desk
        return desk.policy.facts(self.id, self._file.size, self._envelope, self._file.header, desk.remembered.read, now=time.time())

    def _ask(self, filter: str) -> None:
        self._asked = filter
        self._since = time.monotonic()
        self._n += 1
        size = self._file.size
        large = size > self._desk.config.enqueuer.lanes.large_over
        self._desk.link.ask(Ask(self.id, self._n, filter, large, size, park=False, asked=True), self._answered)

    def _answered(self, answer: FilterAnswer | None) -> None:
        filter = self._asked
        self._asked = ""
        if answer is None:
            if self._decided:
                self.finish()
            else:
                self._again = self._desk.loop.after(AGAIN, self._walk)
            return
        self._verdicts.answers[filter] = answer
        self._verdicts.seconds[filter] = time.monotonic() - self._since
        if self._decided:  # the door has answered meanwhile
            self._keep()
            self.finish()
        else:
            self._walk()

    # The end

    def _conclude(self, ruling: rules.Ruling) -> None:
        """Decide by the outcomes of the rules."""
        trail = (
            rules.explain(self._desk.policy.rules, self._facts(), self._verdicts.answers)
            if self._lacks is None or ruletrail.explains()
            else ()
        )
        if self._desk.tally is not None:
            self._desk.tally.count(ruling.met)
        ruletrail.report(self.id, ruling, lambda: trail)
        self._desk.handover.remember(self._door(), ruling)
        found = [self._decision(cause_of(each, self._verdicts), each, trail) for each in ruling.outcomes]
        if len(found) == 1:
            self._end(found[0])
        elif self._lacks is None:
            self._end(most_severe(found))
        elif not (one := split(found)).handed or self._lacks(one.decision):
            self._end(one.decision)
        else:
            self._hand_over(one)

    def _hand_over(self, found: SplitDecision) -> None:
        """Give the queue a copy for some recipients, and then answer."""
        mail = self.mail
        if self._timer is not None:
            self._timer.cancel()
        copy = CopyForQueue(self.id, mail.sender, found.handed, mail.client, self._desk.config.spool.suffixes[0])
        self._desk.handover.give(copy, partial(self._handed, found.decision))

    def _handed(self, decision: DoorDecision, trouble: str) -> None:
        if self._over:
            return
        if trouble:
            self._desk.complaints.say("copy", f"a message is deferred: {trouble}")
            self._decide(Cause.NOT_HANDED, rules.RuleOutcome(rules.Disposition.DEFERRED, trouble))
        else:
            self._end(decision)

    def _decide(self, cause: Cause, result: rules.RuleOutcome) -> None:
        self._end(self._decision(cause, result))

    def _decision(self, cause: Cause, result: rules.RuleOutcome, trail: tuple[str, ...] = ()) -> DoorDecision:
        content = AskedContent(self.id, self.mail.recipients, self._file.header)
        return decided(cause, self._door(), content, result, self._verdicts, trail)

    def _end(self, found: DoorDecision) -> None:
        """Answer the session."""
        answer = self._answer
        self._answer = None
        self._decided = True
        self._tally.count(found.action)
        serverlog.tell(log, self.id, decided_line(self._door().name, self.mail, self._header, found, self._seconds), TAG)
        if found.action == "tempfail":
            self._keep()
        if self._asked and found.action == "tempfail":  # late: the MTA will ask again
            self._go_on_late()
        else:
            self.finish()
        if answer is not None:
            answer(found)

    def _late(self) -> None:
        """Decide without the filter, because answer_within is over."""
        filter = self._asked
        reason = f"no answer of {filter} within {self._door().answer_within:g} s" if filter else "no outcome in time"
        self._decide(Cause.LATE, rules.RuleOutcome(rules.Disposition.DEFERRED, reason, filter))

    def _go_on_late(self) -> None:
        """Let the scan go on, so that the next try of the MTA finds its answer."""
        desk = self._desk
        desk.late[self] = None
        self._timer = desk.loop.after(LONGEST_LATE, self.finish)
        if len(desk.late) > MAX_LATE:
            next(iter(desk.late)).finish()

    def _keep(self) -> None:
        """Keep the new answers for the next try of the MTA. Those of a message that was begun in an earlier revision are not kept."""
        if self._desk.keeps and self._revision == self._desk.revision:
            self._kept.keep(time.monotonic(), self._verdicts.answers)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _fail(self, trouble: str) -> None:
        """Note a fault of ours. The decision reports it to the session."""
        self._trouble = trouble
        self._desk.complaints.say("file", f"a message cannot be scanned: {trouble}")
