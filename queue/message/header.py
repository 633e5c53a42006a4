"""Read the header of a dropped file: the envelope, and the header without the fields that the envelope replaces. Pure, and linear in time.

The rules are those of CommuniGate Pro's PIPE module. Envelope-To names the recipients, if there is one. Otherwise To, Cc and Bcc
do, without those in Envelope-Ignore. Return-Path names the sender, else From, else Sender. Envelope-Client is of Enqueuer itself:
see client.py. Bcc, Envelope-To, Envelope-Ignore, Envelope-Client and Return-Path are removed. Every other byte stays as it is.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator

import msgspec

__all__ = [
    "MAX_ADDRESS",
    "MAX_HEADER",
    "MAX_RECIPIENTS",
    "TRACE",
    "Header",
    "HeaderError",
    "Hops",
    "addresses",
    "header_end",
    "hops",
    "kinds",
    "read",
]

MAX_HEADER = 4 << 20
"""Bytes of a header; a longer one is refused. 100,000 fields fit, and a reader's memory stays small."""
MAX_ADDRESS = 1000
"""Bytes; RFC 5321 (4.5.3.1.3) gives a path 256, and no envelope line may grow without bound."""
MAX_RECIPIENTS = 50_000
"""Recipients of a message at most. Each takes about 60 bytes of envelope, and 250 bytes of a processor's memory."""

TRACE = b"X-Enqueuer-Trace"
"""The field that `submit` adds if a filter's helper runs it. Without it a filter could submit a message endlessly."""

# The possessive quantifiers (*+, ++) are not for speed: without them re keeps a mark for each repetition, 250 MB for one hostile field.
_FIELD = re.compile(
    rb"^(return-path|envelope-to|envelope-ignore|envelope-client|bcc|to|cc|from|sender)[ \t]*:([^\n]*+(?:\n[ \t][^\n]*+)*+)(?:\n|\Z)",
    re.IGNORECASE | re.MULTILINE,
)
_HOP = re.compile(rb"^(?:received[ \t]*:|x-enqueuer-trace[ \t]*:([^\n]*+))", re.IGNORECASE | re.MULTILINE)
_SAME = re.compile(rb"^(message-id|from|date|subject)[ \t]*:([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.IGNORECASE | re.MULTILINE)
_END = re.compile(rb"(?:\A|\n)(\r?\n)")
_TAKEN_OUT = frozenset((b"return-path", b"envelope-to", b"envelope-ignore", b"envelope-client", b"bcc"))
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|\\.|[^"()\\<>,;:]+|.', re.DOTALL)
_ONE = re.compile(rb"""[ \t]*+(?:[\w .'-]*+<([\w.+=-]++@[\w.-]++)>|([\w.+=-]++@[\w.-]++))\s*+""")
"""One address without anything to interpret, alone or behind a name."""
_JUNK = bytes(range(32)) + b"<>\x7f"


class Hops(msgspec.Struct, frozen=True):
    """The hops of a message so far."""

    count: int = 0
    filter: bytes = b""
    """The filter that submitted it again last."""


class HeaderError(Exception):
    """The header does not give an envelope. The text has the reason and the cure."""


class Header(msgspec.Struct, frozen=True):
    """The envelope in a header, and the rest of the header."""

    sender: bytes
    recipients: tuple[bytes, ...]
    kept: tuple[bytes, ...]
    """The header's bytes in pieces, without the fields that were removed."""
    client: bytes = b""
    """The value of an Envelope-Client that is the first field. It may be forged."""
    below: bytes = b""
    """With `client`: the header's bytes below that field."""


def header_end(data: bytes) -> int:
    """Return where the empty line after the header begins; -1 if there is none (yet)."""
    at = data.find(b"\n\n")
    first = data[: at + 2] if at >= 0 else data  # most headers end here at once; an empty line of CRLF, or an earlier one, may come first
    match = _END.search(first) if b"\r" in first or first[:1] == b"\n" else None
    return match.start(1) if match else at + 1 if at >= 0 else -1


def hops(header: bytes) -> Hops:
    """Return the hops of a message: its Received fields, and those that name the filter that submitted it again."""
    traces = [match[1] for match in _HOP.finditer(header)]
    by_filter = [trace.strip() for trace in traces if trace is not None]
    return Hops(len(traces), by_filter[0] if by_filter else b"")


def kinds(header: bytes, recipients: Iterable[bytes], body: bytes = b"") -> tuple[bytes, bytes, bytes]:
    """Return three fingerprints of 8 bytes each: a changed copy of a message usually has one of them, too.

    The first is of its Message-ID and the recipients, the second of the Message-ID alone, the third of From, the recipients and the
    begin of the body. Without a Message-ID it is From, Date and Subject. b"" means that there is nothing to compare. From and
    recipients alone are not a fingerprint: a remote sender can forge them, and so block other mail.
    """
    fields = [(match[1].lower(), match[2].strip()) for match in _SAME.finditer(header)]
    same = [each for each in fields if each[0] == b"message-id"] or sorted(fields)
    sender = [each for each in fields if each[0] == b"from"]
    to = sorted(set(recipients))
    alike = _digest([(b"body", body), *sender], to) if sender and body.strip() else b""
    return _digest(same, to), _digest(same, ()) if same else b"", alike


def _digest(fields: Iterable[tuple[bytes, bytes]], recipients: Iterable[bytes]) -> bytes:
    digest = hashlib.sha256()
    for text in (*(part for field in fields for part in field), b"", *recipients):
        digest.update(b"%d:%s," % (len(text), text))
    return digest.digest()[:8]


def read(header: bytes) -> Header:
    """Read a header (without the empty line). Raises HeaderError if it names no recipient."""
    found: dict[bytes, list[bytes]] = {}
    kept = []
    at = 0
    for match in _FIELD.finditer(header):
        name = match[1].lower()
        found.setdefault(name, []).append(match[2])
        if name in _TAKEN_OUT:
            kept.append(header[at : match.start()])
            at = match.end()
    kept.append(header[at:])
    recipients = _recipients(found)
    if not recipients:
        raise HeaderError("no recipient: write an Envelope-To, To, Cc or Bcc field with an address")
    first = _FIELD.match(header) if b"envelope-client" in found else None
    client, below = (first[2], header[first.end() :]) if first and first[1].lower() == b"envelope-client" else (b"", b"")
    return Header(_sender(found), recipients, tuple(piece for piece in kept if piece), client, below)


def addresses(text: bytes) -> Iterator[bytes]:
    """Return the addresses of a list in the form of RFC 5322, without names, comments, groups and routes. Never raises."""
    if match := _ONE.fullmatch(text):  # nearly all addresses: it takes an eighth of the time
        return iter((match[1] or match[2],))
    return _parsed(text)


def _parsed(text: bytes) -> Iterator[bytes]:
    plain = bytearray()  # not a list of tokens: a field may have millions of them
    angle: bytearray | None = None
    open_angle = False
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in (b"(", b")"):
            depth = max(0, depth + (1 if token == b"(" else -1))
        elif depth:
            continue
        elif open_angle and token != b">":
            assert angle is not None
            angle += token
        elif token in (b",", b";"):
            yield from _address(plain, angle)
            plain = bytearray()
            angle = None
        elif token == b":":
            plain = bytearray()  # the name of a group
        elif token == b"<":
            angle = bytearray()
            open_angle = True
        elif token == b">":
            open_angle = False
        else:
            plain += token
    yield from _address(plain, angle)


def _address(plain: bytearray, angle: bytearray | None) -> Iterator[bytes]:
    """Return the one address of a list's item; nothing if there is none."""
    text = bytes(plain if angle is None else angle).strip()
    if text.startswith(b"@"):  # <@relay.example:user@example.com>, an obsolete route
        text = text.rpartition(b":")[2].strip()
    text = text.translate(None, _JUNK)
    if text and (b" " not in text or text.startswith(b'"')):
        yield text


def _recipients(found: dict[bytes, list[bytes]]) -> tuple[bytes, ...]:
    names = (b"envelope-to",) if b"envelope-to" in found else (b"to", b"cc", b"bcc")
    ignored = set(_all(found, b"envelope-ignore")) if len(names) > 1 else set()
    recipients: dict[bytes, None] = {}
    for address in (a for name in names for a in _all(found, name) if a not in ignored):
        if len(address) > MAX_ADDRESS:
            raise HeaderError(f"a recipient of {len(address)} bytes: addresses have at most {MAX_ADDRESS}")
        recipients[address] = None
        if len(recipients) > MAX_RECIPIENTS:
            raise HeaderError(f"more than {MAX_RECIPIENTS} recipients: send several messages")
    return tuple(recipients)


def _sender(found: dict[bytes, list[bytes]]) -> bytes:
    """Return the first address of the first field that is there; b"" is the null sender."""
    for name in (b"return-path", b"from", b"sender"):
        if name in found:
            address = next(_all(found, name), b"")
            if address or name == b"return-path":
                return address[:MAX_ADDRESS]
    return b""


def _all(found: dict[bytes, list[bytes]], name: bytes) -> Iterator[bytes]:
    for text in found.get(name, ()):
        yield from addresses(text)
