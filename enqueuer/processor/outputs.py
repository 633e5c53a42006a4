"""Stage what the outcomes of a message need: files for module queues, Quarantine, Hold and Bad, and new messages.

Everything of one message is staged side by side under Staged/, and the queue manager publishes all of it by one commit. A rest of the
recipients that is deferred, or a second part on hold, becomes a message of its own; so do replies, forwards and reports.
"""

import itertools
import logging
import time
from collections.abc import Callable, Sequence

import msgspec

from enqueuer.ipc import frames
from enqueuer.log import serverlog
from enqueuer.log.facts import Verdicts, bracketed
from enqueuer.policy.facts import Facts
from enqueuer.policy.outcome import Copy, Disposition, RuleOutcome, Ruling
from enqueuer.policy.subjects import insertion, tagged
from enqueuer.processor.correspondence import Correspondence
from enqueuer.processor.reasons import fitting, why
from enqueuer.queue.directory import names, stage
from enqueuer.queue.directory.disk import DiskPort
from enqueuer.queue.directory.ingest import MessageFile
from enqueuer.queue.message import client, session
from enqueuer.queue.message import envelope as envelopes
from enqueuer.queue.message.fields import short
from enqueuer.queue.message.header import TRACE
from enqueuer.queue.message.timestamps import in_envelopes

__all__ = ["ORDER", "Outputs", "StagedOutputs"]

log = logging.getLogger("ENQUEUER")
ORDER = (
    Disposition.ENQUEUED,
    Disposition.QUARANTINED,
    Disposition.REJECTED,
    Disposition.DISCARDED,
    Disposition.BAD,
    Disposition.ON_HOLD,
    Disposition.DEFERRED,
)
"""A message with several outcomes counts by the first of these."""
Kept = (Disposition.QUARANTINED, Disposition.REJECTED)


class StagedOutputs(msgspec.Struct):
    """What was staged for one message."""

    places: list[str] = []
    born: list[frames.Born] = []
    parts: list[str] = []
    """What happened, for the log: `OUT(2)`, `deferred for <a@b>`."""
    moved: bool = False


class Outputs:
    """The part of a processor that stages the outcomes of one message."""

    def __init__(
        self,
        disk: DiskPort,
        job: frames.Job,
        message: MessageFile,
        facts: Facts,
        verdicts: Verdicts,
        *,
        module_of: Callable[[bytes], str],
        traced: tuple[bytes, ...],
        correspondence: Correspondence,
        new_ids: Callable[[int], Sequence[int]],
        trail: Callable[[], Sequence[str]],
    ) -> None:
        """`traced`: the trace field for module queues. `new_ids(count)`: get ids of new messages. `trail()`: how the rules decided."""
        self._disk = disk
        self._job = job
        self._message = message
        self._facts = facts
        self._verdicts = verdicts
        self._module_of = module_of
        self._traced = traced
        self._correspondence = correspondence
        self._new_ids = new_ids
        self._trail = trail
        self._files: dict[str, int] = {}
        """Files in each module so far."""
        self._made = 0
        """Separate copies so far."""
        self._staged = StagedOutputs()
        self._now = time.time()

    def stage(self, ruling: Ruling) -> StagedOutputs:
        """Stage all outcomes; the first of `ruling` decides how the message counts."""
        outcomes = [self._correspondence.with_report(each) for each in ruling.outcomes]
        main = outcomes[0]
        rests = [each for each in outcomes[1:] if each.disposition in (Disposition.DEFERRED, Disposition.ON_HOLD)]
        mail = [letter for each in outcomes for letter in each.letters if self._correspondence.may(letter)]
        ids = iter(self._new_ids(len(rests) + len(mail)) if rests or mail else ())
        self._kept([each for each in outcomes if each.disposition in Kept and not each.report])
        for outcome in outcomes:
            match outcome.disposition:
                case Disposition.ENQUEUED:
                    self._enqueued(outcome, alone=len(outcomes) == 1 and not mail)
                case Disposition.ON_HOLD if outcome is main:
                    self._hold("hold", outcome)
                case Disposition.DEFERRED | Disposition.ON_HOLD:
                    self._rest(next(ids), outcome)
                case Disposition.BAD:
                    self._whole("bad", outcome, self._envelope(outcome))
            if outcome.copies:
                self._copies(outcome)
            self._correspondence.remember(outcome)
            if len(outcomes) > 1:
                self._say(outcome)
        for letter in mail:
            born = self._correspondence.write(next(ids), letter)
            self._staged.places.append(f"queue-{born.id}")
            self._staged.born.append(born)
            self._staged.parts.append(f"{letter.kind} to {shown(letter.recipients[0])} [{born.id}]")
        return self._staged

    def _say(self, outcome: RuleOutcome) -> None:
        """Add what happened to some of the recipients."""
        whose = outcome.recipients or ()
        if outcome.disposition is not Disposition.ENQUEUED:
            whom = ", ".join(map(shown, whose[:3])) + (f" and {len(whose) - 3} more" if len(whose) > 3 else "")
            word = "on hold" if outcome.disposition is Disposition.ON_HOLD else str(outcome.disposition)
            self._staged.parts.append(f"{word} for {whom}: {outcome.reason[:300]}" if outcome.reason else f"{word} for {whom}")

    # ---- files

    def _enqueued(self, outcome: RuleOutcome, *, alone: bool) -> None:
        """Stage a file for each module."""
        envelope = self._addressed(outcome)
        if outcome.queue:
            envelope = envelope.with_words(client.words((b"queue", outcome.queue.encode())))
        fields, insert = self._changes(outcome)
        fields = (*self._traced, *fields)
        module_of = (lambda _recipient: outcome.module) if outcome.module else self._module_of
        modules = stage.modules_of(envelope.recipients, module_of)
        plain = alone and not insert and not outcome.copies and len(modules) == 1
        if plain and self._job.moves and stage.unchanged(self._disk, self._message, None, fields, envelope):
            self._staged.moved = True
        for module, recipients in modules.items():
            place = self._place(module)
            self._staged.places.append(place)
            self._staged.parts.append(f"{module}({len(recipients)})")
            if not self._staged.moved:
                stage.stage_file(self._disk, self._message, self._job.n, place, recipients, fields, envelope, insert)

    def _place(self, module: str) -> str:
        number = self._files[module] = self._files.get(module, 0) + 1
        return names.nth(module, number)

    def _envelope(self, outcome: RuleOutcome) -> envelopes.Envelope:
        envelope = self._message.envelope
        return envelope if outcome.recipients is None else envelope.only(frozenset(outcome.recipients))

    def _addressed(self, *outcomes: RuleOutcome) -> envelopes.Envelope:
        """Return the envelope with the recipients that rules and filters gave to these outcomes."""
        stay = [self._envelope(each).recipients for each in outcomes if not each.redirected]
        more = [address for each in outcomes for address in (*each.redirected, *each.routes)]
        envelope = self._message.envelope
        if any(each.redirected or each.recipients is not None for each in outcomes):
            envelope = envelope.only(frozenset(itertools.chain.from_iterable(stay)))
        return envelope.plus(more, self._at)

    def _changes(self, outcome: RuleOutcome) -> tuple[tuple[bytes, ...], tuple[int, bytes] | None]:
        """Return the fields to add on top, and what to insert into the header for Tag Subject."""
        if not outcome.tags:
            return outcome.fields, None
        insert = insertion(self._facts.header, outcome.tags)
        return ((b"Subject: " + tagged(b"", outcome.tags), *outcome.fields), None) if insert is None else (outcome.fields, insert)

    def _copies(self, outcome: RuleOutcome) -> None:
        """Stage a file for each address that gets a copy."""
        wanted = list({copy.address: copy for copy in reversed(outcome.copies)}.values())
        left = stage.MAX_COPIES - self._made
        if cut := wanted[left:]:
            told = len(cut), len(wanted), ", ".join(dict.fromkeys(copy.by for copy in cut)), left
            log.warning(
                "%d of %d copies that filters want are left out (%s): at most %d are made", *told, extra=serverlog.message_tag(self._job.id)
            )
        self._made += len(wanted[:left])
        fields, insert = self._changes(outcome)
        for copy in wanted[:left]:
            self._copy(copy, fields, insert)

    def _copy(self, copy: Copy, fields: tuple[bytes, ...], insert: tuple[int, bytes] | None) -> None:
        module = self._module_of(copy.address)
        place = self._place(module)
        own = (*self._traced, TRACE + b": " + copy.by.encode("ascii", "replace"), *fields)
        envelope = self._message.envelope.of_its_own(copy.address, self._at)
        stage.stage_file(self._disk, self._message, self._job.n, place, None, own, envelope, insert)
        self._staged.places.append(place)
        self._staged.parts.append(f"{module}(copy)")

    def _kept(self, outcomes: Sequence[RuleOutcome]) -> None:
        """Stage one file in Quarantine for all recipients whose message is kept there."""
        if not outcomes:
            return
        reason = "; ".join(dict.fromkeys(each.reason for each in outcomes))
        self._whole("quarantine", msgspec.structs.replace(outcomes[0], reason=reason), self._addressed(*outcomes))

    def _whole(self, place: str, outcome: RuleOutcome, envelope: envelopes.Envelope, until: float | None = None) -> None:
        """Stage the message and its reason for a place where messages are kept."""
        envelope = envelope.with_words(self._noted(outcome))
        if outcome.module:
            route = f"{outcome.module}({outcome.queue})" if outcome.queue else outcome.module
            envelope = envelope.with_words(client.words((b"route", route.encode())))
        document = why(self._job, self._message, outcome, self._now, self._verdicts, envelope=envelope, trail=self._trail())
        if until is not None:
            document["until"] = until
        fields, insert = self._changes(outcome)
        stage.stage_why(self._disk, self._job.id, self._job.n, place, document)
        stage.stage_file(self._disk, self._message, self._job.n, place, None, fields, envelope, insert)
        self._staged.places += [place, place + "-why"]

    def _hold(self, place: str, outcome: RuleOutcome) -> None:
        self._whole(place, outcome, self._addressed(outcome), outcome.until)

    # ---- new messages

    def _rest(self, id: int, outcome: RuleOutcome) -> None:
        """Stage the recipients that are deferred, or a further part on hold, as a message of its own."""
        about = f"rest of [{self._job.id}]"
        sender = self._message.envelope.sender
        if outcome.disposition is Disposition.ON_HOLD:
            self._hold(f"hold-{id}", outcome)
            self._staged.born.append(
                frames.Born(id, self._message.size, sender, about, "on_hold", reason=outcome.reason[:2000], until=outcome.until)
            )
            return
        envelope = self._envelope(outcome).with_words(self._noted(outcome))
        place = f"queue-{id}"
        stage.stage_file(self._disk, self._message, self._job.n, place, None, (), envelope)
        if self._message.mark:
            end = len(envelope.above) + envelopes.O_LENGTH - 1
            self._disk.patch("Staged/" + names.staged(self._job.id, self._job.n, place), end - len(self._message.mark), self._message.mark)
        self._staged.places.append(place)
        self._staged.born.append(
            frames.Born(
                id,
                self._message.size,
                sender,
                about,
                "deferred",
                outcome.filter,
                outcome.reason[:2000],
                verdicts=fitting(self._job, self._without(outcome.filter)),
            )
        )

    def _noted(self, outcome: RuleOutcome) -> bytes:
        """Return the words of a part: what was done, also with an earlier part, and the other recipients.

        A rule on the whole message must not decide in another way because the message was split.
        """
        done = client.words((b"did", b",".join(dict.fromkeys((*self._facts.done, *outcome.done)))))
        if outcome.recipients is None:
            return done
        whose = frozenset(outcome.recipients)
        return done + session.others(each for each in self._facts.recipients if each not in whose)

    def _without(self, filter: str) -> Verdicts:
        """Return the verdicts without that of the filter which is asked again."""
        return Verdicts({name: each for name, each in self._verdicts.answers.items() if name != filter}, self._verdicts.seconds)

    @property
    def _at(self) -> str:
        return in_envelopes(self._now)


def shown(address: bytes) -> str:
    """Return an address for a line of the log."""
    return f"<{bracketed(short(address, 200))}>"
