"""The protocol between an MTA and a milter (version 6 of the milter protocol), from the MTA's side. Pure.

All actions are offered, because a milter that lacks one refuses to work. `MilterOutcome.undone` has those that the helper protocol
cannot express (changes of existing content). milterpackets.py has what the two sides have in common.
"""

import ipaddress
import re
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from filterlink.filters.runtime.envelope import FilterEnvelope
from filterlink.filters.runtime.verdict import Verdict, discard, error, header, ok, rejected
from filterlink.filters.servers.milterpackets import (
    CHUNK,
    LEADING_SPACE,
    MAX_PACKET,
    NOT_ANSWERED,
    NOT_SENT,
    VERSION,
    BadPacket,
    packet,
    strings,
)

__all__ = [
    "OFFER",
    "QUIT",
    "BadPacket",
    "Command",
    "MilterMessage",
    "MilterOutcome",
    "Packets",
    "Wanted",
    "commands",
    "final",
    "read_offer",
    "split",
]

MAX_HEAD = 8 << 20
ACTIONS = 0xFF
PROTOCOL = 0x1FFFFF
UNDONE = {
    b"+": "adds a recipient",
    b"2": "adds a recipient",
    b"-": "removes a recipient",
    b"b": "replaces the body",
    b"e": "changes the sender",
    b"m": "changes a header field",
}
_NAME = re.compile(r"[!-9;-~]{1,200}")
_FOLD = re.compile(r"\r?\n[ \t]*")
_BARE = re.compile(rb"(?<!\r)\n")
_BLANK = re.compile(rb"^\r?\n", re.MULTILINE)
# Anchored at the start of a line and without backtracking: a line of 200 kB without a colon must take linear time.
_FIELD = re.compile(rb"^([!-9;-~]++)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)\n?", re.MULTILINE)


class Wanted(NamedTuple):
    """The part of our offer that the milter accepted."""

    version: int = VERSION
    protocol: int = 0


class MilterMessage(NamedTuple):
    """A message in the form that the milter gets."""

    number: str
    envelope: FilterEnvelope
    header: bytes
    body: Iterable[bytes]


class Command(NamedTuple):
    """One packet for the milter, and whether the milter answers it."""

    letter: bytes
    packet: bytes
    answered: bool


OFFER = packet(b"O", struct.pack("!III", VERSION, ACTIONS, PROTOCOL))
QUIT = packet(b"Q")


class Packets:
    """Feed it what was read, take complete packets."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> None:
        self._data += data

    def take(self) -> tuple[bytes, bytes] | None:
        """Return letter and data of the next packet; None until it is complete. Raises BadPacket."""
        if len(self._data) < 4:
            return None
        size = struct.unpack_from("!I", self._data)[0]
        if not 0 < size <= MAX_PACKET:
            raise BadPacket(f"a packet of {size} bytes")
        if len(self._data) < 4 + size:
            return None
        letter = self._data[4:5]
        data = self._data[5 : 4 + size]
        self._data = self._data[4 + size :]
        return letter, data


def read_offer(letter: bytes, data: bytes) -> Wanted:
    """Read the answer to OFFER. Raises BadPacket."""
    if letter != b"O" or len(data) < 12:
        raise BadPacket("no options in its first answer")
    version, _, protocol = struct.unpack_from("!III", data)
    if not 2 <= version <= VERSION:
        raise BadPacket(f"version {version} of the milter protocol")
    return Wanted(version, protocol)


def split(pieces: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Split header and body at the first empty line."""
    left = iter(pieces)
    data = b""
    while not (blank := _BLANK.search(data)) and len(data) < MAX_HEAD and (piece := next(left, b"")):
        data += piece
    head, rest = (data[: blank.start()], data[blank.end() :]) if blank else (data, b"")
    return head, _body(rest, left)


def _body(first: bytes, left: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the body with CRLF at the end of each line, as in SMTP."""
    held = first
    for piece in left:
        whole, held = _whole(held)
        yield _BARE.sub(b"\r\n", whole)
        held += piece
    yield _BARE.sub(b"\r\n", held)


def _whole(data: bytes) -> tuple[bytes, bytes]:
    """Hold back a CR at the end: its LF may be in the next piece."""
    return (data[:-1], b"\r") if data.endswith(b"\r") else (data, b"")


def commands(wanted: Wanted, mail: MilterMessage) -> Iterator[Command]:
    """Yield all commands for the milter, in order."""
    for letter, data, macros in _said(mail, wanted):
        if wanted.protocol & NOT_SENT.get(letter, 0) or (letter == b"T" and wanted.version < 4):
            continue
        if macros:
            yield Command(b"D", packet(b"D", letter + strings(*macros)), answered=False)
        yield Command(letter, packet(letter, data), not wanted.protocol & NOT_ANSWERED.get(letter, 0))


def _said(mail: MilterMessage, wanted: Wanted) -> Iterator[tuple[bytes, bytes, tuple[bytes, ...]]]:
    number = mail.envelope.queue_id or mail.number.encode("ascii", "replace")
    host, connect = _peer(mail.envelope)
    sender = mail.envelope.sender or b""
    yield b"C", connect, (b"j", mail.envelope.here or b"localhost", b"{daemon_name}", b"enqueuer", *_about(mail.envelope))
    yield b"H", strings(mail.envelope.helo or host), ()
    yield b"M", strings(b"<%b>" % sender), (b"i", number, b"{mail_addr}", sender, *_authenticated(mail.envelope.account))
    for recipient in mail.envelope.recipients:
        yield b"R", strings(b"<%b>" % recipient), (b"{rcpt_addr}", recipient)
    yield b"T", b"", (b"i", number)
    for name, value in _FIELD.findall(mail.header):
        value = value.replace(b"\r", b"").replace(b"\0", b"")
        yield b"L", strings(name, value if wanted.protocol & LEADING_SPACE else value.removeprefix(b" ")), ()
    yield b"N", b"", ()
    for piece in mail.body:
        for at in range(0, len(piece), CHUNK):
            yield b"B", piece[at : at + CHUNK], ()
    yield b"E", b"", (b"i", number)


def _about(envelope: FilterEnvelope) -> tuple[bytes, ...]:
    """Return the macros about the client. Without an address there is none."""
    if not envelope.peer:
        return ()
    name = envelope.name or b"unknown"
    return b"{client_addr}", envelope.peer.encode(), b"{client_name}", name, b"{client_ptr}", name


def _authenticated(account: bytes) -> tuple[bytes, ...]:
    """Return the macros of authentication. OpenDKIM asks for {auth_type} only, which we do not know."""
    return (b"{auth_authen}", account, b"{auth_type}", b"unknown") if account else ()


def _peer(envelope: FilterEnvelope) -> tuple[bytes, bytes]:
    """Return name and CONNECT data; mail from inside comes from 127.0.0.1, as with Postfix."""
    address = envelope.peer
    known = ipaddress.ip_address(address or "127.0.0.1")
    host = (envelope.name or b"[%b]" % address.encode()) if address else b"localhost"
    text = b"%b%b" % (b"IPv6:" if known.version == 6 else b"", str(known).encode())
    return host, host + b"\0" + str(known.version).encode() + b"\0\0" + text + b"\0"


class MilterOutcome:
    """What the milter answers, and the result of all its answers. `quarantine`: its reason, or None."""

    def __init__(self) -> None:
        self.undone: set[str] = set()
        """Actions that it asked for and this filter cannot do."""
        self.quarantine: str | None = None
        self.skip = False
        """Whether the milter needs no more of the body."""
        self._fields: list[str] = []

    def take(self, letter: bytes, data: bytes) -> bool:
        """Take an answer that is not final; return whether it ends the command. Raises BadPacket."""
        if letter in (b"c", b"s"):
            self.skip = self.skip or letter == b"s"
            return True
        if letter in (b"h", b"i"):
            self._add(data if letter == b"h" else data[4:])
        elif letter == b"q":
            self.quarantine = _text(data)
        elif letter in UNDONE:
            self.undone.add(UNDONE[letter])
        elif letter != b"p":
            raise BadPacket(f"an answer {letter!r}")
        return False

    def _add(self, data: bytes) -> None:
        name, _, value = data.partition(b"\0")
        text = _FOLD.sub("\n\t", _text(value).strip())
        if _NAME.fullmatch(_text(name)):
            self._fields.append(f"{_text(name)}: {text}")

    def verdict(self) -> Verdict:
        """Return the verdict of a message that may go on."""
        return header(tuple(self._fields)) if self._fields else ok()


FINAL = {
    b"r": lambda: error("refused by the milter"),
    b"t": lambda: rejected("the milter says: not now"),
    b"f": lambda: rejected("the milter refuses the connection"),
    b"4": lambda: rejected("the milter shuts the connection down"),
    b"d": discard,
}


def final(letter: bytes, data: bytes) -> Verdict | None:
    """Return the verdict if this answer ends the dialogue, else None."""
    if letter == b"y":
        text = _text(data)
        return error(text) if text.startswith("5") else rejected(text)
    return FINAL[letter]() if letter in FINAL else None


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "replace")
