"""The parts of a message, decoded as the most lenient of mail programs would. Pure, and linear in the message's size.

Nothing in a message is an error here: a missing boundary is guessed, what follows padding in the middle of base64 is
decoded as well, a part without header is text. Python's own parser is not used because it drops what readers show: it
ends base64 at the first padding, and what follows a closing boundary. What goes beyond the limits is flagged, never
skipped in silence.
"""

import binascii
import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from filterlink.filters.archive import is_archive, members
from filterlink.filters.member import Budget, Member
from filterlink.filters.mimeheader import Header, clean_name, read_header
from filterlink.filters.unpack import unopened

__all__ = ["Part", "base64_readings", "decode_base64", "parts"]

MAX_DEPTH = 20
"""Nesting of multiparts and messages; real mail has 6 at most, forwarded forwards a few more."""
MAX_PARTS = 1000
"""Of one message."""
MAX_DECODED = 512 << 20
"""Bytes of all decoded parts together: twice the largest message that the engine takes by default."""
MAX_PADDING = 10_000
"""Padding characters (=) in base64, each of which may end a group that is decoded alone; a part has two, joined ones some."""
MAIL_NAMES = (".eml", ".mht", ".mhtml", ".nws")
"""Files that mail programs and browsers open as a message."""
_MAIL = re.compile(
    rb"(?:From [^\n]{1,500}\n)?"
    rb"(?:Received|Return-Path|Delivered-To|From|To|Subject|Date|Message-ID|MIME-Version|Content-Type|X-[!-9;-~]{1,99})[ \t]*:",
    re.IGNORECASE,
)
_NEXT_MAIL = re.compile(rb"\n(?=From [^\n]{1,500}\n[!-9;-~]{1,100}[ \t]*:)")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
_DELIMITER_END = re.compile(rb"(--)?[ \t]*\r?(?:\n|\Z)")
_NOT_BLANK = re.compile(rb"\S")
_LINE_END = re.compile(rb"[^\n]*(?:\n|\Z)")
_LIKE_DELIMITER = re.compile(rb"(?:\A|(?<=\n))--([^\s]{1,200}?)(?:--)?[ \t]*\r?\n")
_BEGIN_UU = re.compile(rb"(?:\A|(?<=\n))begin [0-7]{3,4} ([^\r\n]{1,255})\r?\n")


class Part(NamedTuple):
    """One file that the message carries: an attachment, a text, a member of an archive."""

    place: str
    """Where it is, for people: "part 2", "report.zip/eicar.com"."""
    names: tuple[str, ...]
    """Every file name that is given for it, or none."""
    type: str
    data: bytes
    flag: str = ""
    """"", or why not all could be looked at: limit, bomb, encrypted, broken, unopened; ambiguous: one of several readings."""


class _Piece(NamedTuple):
    """A span of a buffer that is a header, an empty line and a body."""

    buffer: bytes
    start: int
    end: int
    depth: int


class _Origin(NamedTuple):
    """Where a message stands: "" and nothing, or the archive that it was in and what may still be unpacked of that."""

    place: str = ""
    budget: Budget | None = None


def parts(message: bytes) -> Iterator[Part]:
    """Yield every part that holds data, fully decoded, the members of archives among them, and what messages in these hold.

    Never raises.
    """
    yield from _Walk().through(_Piece(message, 0, len(message), 0), _Origin())


class _Walk:
    """The way through a message and the messages in its archives: their parts count as members of the archive."""

    def __init__(self) -> None:
        self._bytes = MAX_DECODED

    def through(self, message: _Piece, origin: _Origin) -> Iterator[Part]:
        stack, number = [message], 0
        while stack:
            piece = stack.pop()
            number += 1
            place = f"{origin.place}part {number}"
            if number > MAX_PARTS or self._bytes < 0 or (origin.budget and origin.budget.count()):
                yield Part(place, (), "", b"", "limit")
                return
            header, body = read_header(piece.buffer, piece.start, piece.end)
            inner = _inner(piece, header, body)
            if inner and piece.depth < MAX_DEPTH:
                stack.extend(reversed(inner))
                if header.names:
                    yield Part(origin.place + header.names[0], header.names, header.type, b"")
                continue
            cut = bool(inner) or _too_much_padding(piece, header, body)
            for part in self._leaf(place, header, piece, body, origin):
                yield part._replace(flag="limit") if cut else part

    def _leaf(self, place: str, header: Header, piece: _Piece, start: int, origin: _Origin) -> Iterator[Part]:
        body = piece.buffer[start : piece.end]
        place = origin.place + header.names[0] if header.names else place
        readings = base64_readings(body) if header.encoding == "base64" else [_decode(body, header.encoding)]
        flag = "ambiguous" if len(readings) > 1 else ""
        for data in readings:
            self._bytes -= len(data)
            yield Part(place, header.names, header.type, data, flag or ("unopened" if unopened(data) else ""))
            if is_archive(data):
                yield from self._archive(place, data, flag, piece.depth, origin.budget or Budget(len(data)))
            elif data.startswith(b"From ") and _MAIL.match(data):
                yield from self._messages(place, data, piece.depth, origin.budget or Budget(len(data)))
            elif not header.encoding and b"begin " in data:
                yield from _uuencoded(place, data)

    def _archive(self, place: str, data: bytes, flag: str, depth: int, budget: Budget) -> Iterator[Part]:
        for member in members(data, place.rpartition("/")[2], budget):
            self._bytes -= len(member.data)
            within = f"{place}/{member.name}"
            yield Part(within, _member_names(member.name), "", member.data, member.flag or flag)
            if _is_message(member):
                yield from self._messages(within, member.data, depth, budget)

    def _messages(self, place: str, data: bytes, depth: int, budget: Budget) -> Iterator[Part]:
        """What a file is taken for that holds a message: one by itself, and where it is an mbox each behind the first as well."""
        if depth >= MAX_DEPTH:
            yield Part(place, (), "", b"", "limit")
            return
        yield from self.through(_Piece(data, 0, len(data), depth + 1), _Origin(f"{place}/", budget))
        if not data.startswith(b"From "):
            return
        starts = (found.end() for found in _NEXT_MAIL.finditer(data))
        for number, (start, end) in enumerate(itertools.pairwise(itertools.chain(starts, (len(data),))), 2):
            if budget.members < 0:
                return
            yield from self.through(_Piece(data, start, end, depth + 1), _Origin(f"{place}/message {number}/", budget))


# Structure


def _inner(piece: _Piece, header: Header, body: int) -> list[_Piece]:
    """List the pieces inside of this one; none where it is a leaf."""
    buffer, end, depth = piece.buffer, piece.end, piece.depth + 1
    if header.type.startswith("multipart/"):
        return [_Piece(*span, depth) for span in _multipart(buffer, body, end, header)]
    if header.type in ("message/rfc822", "message/global", "message/news") or any(n.lower().endswith(MAIL_NAMES) for n in header.names):
        if _too_much_padding(piece, header, body):
            return []
        if header.encoding:
            decoded = _decode(buffer[body:end], header.encoding)
            return [_Piece(decoded, 0, len(decoded), depth)]
        return [_Piece(buffer, body, end, depth)]
    return []


def _multipart(buffer: bytes, start: int, end: int, header: Header) -> list[tuple[bytes, int, int]]:
    """Split at the boundary; where that never stands in the body, look for it decoded, then guess."""
    for boundary in header.boundaries:
        if spans := _spans(buffer, start, end, boundary, _DELIMITER_END) or _spans(buffer, start, end, boundary, _LINE_END):
            return [(buffer, *span) for span in spans]
    if header.encoding:
        buffer = _decode(buffer[start:end], header.encoding)
        return _multipart(buffer, 0, len(buffer), header._replace(encoding=""))
    guess = _LIKE_DELIMITER.search(buffer, start, end)
    return [(buffer, *span) for span in _spans(buffer, start, end, guess[1], _DELIMITER_END)] if guess else []


def _spans(buffer: bytes, start: int, end: int, boundary: bytes, line_end: re.Pattern[bytes]) -> list[tuple[int, int]]:
    """Find the spans between delimiter lines, those after a closing one too; the text before the first is none."""
    delimiter = b"--" + boundary
    starts: list[int] = []
    ends: list[int] = []
    at = start if buffer.startswith(delimiter, start, end) else _next_line(buffer, delimiter, start, end)
    while at >= 0 and len(starts) <= MAX_PARTS:
        line = line_end.match(buffer, at + len(delimiter), end)
        if line:
            ends.append(max(at - 1, start))
            starts.append(line.end())
        at = _next_line(buffer, delimiter, line.end() - 1 if line else at, end)
    spans = zip(starts, [*ends[1:], end], strict=False)  # without a delimiter both are empty but for the end
    return [(a, b) for a, b in spans if _NOT_BLANK.search(buffer, a, b)]


def _next_line(buffer: bytes, delimiter: bytes, start: int, end: int) -> int:
    found = buffer.find(b"\n" + delimiter, start, end)
    return found + 1 if found >= 0 else -1


# Content


def _is_message(member: Member) -> bool:
    """By its name, or by its first line: files of a Maildir and of a mail queue have no such names."""
    return bool(member.data) and (member.name.lower().endswith(MAIL_NAMES) or bool(_MAIL.match(member.data)))


def _too_much_padding(piece: _Piece, header: Header, body: int) -> bool:
    return header.encoding == "base64" and piece.buffer.count(b"=", body, piece.end) > MAX_PADDING


def _member_names(name: str) -> tuple[str, ...]:
    return (clean_name(name),) if name and not name.endswith("/") else ()


def _decode(body: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        return decode_base64(body)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    if encoding:
        return b"".join(part.data for part in _uuencoded("", body)) or body
    return body


def decode_base64(body: bytes) -> bytes:
    """Decode every group, also those after padding in the middle; strange characters count as nothing."""
    return base64_readings(body)[0]


def base64_readings(body: bytes) -> list[bytes]:
    """Decode as all mail programs might, where padding stands in the middle: each group, the text as one, up to there."""
    text = body.translate(None, _NOT_BASE64)
    groups = [group for group in text.rstrip(b"=").split(b"=", MAX_PADDING)[:MAX_PADDING] if group]
    whole = b"".join(map(_group, groups))
    if len(groups) < 2:
        return [whole]
    return list(dict.fromkeys((whole, _group(text.replace(b"=", b"")), _group(groups[0]))))


def _group(group: bytes) -> bytes:
    if len(group) % 4 == 1:  # six bits are no byte
        group = group[:-1]
    return binascii.a2b_base64(group + b"=" * (-len(group) % 4))


def _uuencoded(place: str, text: bytes) -> Iterator[Part]:
    """Yield the files that stand uuencoded in a text."""
    begin = _BEGIN_UU.search(text)
    while begin:
        end = text.find(b"\nend", begin.end() - 1)
        stop = end if end >= 0 else len(text)
        name = clean_name(begin[1].decode("utf-8", "replace"))
        yield Part(name or place, (name,) if name else (), "", b"".join(map(_uu_line, text[begin.end() : stop].split(b"\n"))))
        begin = _BEGIN_UU.search(text, stop)


def _uu_line(line: bytes) -> bytes:
    """Decode one line; its first character tells the length, the filling behind that is often wrong."""
    if not line:
        return b""
    length = (line[0] - 32) & 63
    try:
        return binascii.a2b_uu(line[: 1 + (length + 2) // 3 * 4])
    except binascii.Error:
        return b""
