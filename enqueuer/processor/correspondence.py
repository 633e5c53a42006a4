"""New messages about a message: replies, forwards and reports of refusal; and the lists that rules write.

An address gets a reply once a day. A report goes only to the sender of trusted or authenticated mail, and not often: what others send with
a forged sender must not become mail for that sender. The queue file of a new message has the source SRULE, or DSN for a report.
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator

import msgspec

from enqueuer.ipc import frames
from enqueuer.log import serverlog
from enqueuer.policy.facts import Facts
from enqueuer.policy.outcome import Letter, RuleOutcome
from enqueuer.queue.directory import stage
from enqueuer.queue.directory.disk import DiskPort
from enqueuer.queue.directory.ingest import FIRST, MessageFile, queue_path
from enqueuer.queue.message import envelope as envelopes
from enqueuer.queue.message import letters
from enqueuer.queue.message.timestamps import in_envelopes
from enqueuer.system.remembered import RememberedLists

__all__ = ["Correspondence"]

log = logging.getLogger("ENQUEUERRULES")
REPLY_EACH = 86400.0
"""Seconds between two replies to one address."""
REPORT_EACH = 60.0
"""Seconds between two reports to one address. What comes sooner is kept in Quarantine."""
REPLIED = "_replied"
REPORTED = "_reported"
"""Lists of State/lists/ of the engine itself."""


class Correspondence:
    """The part of a processor that writes new messages about one message."""

    def __init__(
        self, disk: DiskPort, dispatch: int, message: MessageFile, facts: Facts, remembered: RememberedLists, domain: str, *, reports: bool
    ) -> None:
        self._disk = disk
        self._n = dispatch
        self._message = message
        self._facts = facts
        self._remembered = remembered
        self._domain = domain
        self._reports = reports

    def with_report(self, outcome: RuleOutcome) -> RuleOutcome:
        """Have a refused message reported to its sender, if that sender may get a report. Otherwise the message is kept in Quarantine."""
        if not outcome.report:
            return outcome
        sender = self._message.envelope.sender
        if not (self._reports and self._facts.reportable and self._due(REPORTED, sender, REPORT_EACH)):
            return msgspec.structs.replace(outcome, report=False)
        failed = outcome.recipients or self._message.envelope.recipients
        letter = Letter("report", outcome.rule, (sender,), outcome.reason, failed)
        return msgspec.structs.replace(outcome, letters=(*outcome.letters, letter))

    def may(self, letter: Letter) -> bool:
        """Return whether a letter is written now."""
        return letter.kind != "reply" or self._due(REPLIED, letter.recipients[0], REPLY_EACH)

    def remember(self, outcome: RuleOutcome) -> None:
        """Add addresses to the lists of State/lists/."""
        for each in outcome.remembered:
            with contextlib.suppress(OSError):
                self._remembered.add(each.list, each.address, self._facts.now)

    def write(self, id: int, letter: Letter) -> frames.Born:
        """Stage a letter as a new message with this id."""
        message = self._message
        facts = self._facts
        about = letters.About(id, message.id, self._domain, letter.rule, message.envelope.sender, facts.header, facts.lines, facts.now)
        pieces: Iterable[bytes]
        match letter.kind:
            case "forward":
                pieces = letters.forward(about, letter.recipients, self._content())
            case "reply":
                pieces = letters.reply(about, letter.recipients, letter.text)
            case _:
                pieces = letters.report(about, letter.recipients, letter.text, letter.failed)
        source = b"DSN [0.0.0.0]" if letter.kind == "report" else b"SRULE [0.0.0.0]"
        envelope = envelopes.make(b"", letter.recipients, in_envelopes(self._facts.now), self._domain)
        envelope = msgspec.structs.replace(envelope, lines=(envelope.lines[0], b"S %s\n" % source, *envelope.lines[2:]))
        size = stage.stage_new(self._disk, message.id, self._n, f"queue-{id}", envelope, pieces)
        return frames.Born(id, size, b"", f'{letter.kind} of rule "{letter.rule}" about [{message.id}]')

    def _content(self) -> Iterator[bytes]:
        """Return the bytes of the message."""
        with contextlib.closing(self._disk.chunks(queue_path(self._message.id), offset=self._message.head, first=FIRST)) as chunks:
            yield from chunks

    def _due(self, name: str, address: bytes, within: float) -> bool:
        """Return whether an address may get a letter now, and note it."""
        try:
            return self._remembered.add(name, address, self._facts.now, within)
        except OSError as error:
            log.warning("State/lists: %s; no answer is sent", error.strerror, extra=serverlog.message_tag(self._message.id))
            return False
