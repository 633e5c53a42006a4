"""The parts of a message, decoded as the most lenient of mail programs would. Pure, and linear in the message's size.

Nothing in a message is an error here: a missing boundary is guessed, what follows padding in the middle of base64 is
decoded as well, a part without header is text. Python's own parser is not used because it drops what readers show: it
ends base64 at the first padding, and what follows a closing boundary. Where mail programs read a part in different ways,
each reading is taken (readings.py for headers). What goes beyond the limits is flagged, never skipped in silence.
"""

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from filterlink.filters.archive import is_archive, members
from filterlink.filters.encodings import MAX_PADDING, base64_readings, decode, uuencoded
from filterlink.filters.member import Budget, Look, Member, no_clock
from filterlink.filters.mimeheader import Header, clean_name
from filterlink.filters.readings import readings
from filterlink.filters.unpack import unopened

__all__ = ["Part", "parts"]

MAX_DEPTH = 20
"""Nesting of multiparts and messages; real mail has 6 at most, forwarded forwards a few more."""
MAX_PARTS = 1000
"""Of one message, and of uuencoded files."""
MAX_DECODED = 512 << 20
"""Bytes of all decoded parts together: twice the largest message that the engine takes by default."""
MAX_SEARCHED = 256 << 20, 64
"""Bytes in which boundaries are looked for, and how many times the size of the message more; real mail needs its size 6 times."""
MAIL_NAMES = (".eml", ".mht", ".mhtml", ".nws")
"""Files that mail programs and browsers open as a message."""
_MAIL = re.compile(
    rb"(?:From [^\n]{1,500}\n)?"
    rb"(?:Received|Return-Path|Delivered-To|From|To|Subject|Date|Message-ID|MIME-Version|Content-Type|X-[!-9;-~]{1,99})[ \t]*:",
    re.IGNORECASE,
)
_NEXT_MAIL = re.compile(rb"\n(?=From [^\n]{1,500}\n[!-9;-~]{1,100}[ \t]*:)")
_DELIMITER_END = re.compile(rb"(--)?[ \t]*\r?(?:\n|\Z)")
_NOT_BLANK = re.compile(rb"\S")
_LINE_END = re.compile(rb"[^\n]*(?:\n|\Z)")
_MESSAGES = ("message/rfc822", "message/global", "message/news")
_LIKE_DELIMITER = re.compile(rb"(?:\A|(?<=\n))--([^\s]{1,200}?)(?:--)?[ \t]*\r?\n")


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


def parts(message: bytes, look: Look = no_clock) -> Iterator[Part]:
    """Yield every part that holds data, fully decoded, the members of archives among them, and what messages in these hold.

    Raises only what `look` does, which is called all the time: TimeoutError.
    """
    yield from _Walk(len(message), look).message(message, 0, _Origin())


class _Walk:
    """The way through a message and the messages in its archives: their parts count as members of the archive."""

    def __init__(self, size: int, look: Look) -> None:
        self._look = look
        self._bytes = MAX_DECODED
        self._files = MAX_PARTS
        self._search = MAX_SEARCHED[0] + MAX_SEARCHED[1] * size

    def message(self, data: bytes, depth: int, origin: _Origin) -> Iterator[Part]:
        """Go through one, and once more as those read it to whom a bare CR ends a line."""
        for text in _line_ends(data):
            yield from self.through(_Piece(text, 0, len(text), depth), origin)

    def through(self, message: _Piece, origin: _Origin) -> Iterator[Part]:
        stack, number = [message], 0
        while stack:
            piece = stack.pop()
            number += 1
            place = f"{origin.place}part {number}"
            if number > MAX_PARTS or min(self._bytes, self._search) < 0 or (origin.budget and origin.budget.count()):
                yield Part(place, (), "", b"", "limit")
                return
            inner = dict[_Piece, None]()
            for header, body in readings(piece.buffer, piece.start, piece.end):
                yield from self._read(place, piece, header, body, origin, inner)
            stack.extend(reversed(inner))

    def _read(self, place: str, piece: _Piece, header: Header, body: int, origin: _Origin, inner: dict[_Piece, None]) -> Iterator[Part]:
        """Take one reading of a piece: yield what it is, and add what is in it."""
        self._look()
        found, flag = self._inner(piece, header, body)
        flag = flag or header.flag
        if found and piece.depth < MAX_DEPTH:
            inner |= dict.fromkeys(found)
            if header.names or flag:
                yield Part(origin.place + header.names[0] if header.names else place, header.names, header.type, b"", flag)
            if not header.encoding:
                return
        elif found or _too_much_padding(piece, header, body):
            flag = "limit"
        for part in self._leaf(place, header, piece, body, origin):
            yield part._replace(flag=flag) if flag else part

    def _inner(self, piece: _Piece, header: Header, body: int) -> tuple[list[_Piece], str]:
        """List the pieces inside of this one, none where it is a leaf, and the flag."""
        buffer, end, depth = piece.buffer, piece.end, piece.depth + 1
        if header.type.startswith("multipart/"):
            self._search -= (end - body) * (1 + len(header.boundaries))
            spans, flag = _multipart(buffer, body, end, header)
            return [_Piece(*span, depth) for span in spans], flag
        if header.type not in _MESSAGES and not any(n.lower().endswith(MAIL_NAMES) for n in header.names):
            return [], ""
        found = [_Piece(buffer, body, end, depth)] if not header.encoding or header.type in _MESSAGES else []
        if header.encoding and not _too_much_padding(piece, header, body):
            found += [_Piece(text, 0, len(text), depth) for text in _line_ends(decode(buffer[body:end], header.encoding))]
        return found, ""

    def _leaf(self, place: str, header: Header, piece: _Piece, start: int, origin: _Origin) -> Iterator[Part]:
        place = origin.place + header.names[0] if header.names else place
        decoded = _decoded(piece, start, header.encoding)
        flag = "ambiguous" if len(decoded) > 1 else ""
        for data in decoded:
            yield from self._content(Part(place, header.names, header.type, data, flag), piece.depth, origin)
            if header.encoding or b"begin " not in data or is_archive(data):
                continue
            for name, file in uuencoded(data):
                part = Part(name or place, (name,) if name else (), "", file)
                self._files -= 1
                if self._files < 0:
                    yield Part(place, (), "", b"", "limit")
                    return
                yield from self._content(part, piece.depth, origin)

    def _content(self, part: Part, depth: int, origin: _Origin) -> Iterator[Part]:
        """Yield a decoded file, and what is in it where it is an archive or an mbox."""
        self._look()
        data = part.data
        self._bytes -= len(data)
        yield part._replace(flag=part.flag or ("unopened" if unopened(data) else ""))
        if is_archive(data):
            yield from self._archive(part.place, data, part.flag, depth, origin.budget or Budget(len(data), self._look))
        elif data.startswith(b"From ") and _MAIL.match(data):
            yield from self._messages(part.place, data, depth, origin.budget or Budget(len(data), self._look))

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
        yield from self.message(data, depth + 1, _Origin(f"{place}/", budget))
        if not data.startswith(b"From "):
            return
        starts = (found.end() for found in _NEXT_MAIL.finditer(data))
        for number, (start, end) in enumerate(itertools.pairwise(itertools.chain(starts, (len(data),))), 2):
            if budget.members < 0:
                return
            yield from self.through(_Piece(data, start, end, depth + 1), _Origin(f"{place}/message {number}/", budget))


# Structure


def _line_ends(data: bytes) -> Iterator[bytes]:
    """The data, and where it holds a bare CR as those see it to whom that ends a line."""
    yield data
    if b"\r" in data and data.count(b"\r") > data.count(b"\r\n"):
        yield data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _multipart(buffer: bytes, start: int, end: int, header: Header) -> tuple[list[tuple[bytes, int, int]], str]:
    """Split at each boundary, also decoded where it has an encoding; guess one where none of them is in the body."""
    found = dict[tuple[bytes, int, int], None]()
    flag = ""
    for boundary in header.boundaries:
        spans, over = _spans(buffer, start, end, boundary)
        found |= dict.fromkeys((buffer, *span) for span in spans)
        flag = over or flag
    if header.encoding:
        decoded = decode(buffer[start:end], header.encoding)
        inner, over = _multipart(decoded, 0, len(decoded), header._replace(encoding=""))
        return [*found, *inner], flag or over
    if not found and (guess := _LIKE_DELIMITER.search(buffer, start, end)):
        spans, flag = _spans(buffer, start, end, guess[1])
        found |= dict.fromkeys((buffer, *span) for span in spans)
    return list(found), flag


def _spans(buffer: bytes, start: int, end: int, boundary: bytes) -> tuple[list[tuple[int, int]], str]:
    """Find the spans between delimiter lines, those after a closing one too; the text before the first is none.

    A line that only begins like a delimiter is one to some: the spans of both readings. The flag says that there are more.
    """
    delimiter = b"--" + boundary
    lines: list[tuple[int, int, bool]] = []
    at = start if buffer.startswith(delimiter, start, end) else _next_line(buffer, delimiter, start, end)
    while at >= 0 and len(lines) <= MAX_PARTS:
        exact = _DELIMITER_END.match(buffer, at + len(delimiter), end)
        after = (exact or _LINE_END.match(buffer, at + len(delimiter), end)).end()  # type: ignore[union-attr]
        lines.append((max(at - 1, start), after, bool(exact)))
        at = _next_line(buffer, delimiter, after - 1, end)
    found = dict[tuple[int, int], None]()
    for kept in ([line for line in lines if line[2]], lines):
        for (_, begin, _), (until, _, _) in itertools.pairwise((*kept, (end, end, True))):
            if _NOT_BLANK.search(buffer, begin, until):
                found[begin, until] = None
    return list(found), "limit" if at >= 0 else ""


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


def _decoded(piece: _Piece, start: int, encoding: str) -> list[bytes]:
    """The body in each reading. It is no variable of the caller's, as a large one is worth its memory."""
    if encoding == "base64":
        return base64_readings(piece.buffer[start : piece.end])
    return [decode(piece.buffer[start : piece.end], encoding)]
