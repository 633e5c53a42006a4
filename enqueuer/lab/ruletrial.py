"""Try the rules of a configuration on one message, without an engine. Filters are asked for real, or have answers that were given.

A filter runs in a temporary directory instead of the base directory, as in `filters test`. Programs of Execute do not run.
"""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from enqueuer.config.schema import Config
from enqueuer.lab.handmade import handmade, program
from enqueuer.policy.active import ActivePolicy
from enqueuer.policy.facts import Facts
from enqueuer.policy.outcome import AskFilter, Ruling
from enqueuer.policy.walk import decide, explain
from enqueuer.queue.message import client as clients
from enqueuer.queue.message import envelope as envelopes
from enqueuer.queue.message import header as headers
from enqueuer.queue.message.timestamps import in_envelopes
from enqueuer.system.remembered import RememberedLists
from filterlink.config.settings import Filter
from filterlink.protocol.partfacts import FACTS
from filterlink.protocol.protocol import HelperReply
from filterlink.wire.frames import AnswerKind, FilterAnswer
from filterlink.workbench.dialogue import HelperCannotStart
from filterlink.workbench.testbench import BenchPlan, TestBench

__all__ = ["AskedFilter", "GivenMail", "GivenSession", "RuleTrial", "try_rules"]

SENDER = b"sender@example.org"
RECIPIENT = b"recipient@example.org"


class GivenSession(msgspec.Struct, frozen=True, kw_only=True):
    """What options say about envelope and session. An empty value: what the file says."""

    sender: str | None = None
    recipients: tuple[str, ...] = ()
    client: str = ""
    account: str = ""
    tls: str = ""
    trusted: bool = False
    at: float = 0.0
    """Seconds since 1970; 0 = now."""


class GivenMail(msgspec.Struct, frozen=True):
    """A message with its envelope."""

    envelope: envelopes.Envelope
    message: bytes

    @classmethod
    def of(cls, data: bytes, given: GivenSession) -> "GivenMail":
        """Read a queue file, or a plain message. Raises ValueError (ClientError) if an option is no address."""
        envelope, message = _parts(data)
        changed = given.sender is not None or given.recipients or given.client or given.account or given.tls
        if envelope is None or not envelope.recipients or changed:
            envelope = _made(envelope, message, given)
        return cls(envelope, message)

    @property
    def header(self) -> bytes:
        return _header(self.message)

    @property
    def file(self) -> bytes:
        return self.envelope.above + b"O L\n" + self.envelope.below + self.message


def _parts(data: bytes) -> tuple[envelopes.Envelope | None, bytes]:
    """Return the envelope of a queue file, or None, and the message."""
    if data[:2] in (b"P ", b"S ", b"A ", b"O ", b"R "):
        end = envelopes.head_end(data[: envelopes.MAX_HEAD])
        try:
            return envelopes.parse(data[: max(0, end - 1)]), data[end:]
        except ValueError:
            pass
    return None, data


def _made(old: envelopes.Envelope | None, message: bytes, given: GivenSession) -> envelopes.Envelope:
    """Make an envelope of the options; what they do not say is that of the file, or of the header."""
    known = old if old is not None and old.recipients else _of_header(message)
    if old is not None:
        known = envelopes.Envelope((), old.sender, known.recipients)
    sender = known.sender
    recipients = known.recipients
    if given.sender is not None:
        sender = given.sender.encode("utf-8", "surrogateescape")
    if given.recipients:
        recipients = tuple(each.encode("utf-8", "surrogateescape") for each in given.recipients)
    if any(set(each) & set(b"<>\n\r\0") for each in (sender, *recipients)):
        raise clients.ClientError("an address has no < > and no line end")
    client = clients.given(given.client.encode(), account=given.account.encode("utf-8", "surrogateescape"))
    words = clients.words((b"tls", given.tls.encode("utf-8", "surrogateescape"))) if given.tls else b""
    return envelopes.make(sender, recipients, in_envelopes(given.at or time.time()), "localhost", client, words=words)


def _of_header(message: bytes) -> envelopes.Envelope:
    """Return the sender and the recipients that the header names, as for a drop; made ones if it names no recipient."""
    try:
        header = headers.read(_header(message))
    except headers.HeaderError:
        return envelopes.Envelope((), SENDER, (RECIPIENT,))
    return envelopes.Envelope((), header.sender, header.recipients)


def _header(message: bytes) -> bytes:
    end = headers.header_end(message[: headers.MAX_HEADER])
    return message[: end if end >= 0 else headers.MAX_HEADER]


class AskedFilter(msgspec.Struct, frozen=True):
    """One filter that the rules asked."""

    name: str
    answer: FilterAnswer
    seconds: float | None
    """None: it was not asked; the answer was given, or assumed."""


class RuleTrial(msgspec.Struct, frozen=True):
    """The result for one message."""

    facts: Facts
    ruling: Ruling
    trail: tuple[str, ...]
    asked: tuple[AskedFilter, ...]


def try_rules(config: Config, mail: GivenMail, given: GivenSession, answers: Mapping[str, FilterAnswer], where: Path) -> RuleTrial:
    """Walk through the rules. The base directory is the current directory; `where` is its path. Raises OSError."""
    policy = ActivePolicy.of(config)
    now = given.at or time.time()
    facts = policy.facts(0, len(mail.message), mail.envelope, lambda: mail.header, RememberedLists().read, now=now)
    if given.trusted:
        facts.trusted = True
    filters = {each.name: each for each in config.filters}
    known = dict(answers)
    asked: list[AskedFilter] = []
    while isinstance(ruling := decide(policy.rules, facts, known), AskFilter):
        name = ruling.filter
        found = _assumed(name) or _ask(filters[name], mail, where)
        known[name] = found.answer
        asked.append(found)
    used = [AskedFilter(name, answer, None) for name, answer in answers.items()]
    return RuleTrial(facts, ruling, explain(policy.rules, facts, known), (*used, *asked))


def _assumed(name: str) -> AskedFilter | None:
    """Return the answer of a program of Execute: it may have effects, so that it does not run."""
    is_program = name.startswith("#") and name != FACTS
    return AskedFilter(name, FilterAnswer(AnswerKind.OK, "not run; exit code 0 is assumed"), None) if is_program else None


class _OnlyAnswer:
    """Keeps the answer. Implements testbench.Watch."""

    def __init__(self) -> None:
        self.reply: HelperReply | None = None
        self.seconds = 0.0

    def line(self, direction: str, line: bytes) -> None:
        """Show nothing."""

    def answer(self, index: int, reply: HelperReply | None, seconds: float) -> None:  # noqa: ARG002
        self.reply = reply
        self.seconds = seconds


def _ask(filter: Filter, mail: GivenMail, where: Path) -> AskedFilter:
    watch = _OnlyAnswer()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="enqueuer-") as folder:
        path = Path(folder, "0.msg")
        path.write_bytes(mail.file)
        with handmade(where, [path]) as made:
            plan = BenchPlan.of(filter, 1)
            plan = msgspec.structs.replace(plan, words=program(plan.words, where.absolute()))
            try:
                report = TestBench(plan, made, watch).run()
            except HelperCannotStart as error:
                return AskedFilter(filter.name, FilterAnswer(AnswerKind.UNAVAILABLE, str(error)), time.monotonic() - began)
    if watch.reply is None:
        return AskedFilter(filter.name, FilterAnswer(AnswerKind.TIMEOUT, report.stopped or "no answer"), time.monotonic() - began)
    return AskedFilter(filter.name, watch.reply.answer, watch.seconds)
