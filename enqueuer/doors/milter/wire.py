"""Speak the milter protocol (version 6) from the milter's side. Pure.

`MilterInput` turns bytes into commands. The functions make the answers. The MTA's side is filterlink's milterwire.py.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from enqueuer.doors.asking.decision import DoorDecision
from filterlink.filters.servers.milterpackets import (
    ADD_FIELDS,
    ADD_RECIPIENTS,
    CHANGE_FIELDS,
    DELETE_RECIPIENTS,
    LEADING_SPACE,
    MAX_PACKET,
    NOT_ANSWERED,
    NOT_SENT,
    QUARANTINE,
    VERSION,
    BadPacket,
    packet,
    strings,
)

__all__ = [
    "CONTINUE",
    "PROGRESS",
    "BadPacket",
    "MilterCommand",
    "MilterInput",
    "MilterOptions",
    "UnixLines",
    "answer",
    "arguments",
    "connection",
    "macros",
    "missing",
    "negotiate",
    "reply",
]

CONTINUE = packet(b"c")
PROGRESS = packet(b"p")
_TEMPFAIL = packet(b"t")
_DISCARD = packet(b"d")
ACTIONS = ADD_FIELDS | ADD_RECIPIENTS | QUARANTINE | DELETE_RECIPIENTS | CHANGE_FIELDS
"""All that a decision can need. The MTA may offer less: see missing()."""
_NAMES = {
    ADD_FIELDS: "add header fields",
    ADD_RECIPIENTS: "add recipients",
    QUARANTINE: "hold messages",
    DELETE_RECIPIENTS: "delete recipients",
    CHANGE_FIELDS: "change header fields",
}
MAX_SMALL = 64 << 10
"""Bytes of a packet that is kept until it is whole. Header fields and bodies are taken in pieces."""
_IN_PIECES = (b"L", b"B")
_SIZES = {letter.encode(): MAX_PACKET if letter.encode() in _IN_PIECES else MAX_SMALL for letter in "ABCDEHKLMNOQRTU"}
_HEAD = struct.Struct("!Ic")
LINE = 400
"""Characters of a line of a reply: with code and line end it has less than 512 bytes (RFC 5321, 4.5.3.1.5)."""
LINES = 10
_STATUS = re.compile(r"([45])\d\d ([45])\.\d{1,3}\.\d{1,3}")
_UNSAFE = re.compile(r"[^ -~]")
_UNSAFE_BYTES = re.compile(rb"[\0\r]")


class MilterCommand(NamedTuple):
    """A command of the MTA, or a piece of a header field or body."""

    letter: bytes
    data: bytes
    whole: bool = True
    """No more pieces of this packet follow."""


class MilterInput:
    """Takes received bytes, and gives commands. It keeps the rest of one feed and one small packet."""

    def __init__(self) -> None:
        self._data = b""
        self._at = 0
        self._letter = b""
        """Of the packet that is taken in pieces."""
        self._left = 0
        """Bytes of it that are not taken yet."""

    def feed(self, data: bytes) -> None:
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0

    @property
    def partial(self) -> bool:
        """Return whether a packet is incomplete. Valid when take() has returned None."""
        return bool(self._letter) or self._at < len(self._data)

    def peek(self) -> bytes:
        """Return the letter of the next packet; b"" if it is not known yet. Raises BadPacket."""
        if self._letter or len(self._data) - self._at < 5:
            return self._letter
        return self._head()[1]

    def take(self) -> MilterCommand | None:
        """Return the next command; None until there is one. Raises BadPacket."""
        if self._letter:
            return self._piece()
        begin = self._at + 5
        if len(self._data) < begin:
            return None
        size, letter = self._head()
        end = begin + size - 1
        if len(self._data) >= end:
            self._at = end
            return MilterCommand(letter, self._data[begin:end])
        if letter not in _IN_PIECES:
            return None
        self._at = begin
        self._letter = letter
        self._left = size - 1
        return self._piece()

    def _head(self) -> tuple[int, bytes]:
        size, letter = _HEAD.unpack_from(self._data, self._at)
        if not 0 < size <= _SIZES.get(letter, 0):
            raise BadPacket(f"a packet {letter.decode()} of {size} bytes" if letter in _SIZES else "an unknown command")
        return size, letter

    def _piece(self) -> MilterCommand | None:
        data = self._data[self._at : self._at + self._left]
        if not data:
            return None
        self._at += len(data)
        self._left -= len(data)
        letter = self._letter
        if not self._left:
            self._letter = b""
        return MilterCommand(letter, data, not self._left)


class UnixLines:
    """Turns each CRLF in a stream of pieces into LF. A lone CR stays."""

    def __init__(self) -> None:
        self._held = b""

    def take(self, data: bytes) -> bytes:
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        return b"\n".join((data[:-1] if self._held else data).split(b"\r\n"))  # twice as fast as replace()

    def end(self) -> bytes:
        """Return the CR that the last piece ended with, if it did."""
        held = self._held
        self._held = b""
        return held


class MilterOptions(NamedTuple):
    """The options on which both sides agreed."""

    actions: int = 0
    protocol: int = 0

    @property
    def answered(self) -> frozenset[bytes]:
        """Return the commands for which the MTA waits for an answer, except for the end of a message."""
        return frozenset(letter for letter, flag in NOT_ANSWERED.items() if not self.protocol & flag)

    @property
    def leading_space(self) -> bool:
        return bool(self.protocol & LEADING_SPACE)


def negotiate(data: bytes, answer_connect: bool) -> tuple[MilterOptions, bytes]:
    """Choose among the options that the MTA offers. Return them, and the packet that accepts them. Raises BadPacket."""
    if len(data) < 12:
        raise BadPacket("incomplete options")
    version, actions, protocol = struct.unpack_from("!III", data)
    if version < 2:
        raise BadPacket(f"version {version} of the milter protocol")
    wanted = LEADING_SPACE | NOT_SENT[b"T"] | NOT_SENT[b"U"]
    for letter, flag in NOT_ANSWERED.items():
        wanted |= 0 if letter == b"C" and answer_connect else flag
    options = MilterOptions(actions & ACTIONS, protocol & wanted)
    return options, packet(b"O", struct.pack("!III", min(version, VERSION), *options))


def arguments(data: bytes) -> list[bytes]:
    """Split the arguments of HELO, MAIL, RCPT or of the macros."""
    return data.removesuffix(b"\0").split(b"\0")


def macros(data: bytes) -> dict[bytes, bytes]:
    """Return the macros that come before a command; the first byte is the command's letter. Braces stay in the names."""
    words = arguments(data[1:])
    return dict(zip(words[::2], words[1::2], strict=False))


def connection(data: bytes) -> tuple[bytes, bytes]:
    """Return name and address of the client; b"" for an unknown one. A local program has no address."""
    name, _, rest = data.partition(b"\0")
    address = rest[3:].partition(b"\0")[0] if rest[:1] in (b"4", b"6") else b""
    return (b"" if name.startswith(b"[") else name), address


def reply(status: str, text: str) -> bytes:
    """Make the packet of an SMTP reply. The text comes from filters: it is made safe and short."""
    code, _, enhanced = (status if _STATUS.fullmatch(status) else "451 4.3.0").partition(" ")
    lines = list(_lines(text)) or ["refused" if code[0] == "5" else "try again later"]
    texts = [f"{code}-{enhanced} {line}" for line in lines[:-1]] + [f"{code} {enhanced} {lines[-1]}"]
    return packet(b"y", "\r\n".join(texts).replace("%", "%%").encode() + b"\0")


def _lines(text: str) -> Iterator[str]:
    """Yield lines of ASCII, none of them empty or too long, and not too many."""
    count = 0
    for line in text.splitlines():
        rest = _UNSAFE.sub("?", line.expandtabs(1)).strip()
        while rest and count < LINES:
            yield rest[:LINE]
            rest = rest[LINE:].strip()
            count += 1


def missing(decision: DoorDecision, options: MilterOptions) -> str:
    """Return, in words, the actions that the decision needs and the MTA has not offered."""
    if decision.action not in ("accept", "quarantine"):
        return ""
    needs = (
        (decision.fields, ADD_FIELDS),
        (decision.recipients, ADD_RECIPIENTS),
        (decision.action == "quarantine", QUARANTINE),
        (decision.removed, DELETE_RECIPIENTS),
        (decision.changes, CHANGE_FIELDS),
    )
    return ", ".join(_NAMES[flag] for need, flag in needs if need and not options.actions & flag)


def answer(decision: DoorDecision, options: MilterOptions) -> bytes:
    """Make the packets that answer the end of a message. If the MTA has not offered an action that is needed, it gets a 451."""
    if decision.action == "discard":
        return _DISCARD
    if decision.action in ("reject", "tempfail"):
        return reply(decision.status, decision.text) if decision.status else _TEMPFAIL
    if lack := missing(decision, options):
        return reply("451 4.3.5", f"the MTA does not let this milter {lack}")
    packets = [_change(name, value, options) for name, value in decision.changes]
    packets += [_insert(field, options) for field in reversed(decision.fields)]
    packets += [packet(b"-", strings(_path(each))) for each in decision.removed]
    packets += [packet(b"+", strings(_path(each))) for each in decision.recipients]
    if decision.action == "quarantine":
        packets.append(packet(b"q", strings(" ".join(_lines(decision.text))[:LINE].encode() or b"quarantined")))
    return b"".join((*packets, CONTINUE))


def _path(address: bytes) -> bytes:
    return b"<%b>" % _UNSAFE_BYTES.sub(b"", address)


def _change(name: bytes, value: bytes, options: MilterOptions) -> bytes:
    """Make the packet that changes the first field of this name."""
    value = _UNSAFE_BYTES.sub(b"", value)
    return packet(b"m", b"\0\0\0\1" + strings(name, b" " + value if options.leading_space else value))


def _insert(field: bytes, options: MilterOptions) -> bytes:
    """Make the packet that puts a field above all others."""
    name, _, value = _UNSAFE_BYTES.sub(b"", field).partition(b":")
    if not options.leading_space:
        value = value.removeprefix(b" ")
    return packet(b"i", b"\0\0\0\0" + strings(name, value))
