"""Find the parts of a message, as each of three readers finds them. Linear in the message's size.

The first reader is ours, which decodes like the most lenient mail programs. No message is an error to it. A missing
boundary is guessed. What follows padding in the middle of base64 is decoded as well. A part without header is text. Where
mail programs read a part in different ways, each reading is taken: readings.py for headers, boundaries.py for the
structure, which also finds headers where the structure has none. The two others (readers.py) share no code with it:
what only they find is scanned too, and flagged `ambiguous`. What exceeds the limits is flagged, and never skipped silently.
"""

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from filterlink.filters.content.archive import is_archive, members
from filterlink.filters.content.archives.unpack import unopened
from filterlink.filters.content.limits.member import Budget, Look, no_clock
from filterlink.filters.content.mail import filenames, mails, readers, strict
from filterlink.filters.content.mail.boundaries import MAX_HIDDEN, MAX_PARTS, Span, blocks, line_ends, multipart
from filterlink.filters.content.mail.encodings import base64_readings, is_padded_by_piece
from filterlink.filters.content.mail.mimeheader import PartHeader
from filterlink.filters.content.mail.readings import readings
from filterlink.filters.content.mail.textual import decode, decodings, find

__all__ = ["Part", "parts"]

MAX_DEPTH = 20
"""Nesting of multiparts and messages. Real mail has at most 6; repeated forwards have a few more."""
MAX_DECODED = 512 << 20
"""Bytes of all decoded parts together: twice the largest message that the engine takes by default."""
MAX_SEARCHED = 256 << 20, 64
"""Bytes in which boundaries are searched, and an addition in message sizes; real mail needs 6 times its size."""
_BLANKS = re.compile(rb"(?<![ \t])[ \t]++\n")


class Part(NamedTuple):
    """One file in the message: an attachment, a text, a member of an archive."""

    place: str
    """Its position, for people: "part 2", "report.zip/eicar.com"."""
    names: tuple[str, ...]
    """Every file name that it has, or none."""
    type: str
    data: bytes
    flag: str = ""
    """"", or why not all of it could be scanned: limit, bomb, encrypted, broken, unopened; ambiguous: one of several readings."""


class _Piece(NamedTuple):
    """A header, an empty line and a body. `type`: its type if the header does not name one."""

    span: Span
    depth: int
    type: str = "text/plain"


class _Origin(NamedTuple):
    """Where a message comes from: "" and None, or the archive that holds it and the rest of that archive's budget."""

    place: str = ""
    budget: Budget | None = None


def parts(message: bytes, look: Look = no_clock) -> Iterator[Part]:
    """Yield every part that has data, fully decoded, with the members of archives and the parts of messages in them.

    Raises only what `look` raises, which is called often: TimeoutError.
    """
    yield from _Walk(len(message), look).message(message, 0, _Origin())


class _Walk:
    """The walk through a message and the messages in its archives, whose parts count as members of the archive."""

    def __init__(self, size: int, look: Look) -> None:
        self._look = look
        self._bytes = MAX_DECODED
        self._files = MAX_PARTS
        self._search = MAX_SEARCHED[0] + MAX_SEARCHED[1] * size
        self._over = self._limited = False
        """A limit was exceeded and flagged. If it is the message's limit, nothing more is opened."""
        self._strict = False
        """This message follows the grammar of strict.py so far."""
        self._seen: set[int] = set()
        """Digests of all contents that were scanned."""
        self._names: set[str] = set()

    def message(self, data: bytes, depth: int, origin: _Origin) -> Iterator[Part]:
        """Walk through a message: normally, with bare CR as a line end, and as the other readers read it."""
        outer = self._strict
        self._strict = strict.lines(data)
        for text in line_ends(data):
            yield from self.through(_Piece(Span(text, 0, len(text)), depth), origin)
        if not self._strict:
            yield from self._others(data, depth, origin)
        self._strict = outer

    def through(self, message: _Piece, origin: _Origin) -> Iterator[Part]:
        """Walk through its structure, then the headers outside of the structure, then the files encoded in its text."""
        headers: dict[bytes, list[tuple[int, int]]] = {message.span.buffer: []}
        yield from self._structure(message, headers, origin)
        for buffer, known in headers.items() if not self._limited else ():
            start, end = message.span[1:] if buffer is message.span.buffer else (0, len(buffer))
            for number, span in enumerate(blocks(Span(buffer, start, end), known), 1):
                place = f"{origin.place}hidden part {number}"
                self._strict = False
                if self._ended(number, MAX_HIDDEN, origin):
                    yield self._end(place, origin)
                    break
                yield from self._hidden(place, _Piece(span, message.depth), origin)
            yield from self._encoded(Part(f"{origin.place}the message", (), "", b""), buffer[start:end], message.depth, origin)

    def _structure(self, message: _Piece, headers: dict[bytes, list[tuple[int, int]]], origin: _Origin) -> Iterator[Part]:
        """Walk through a message and its pieces; note the start and end of the headers in each buffer."""
        stack = [message]
        number = 0
        while stack and not self._over:
            piece = stack.pop()
            number += 1
            place = f"{origin.place}part {number}"
            if self._ended(number, MAX_PARTS, origin) or (origin.budget and origin.budget.count()):
                yield self._end(place, origin)
                return
            inner = dict[_Piece, None]()
            found = readings(*piece.span)
            self._strict = self._strict and len(found) == 1 and strict.header(piece.span.buffer[piece.span.start : found[0][1]])
            for header, body in found:
                headers.setdefault(piece.span.buffer, []).append((piece.span.start, body))
                yield from self._read(place, piece, header, body, origin, inner)
            stack.extend(reversed(inner))

    def _ended(self, number: int, most: int, origin: _Origin) -> bool:
        return number > most or min(self._bytes, self._search) < 0 or bool(origin.budget and origin.budget.members < 0)

    def _end(self, place: str, origin: _Origin) -> Part:
        """Yield a part that marks more content. Open nothing more, of the archive or of the message."""
        self._over = origin.budget is None
        self._limited = True
        return Part(place, (), "", b"", "limit")

    def _hidden(self, place: str, piece: _Piece, origin: _Origin) -> Iterator[Part]:
        """Decode what a program may take for a part. Its names count only if it has an encoding: a text may be about MIME."""
        for header, body in readings(*piece.span):
            self._look()
            if header.encoding:
                yield from self._leaf(place, header, piece, body, origin, again=False)

    def _read(self, place: str, piece: _Piece, header: PartHeader, body: int, origin: _Origin, inner: dict[_Piece, None]) -> Iterator[Part]:
        """Take one reading of a piece: yield its part, and add the pieces in it."""
        self._look()
        found, flag = self._inner(piece, header, body)
        flag = flag or header.flag
        self._limited = self._limited or bool(flag)
        if found and piece.depth < MAX_DEPTH:
            inner |= dict.fromkeys(found)
            if header.names or flag:
                names = mails.message_names(header, piece.span, body)
                yield self._named(Part(origin.place + names[0] if names else place, names, header.type, b"", flag))
            if not header.encoding:
                return
        elif found:
            flag = "limit"
            self._limited = True
        for part in self._leaf(place, header, piece, body, origin):
            yield part._replace(flag=flag) if flag else part

    def _inner(self, piece: _Piece, header: PartHeader, body: int) -> tuple[list[_Piece], str]:
        """Return the pieces in this one, none for a leaf, and the flag."""
        buffer, _, end = piece.span
        depth = piece.depth + 1
        if header.type.startswith("multipart"):
            self._search -= (end - body) * (1 + len(header.boundaries))
            split = multipart(Span(buffer, body, end), header)
            self._strict = self._strict and split.plain
            default = "message/rfc822" if header.type == "multipart/digest" else "text/plain"
            return [_Piece(span, depth, default) for span in split.parts], split.flag
        is_message = header.type in mails.TYPES or (header.type, piece.type) == ("text/plain", "message/rfc822")
        if not is_message and not any(map(mails.has_mail_name, header.names)):
            return [], ""
        found = [_Piece(Span(buffer, body, end), depth)] if not header.encoding or is_message else []
        if header.encoding:
            found += [_Piece(Span(text, 0, len(text)), depth) for text in line_ends(decode(buffer[body:end], header.encoding))]
        return found, ""

    def _leaf(self, place: str, header: PartHeader, piece: _Piece, start: int, origin: _Origin, again: bool = True) -> Iterator[Part]:
        """Yield a body in each reading. `again`: also one that was scanned before, under other names."""
        place = origin.place + header.names[0] if header.names else place
        self._strict = self._strict and strict.body(header, piece.span.buffer[start : piece.span.end])
        decoded = _decoded(piece.span, start, header.encoding)
        by_piece = len(decoded) > 1 and is_padded_by_piece(piece.span.buffer[start : piece.span.end])
        flag = "ambiguous" if len(decoded) > 1 and not by_piece else ""
        for data in decoded:
            if not again and _digest(data) in self._seen and self._names.issuperset(header.names):
                continue
            yield from self._content(Part(place, header.names, header.type, data, flag), piece.depth, origin)
            if header.encoding:
                yield from self._encoded(Part(place, (), "", b""), data, piece.depth, origin)

    def _encoded(self, part: Part, text: bytes, depth: int, origin: _Origin) -> Iterator[Part]:
        """Yield the files that are encoded in a text."""
        for name, file in find(text):
            self._files -= 1
            if self._files < 0:
                yield part._replace(flag="limit")
                return
            if _digest(file) in self._seen and name in self._names:
                continue
            yield from self._content(_file(part, name, file, origin), depth, origin)

    def _others(self, message: bytes, depth: int, origin: _Origin) -> Iterator[Part]:
        """Yield what only the two other readers find. They are not asked if ours exceeded a limit."""
        if self._limited:
            return
        differ = not readers.reads_email(message)
        for reader, asked in ((readers.by_email, not differ), (readers.by_rust, len(message) <= readers.MAX_RUST)):
            try:
                for found in reader(message, self._look) if asked else ():
                    for part in self._new(found, origin):
                        differ = True
                        yield from self._content(part, depth, origin)
            except readers.TooMuch:
                yield self._end(f"{origin.place}the message", origin)
                return
        if differ:
            yield Part(f"{origin.place}the message", (), "", b"", "ambiguous")

    def _new(self, found: readers.LeafFound, origin: _Origin) -> Iterator[Part]:
        """Yield what another reader found, without what was scanned before."""
        given = [reading for name in found.names for reading in filenames.decoded(name)]
        names = tuple(name for name in dict.fromkeys(given) if name not in self._names)
        if found.type in mails.TYPES:
            names = ()
        data = found.data if found.data.strip() and _digest(found.data) not in self._seen else b""
        if names or data:
            place = origin.place + (given[0] if given else "a part")
            yield Part(place, names, found.type, data, "ambiguous")

    def _named(self, part: Part) -> Part:
        self._names.update(part.names)
        return part

    def _content(self, part: Part, depth: int, origin: _Origin) -> Iterator[Part]:
        """Yield a decoded file, and the content of an archive or an mbox."""
        self._look()
        data = part.data
        self._bytes -= len(data)
        self._seen.add(_digest(data))
        yield self._named(part._replace(flag=part.flag or ("unopened" if unopened(data) else "")))
        if is_archive(data):
            yield from self._archive(part.place, data, part.flag, depth, origin.budget or Budget(len(data), self._look))
        if data.startswith(b"From ") and mails.begins_like_mail(data):
            yield from self._messages(part.place, data, depth, origin.budget or Budget(len(data), self._look))

    def _archive(self, place: str, data: bytes, flag: str, depth: int, budget: Budget) -> Iterator[Part]:
        for member in members(data, place.rpartition("/")[2], budget):
            self._bytes -= len(member.data)
            within = f"{place}/{member.name}"
            yield Part(within, _member_names(member.name), "", member.data, member.flag or flag)
            if mails.is_message_file(member.name, member.data):
                yield from self._messages(within, member.data, depth, budget)
            elif b"\0" not in member.data:
                yield from self._encoded(Part(within, (), "", b""), member.data, depth, _Origin(f"{within}/", budget))

    def _messages(self, place: str, data: bytes, depth: int, budget: Budget) -> Iterator[Part]:
        """Yield the parts of a file that holds a message; in an mbox, also those of each message after the first."""
        if depth >= MAX_DEPTH:
            yield Part(place, (), "", b"", "limit")
            return
        if data.startswith(b"From "):
            starts = (found.end() for found in mails.NEXT_MAIL.finditer(data))
            for number, (start, end) in enumerate(itertools.pairwise(itertools.chain(starts, (len(data),))), 2):
                if budget.members < 0:
                    return
                yield from self.through(_Piece(Span(data, start, end), depth + 1), _Origin(f"{place}/message {number}/", budget))
        yield from self.message(data, depth + 1, _Origin(f"{place}/", budget))


# Content


def _member_names(name: str) -> tuple[str, ...]:
    return (filenames.clean_name(name),) if name and not name.endswith("/") else ()


def _file(part: Part, name: str, data: bytes, origin: _Origin) -> Part:
    """Return a file that is encoded in the text of a part."""
    return part._replace(place=origin.place + name if name else part.place, names=(name,) if name else (), data=data)


def _decoded(span: Span, start: int, encoding: str) -> list[bytes]:
    """Return the body in each reading. A function of its own, so that the caller keeps no reference to a large body."""
    if encoding == "base64":
        return base64_readings(span.buffer[start : span.end])
    return decodings(span.buffer[start : span.end], encoding)


def _digest(data: bytes) -> int:
    """Return a hash that ignores the line ends of a text, and blanks before them.

    Python keys it at random, so no sender can construct a collision.
    """
    if b"\0" in data:
        return hash(data)
    text = data.replace(b"\r\n", b"\n").strip()
    return hash(_BLANKS.sub(b"\n", text) if b" \n" in text or b"\t\n" in text else text)
