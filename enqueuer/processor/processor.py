"""A processor: take one message at a time from claim to staged outcome. It decides no order and commits nothing.

Ends: by Exit; by garbage from a peer; by an exception other than OSError and ValueError (exit code 70, a traceback in the
log, the message charged unless it waited for a filter); 10 s after the queue manager's death, if no kill comes.
Only logged: OSError and ValueError over a message. It reports Trouble, and the message is tried again.
"""

import errno
import logging
import select
import socket
import time
from collections.abc import Sequence
from typing import NoReturn

import msgspec

from enqueuer.ipc import frames
from enqueuer.ipc.child import FILTERLINK, MANAGER, SUPERVISOR, Birth, EngineEnded
from enqueuer.ipc.timings import PROCESSOR, StageTimings
from enqueuer.log import ruletrail, serverlog
from enqueuer.log.facts import Verdicts
from enqueuer.policy import rules
from enqueuer.policy.active import ActivePolicy
from enqueuer.policy.facts import Facts
from enqueuer.processor.correspondence import Correspondence
from enqueuer.processor.fingerprints import Fingerprints
from enqueuer.processor.holding import put_on_hold
from enqueuer.processor.outputs import ORDER, Outputs
from enqueuer.processor.reasons import facts_of, fitting, why
from enqueuer.queue.directory import ingest, stage
from enqueuer.queue.directory.disk import Disk, no_room
from enqueuer.queue.directory.workspace import DirectoryWorkspace
from enqueuer.queue.message import trace
from enqueuer.queue.message.printable import printable
from enqueuer.queue.message.timestamps import in_envelopes
from enqueuer.system.remembered import RememberedLists
from filterlink.wire.client import Client
from filterlink.wire.frames import AnswerKind, Ask, Park
from filterlink.wire.link import Channel

__all__ = ["Processor", "run"]

log = logging.getLogger("ENQUEUER")

LINK_GRACE = 10.0
"""Seconds that the supervisor gets to end a processor whose queue manager has died."""
SOON_MS = 2
"""Milliseconds. If the verdict comes within this time, one frame reports the message file and the verdict. It must be short: if the
queue manager dies meanwhile, it does not know of the message file, and the log has no line about its arrival.
"""
Answer = frames.Outcome | frames.Deferred | frames.Parked | frames.DropRefused | frames.Trouble


def run(birth: Birth) -> None:
    """Run a processor process from start to end."""
    processor = Processor(birth)
    try:
        while True:
            processor.work()
    except EngineEnded:
        pass


class Processor:
    def __init__(self, birth: Birth) -> None:
        self._birth = birth
        self._disk = Disk()
        self._workspace = DirectoryWorkspace(self._disk)
        self._fingerprints = Fingerprints(self._workspace)
        self._remembered = RememberedLists()
        self._tally = birth.board.rules.slot(birth.slot)
        self._domain = socket.gethostname() or "localhost"
        self._by = trace.domain(self._domain)
        self._supervisor = Channel(birth.call(SUPERVISOR))
        self._manager = Channel(birth.call(MANAGER))
        self._filters = Client(FILTERLINK, birth.hello)
        self._timings = StageTimings(birth.board.processor_timings(birth.slot), PROCESSOR)
        self._polls: dict[int, select.poll] = {}
        self._untold: frames.Ingested | None = None
        """A message file that the queue manager does not know of yet."""
        self._compile()
        self._say("idle")

    def work(self) -> None:
        """Wait for one job and do it. Raises EngineEnded when no more jobs will come."""
        self._wait(self._manager.fileno())
        data = self._manager.receive()
        if not data:
            self._await_the_end()
        match frames.decode_from_manager(data):
            case frames.Leave():
                raise EngineEnded
            case job:
                self._timings.start(job.n, "reading")
                if job.revision != self._birth.revision:
                    self._take(job.revision)
                self._answer(self._judge(job))
                self._say("idle")

    def _judge(self, job: frames.Job) -> Answer:
        """Scan a message, stage what its outcome needs, and return the answer. A disk error is an answer, too."""
        try:
            message = self._message(job)
            if job.hold:
                return put_on_hold(self._disk, job, message)
            return self._circling(job, message) or self._decide(job, message)
        except ingest.InvalidDrop as refused:
            return frames.DropRefused(job.id, job.n, str(refused))
        except FileNotFoundError as error:
            if job.ref and not job.ingested:
                return frames.DropRefused(job.id, job.n, "it was removed before it could be read")
            return frames.Trouble(job.id, job.n, str(error), kind=_kind(error))
        except (OSError, ValueError) as error:
            return frames.Trouble(job.id, job.n, str(error), isinstance(error, OSError) and no_room(error), _kind(error))

    def _message(self, job: frames.Job) -> ingest.MessageFile:
        self._say("reading", job)
        store = self._workspace
        message = store.load(job.id, job.stamp) if job.ingested else store.lease(job.id, job.ref, _now(), self._domain)
        if job.first:
            envelope = message.envelope
            self._untold = frames.Ingested(job.id, job.n, message.stamp, envelope.sender, message.size, envelope.dropper)
        return message

    def _decide(self, job: frames.Job, message: ingest.MessageFile) -> Answer:
        policy = self._policy
        facts = policy.facts(
            job.id,
            message.size,
            message.envelope,
            lambda: self._workspace.header(message),
            self._remembered.read,
            now=time.time(),
            attempts=job.attempts,
        )
        verdicts = Verdicts.of(job.verdicts)
        answers = verdicts.answers
        while isinstance(result := rules.decide(policy.rules, facts, answers, message.mark), rules.AskFilter):
            self._say("filter", job, result.filter)
            asked = time.monotonic()
            answer = self._filters.ask(Ask(job.id, job.n, result.filter, job.large, message.size), self._wait)
            if isinstance(answer, Park):
                return frames.Parked(job.id, job.n, result.filter, fitting(job, verdicts), message.stamp, answer.apart, answer.reason[:200])
            answers[result.filter] = answer.answer
            verdicts.seconds[result.filter] = time.monotonic() - asked
            self._say("rules", job)
        only = result.only
        if only is not None and only.disposition is rules.Disposition.DEFERRED:
            return self._deferred(job, message, only, verdicts)
        return self._stage(job, message, result, verdicts, facts)

    def _deferred(self, job: frames.Job, message: ingest.MessageFile, result: rules.RuleOutcome, verdicts: Verdicts) -> frames.Deferred:
        answers = verdicts.answers
        about = facts_of(message, answers)
        held_by = answers.pop(result.filter, None)
        held = frames.Deferred(
            job.id, job.n, result.filter, result.reason[:2000], fitting(job, verdicts), message.stamp, rule=result.rule, facts=about
        )
        if held_by is not None:
            held.charge = held_by.charge
            held.refused = held_by.kind is not AnswerKind.TIMEOUT
        return self._fingerprints.add(held, job, message, result.filter)

    def _circling(self, job: frames.Job, message: ingest.MessageFile) -> frames.Outcome | None:
        """Return the outcome of a message that is in a mail loop: Bad/. It is found before any filter can send the message around again."""
        hops = message.hops
        filter = ""
        if hops.count > self._birth.config.enqueuer.max_hops:
            filter = printable(hops.filter)
            reason = f"mail loop: the message has passed {hops.count} hops" + (f", filter {filter} submitted it last" if filter else "")
        elif job.loops and (filter := self._fingerprints.closed(job, message)):
            reason = f"mail loop: filter {filter} has submitted many messages like this one again"
        else:
            return None
        log.warning("%s", reason, extra=serverlog.message_tag(job.id))
        result = rules.RuleOutcome(rules.Disposition.BAD, reason, filter)
        stage.stage_why(self._disk, job.id, job.n, "bad", why(job, message, result, time.time()))
        stage.stage_file(self._disk, message, job.n, "bad", None, ())
        places = "bad", "bad-why"
        return frames.Outcome(job.id, job.n, result.disposition, places, reason, message.stamp, facts=facts_of(message, {}))

    def _stage(
        self, job: frames.Job, message: ingest.MessageFile, ruling: rules.Ruling, verdicts: Verdicts, facts: Facts
    ) -> frames.Outcome:
        """Stage the outputs side by side under Staged/: one rename each publishes them."""
        self._say("writing", job)
        if ruling.only is None:
            ordered = sorted(ruling.outcomes, key=lambda each: ORDER.index(each.disposition))
            ruling = msgspec.structs.replace(ruling, outcomes=tuple(ordered))
        main = ruling.outcomes[0]
        correspondence = Correspondence(
            self._disk, job.n, message, facts, self._remembered, self._by, reports=self._birth.config.enqueuer.reports == "trusted"
        )
        outputs = Outputs(
            self._disk,
            job,
            message,
            facts,
            verdicts,
            module_of=self._policy.routes.module_of,
            traced=self._trace(job),
            correspondence=correspondence,
            new_ids=lambda count: self._new_ids(job, count),
            trail=lambda: rules.explain(self._policy.rules, facts, verdicts.answers, message.mark),
        )
        staged = outputs.stage(ruling)
        self._tally.count(ruling.met)
        ruletrail.report(job.id, ruling, lambda: rules.explain(self._policy.rules, facts, verdicts.answers, message.mark))
        stopped = main.disposition is not rules.Disposition.ENQUEUED
        said = main.reason if ruling.only or not stopped else ""  # otherwise the parts have it
        reason = "; ".join(filter(None, (", ".join(staged.parts), said)))
        outcome = frames.Outcome(
            job.id,
            job.n,
            main.disposition,
            tuple(staged.places),
            reason[:2000],
            message.stamp,
            staged.moved,
            facts=facts_of(message, verdicts.answers, stopped=stopped),
            born=tuple(staged.born),
            until=main.until,
        )
        told = stopped or job.loops or job.n % frames.LOOP_SAMPLE == 0
        return self._fingerprints.add(outcome, job, message, main.filter or " or ".join(verdicts.answers)) if told else outcome

    def _new_ids(self, job: frames.Job, count: int) -> Sequence[int]:
        """Get ids of new messages from the queue manager. Raises OSError, EngineEnded."""
        self._send(frames.IdsWanted(job.id, job.n, count))
        self._wait(self._manager.fileno())
        data = self._manager.receive()
        given = frames.decode_from_manager(data) if data else None
        if not isinstance(given, frames.IdsGiven):
            self._await_the_end()
        if not given.ids:
            raise OSError(errno.ENOSPC, "the queue manager cannot reserve ids")
        return given.ids

    def _trace(self, job: frames.Job) -> tuple[bytes, ...]:
        """Return the trace field of a message for a module queue; none if `trace_field` is false."""
        return (trace.received(self._by, job.id, time.time()),) if self._birth.config.enqueuer.trace_field else ()

    def _wait(self, fd: int) -> None:
        """Wait until `fd` is readable, and read the supervisor's frames meanwhile. Raises EngineEnded at the engine's end."""
        poll = self._polls.get(fd) or self._poll(fd)
        while True:
            ready = dict(poll.poll(SOON_MS if self._untold else None))
            if not ready and self._untold:
                self._send(self._untold)
                self._untold = None
            if self._supervisor.fileno() in ready:
                self._hear()
            if fd in ready:
                return
            if self._manager.fileno() in ready:
                self._await_the_end()

    def _poll(self, fd: int) -> select.poll:
        """Return the poll object for `fd`; each number gets one."""
        poll = self._polls[fd] = select.poll()
        poll.register(self._manager.fileno(), 0)  # no events: a hang-up is reported anyway
        poll.register(self._supervisor.fileno(), select.POLLIN)
        poll.register(fd, select.POLLIN)
        return poll

    def _await_the_end(self) -> NoReturn:
        """Wait for the supervisor's kill: the queue manager has died, and the scoreboard must show which message we worked on.

        If no kill comes, the queue manager lives and has closed our link. Then raise: a processor without a link does nothing.
        """
        while select.select([self._supervisor.fileno()], [], [], LINK_GRACE)[0]:
            self._hear()
        raise ConnectionError("the queue manager has closed the link of this processor")

    def _hear(self) -> None:
        data = self._supervisor.receive()
        match frames.decode_from_supervisor(data) if data else frames.Exit():
            case frames.ConfigRevision(revision):
                self._take(revision)
            case _:
                raise EngineEnded

    def _take(self, revision: int) -> None:
        self._birth.take(revision)
        self._compile()
        self._supervisor.send(frames.encode(frames.InForce(revision)))

    def _compile(self) -> None:
        self._policy = ActivePolicy.of(self._birth.config)
        self._tally.configure(rule.name for rule in self._policy.rules.active)
        self._fingerprints.configure(self._birth.config.filters)

    def _answer(self, answer: Answer) -> None:
        ingested = self._untold
        self._untold = None
        self._send(frames.Judged(ingested, answer) if ingested else answer)

    def _send(self, frame: frames.ToManager) -> None:
        if not self._manager.send(frames.encode(frame)):
            self._await_the_end()

    def _say(self, state: str, job: frames.Job | None = None, filter: str = "") -> None:
        self._timings.next(state)
        self._birth.board.work(self._birth.slot, state, job.id if job else 0, large=bool(job and job.large), filter=filter)


def _now() -> str:
    return in_envelopes(time.time())


def _kind(error: OSError | ValueError) -> str:
    return f"{type(error).__name__} {error.errno}" if isinstance(error, OSError) else type(error).__name__
