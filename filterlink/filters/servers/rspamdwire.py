"""The protocol between rspamd and its clients: HTTP, POST /checkv2, JSON. Pure: an envelope in, a verdict out.

Of what rspamd asks for, the helper protocol can only add header fields, not change or remove any. So a new subject is in
X-Spam-Subject, and `remove_headers` is ignored.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from filterlink.filters.runtime.envelope import FilterEnvelope
from filterlink.filters.runtime.verdict import UNSCANNABLE, Verdict, discard, error, header, ok, rejected

__all__ = ["ActionRules", "BadResult", "RspamdResult", "read_result", "request", "verdict"]

MAX_RCPT = 500
"""Recipients that are named to rspamd. A message may have 50,000, and each is a header field of the request."""
MAX_SYMBOLS = 30
"""Names in X-Spamd-Result, those with the largest scores; a reply of ours has 4096 bytes."""
_NAME = re.compile(r"[!-9;-~]{1,200}")


class BadResult(Exception):
    """The bytes are not a result of rspamd."""


class ActionRules(NamedTuple):
    """What follows from rspamd's actions, where they leave a choice."""

    result_for_all: bool = False
    """Whether messages without any action get X-Spamd-Result as well."""
    greylist: float = 300.0
    """Seconds from its arrival for which a message is deferred that rspamd would greylist."""
    unknown_action: str = "defer"
    """What follows from an unknown action: a key of UNSCANNABLE."""


class Symbol(msgspec.Struct):
    score: float | None = 0.0


class RspamdResult(msgspec.Struct, rename={"dkim_signature": "dkim-signature"}):
    """The JSON document. Fields that rspamd writes in more than one form have no type here."""

    action: str
    score: float | None = 0.0
    required_score: float | None = 0.0
    """None if all actions are off."""
    symbols: dict[str, Symbol] = {}
    subject: str = ""
    messages: Any = None
    milter: Any = None
    dkim_signature: Any = None


# The question


def request(length: int, envelope: FilterEnvelope, queue_id: bytes, password: bytes = b"") -> bytes:
    """Return all that comes before the message. `queue_id`: ours, for a message that no MTA asks about."""
    fields = [(b"Host", b"rspamd"), (b"Content-Length", b"%d" % length), (b"Queue-Id", envelope.queue_id or queue_id)]
    if envelope.sender is not None:
        fields.append((b"From", b"<%b>" % envelope.sender))
    fields += [(b"Rcpt", b"<%b>" % recipient) for recipient in envelope.recipients[:MAX_RCPT]]
    client = (b"IP", envelope.peer.encode()), (b"Hostname", envelope.name), (b"Helo", envelope.helo), (b"User", envelope.account)
    optional = (*client, (b"Password", password))
    fields += [(name, value) for name, value in optional if value]
    return b"POST /checkv2 HTTP/1.0\r\n%b\r\n" % b"".join(b"%b: %b\r\n" % field for field in fields)


# The answer


def read_result(body: bytes) -> RspamdResult:
    """Decode a result. Raises BadResult. It may repeat bytes of a client or message that are not UTF-8."""
    try:
        return msgspec.json.decode(body.decode("utf-8", "replace"), type=RspamdResult)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:  # RecursionError: 100,000 brackets
        raise BadResult(f"not understood: {fault}") from None


def verdict(result: RspamdResult, age: float, rules: ActionRules) -> Verdict:
    """Map the action to a verdict. `age`: seconds that the message has been in the queue."""
    if result.action in ("reject", "quarantine"):
        return error(_said(result) or f"spam: score {result.score or 0:.1f} of {result.required_score or 0:.1f}{_names(result)}")
    if result.action == "discard":
        return discard()
    if result.action == "soft reject":
        return rejected(_said(result) or "rspamd: try again later")
    if result.action == "greylist" and age < rules.greylist:
        return rejected(f"rspamd: greylisted, score {result.score or 0:.1f}")
    if result.action not in ("no action", "greylist", "add header", "rewrite subject"):
        return UNSCANNABLE[rules.unknown_action](f"rspamd asks for the unknown action {result.action}")
    fields = _fields(result, rules)
    return header(fields) if fields else ok()


def _fields(result: RspamdResult, rules: ActionRules) -> tuple[str, ...]:
    """Return the fields: first those that rspamd asks for; none of ours is added a second time."""
    fields = list(_asked(result))
    there = {field.partition(":")[0].lower() for field in fields}
    marked = result.action in ("add header", "rewrite subject")
    ours = [("X-Spam", "Yes")] if marked else []
    if result.action == "rewrite subject" and result.subject:
        ours.append(("X-Spam-Subject", result.subject))
    if marked or rules.result_for_all:
        ours.append(("X-Spamd-Result", _summary(result)))
    return (*fields, *(_field(name, value) for name, value in ours if name.lower() not in there))


def _asked(result: RspamdResult) -> Iterator[str]:
    added = result.milter.get("add_headers") if isinstance(result.milter, dict) else None
    for name, value in added.items() if isinstance(added, dict) else ():
        if _NAME.fullmatch(name):
            yield from (_field(name, text) for text in _texts(value))
    yield from (_field("DKIM-Signature", text) for text in _texts(result.dkim_signature))


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of a value: a text, an object with one, or a list of these."""
    if isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        yield from _texts(value.get("value"))
    elif value is not None:
        yield str(value)


def _field(name: str, value: str) -> str:
    """Write a field, in which no line can begin another field."""
    lines = (line.strip(" \t") for line in value.strip().replace("\r\n", "\n").replace("\r", " ").split("\n"))
    return f"{name}: " + "\n\t".join(line for line in lines if line)


def _summary(result: RspamdResult) -> str:
    spam = result.action in ("add header", "rewrite subject")
    weighty = sorted(result.symbols.items(), key=lambda item: -abs(item[1].score or 0))[:MAX_SYMBOLS]
    lines = [f"default: {spam} [{result.score or 0:.2f} / {result.required_score or 0:.2f}]"]
    return ";\n".join([*lines, *(f"{name}({symbol.score or 0:.2f})" for name, symbol in weighty)])


def _names(result: RspamdResult) -> str:
    weighty = sorted((-(symbol.score or 0), name) for name, symbol in result.symbols.items() if (symbol.score or 0) > 0)
    return f" ({', '.join(name for _, name in weighty[:MAX_SYMBOLS])})" if weighty else ""


def _said(result: RspamdResult) -> str:
    """Return what a rule wants the sender to read."""
    said = result.messages.get("smtp_message") if isinstance(result.messages, dict) else None
    return said if isinstance(said, str) else ""
