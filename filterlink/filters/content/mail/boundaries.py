"""Find where the parts of a multipart start and end, in each way that mail programs see it. Pure and linear.

A missing boundary is guessed. What follows a closing delimiter is a part, too.
"""

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from filterlink.filters.content.mail.mimeheader import PartHeader
from filterlink.filters.content.mail.textual import decode

__all__ = ["MAX_HIDDEN", "MAX_PARTS", "Span", "Split", "blocks", "line_ends", "multipart"]

MAX_PARTS = 1000
"""Parts of one message, and uuencoded files."""
_DELIMITER_END = re.compile(rb"(--)?[ \t]*\r?(?:\n|\Z)")
_NOT_BLANK = re.compile(rb"\S")
_LINE_END = re.compile(rb"[^\n]*(?:\n|\Z)")
_LIKE_DELIMITER = re.compile(rb"(?:\A|(?<=\n))--([^\s]{1,200}?)(?:--)?[ \t]*\r?\n")
MAX_INDENTED = 100
"""Blanks before a field of a header outside of the structure."""
MAX_HIDDEN = 10_000
"""Blocks of Content- fields with an encoding outside of the structure."""
_CONTENT = b"content-"
_ENCODING = b"content-transfer-encoding"
_BLANK_LINE = re.compile(rb"\n\r?\n")
_FIELD = re.compile(rb"content-(?:transfer-encoding|disposition|type)[ \t]*+:")
_NEXT_DELIMITER = re.compile(rb"\n--[^\s-]")


class Span(NamedTuple):
    """Bytes of a buffer: a header, an empty line and a body."""

    buffer: bytes
    start: int
    end: int


class Split(NamedTuple):
    """The parts of a multipart; "limit" if there are more than MAX_PARTS; whether it has the form of a standard program."""

    parts: list[Span]
    flag: str
    plain: bool


def line_ends(data: bytes) -> Iterator[bytes]:
    """Yield the data, and if it holds a bare CR, also the data as programs read it for which CR ends a line."""
    yield data
    if b"\r" in data and data.count(b"\r") > data.count(b"\r\n"):
        yield data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def multipart(body: Span, header: PartHeader) -> Split:
    """Split at each boundary, also decoded if it has an encoding; guess one if none of them is in the body."""
    found = dict[Span, None]()
    flag = ""
    plain = False
    for boundary in header.boundaries:
        spans, over, plain = _spans(*body, boundary)
        found |= dict.fromkeys(spans)
        flag = over or flag
    if header.encoding:
        decoded = decode(body.buffer[body.start : body.end], header.encoding)
        inner = multipart(Span(decoded, 0, len(decoded)), header._replace(encoding=""))
        return Split([*found, *inner.parts], flag or inner.flag, False)
    if not found and (guess := _LIKE_DELIMITER.search(*body)):
        spans, flag, _ = _spans(*body, guess[1])
        return Split(spans, flag, False)
    return Split(list(found), flag, plain and len(header.boundaries) == 1)


def _spans(buffer: bytes, start: int, end: int, boundary: bytes) -> Split:
    """Find the spans between delimiter lines, also after a closing one; the text before the first is none.

    Some programs take a line that only begins like a delimiter as one: both readings give spans.
    """
    delimiter = b"--" + boundary
    lines: list[tuple[int, int, bool]] = []
    exact = None
    closed = 0
    at = start if buffer.startswith(delimiter, start, end) else _next_line(buffer, delimiter, start, end)
    while at >= 0 and len(lines) <= MAX_PARTS:
        exact = _DELIMITER_END.match(buffer, at + len(delimiter), end)
        closed += bool(exact and exact[1])
        after = (exact or _LINE_END.match(buffer, at + len(delimiter), end)).end()  # type: ignore[union-attr]
        lines.append((max(at - 1, start), after, bool(exact)))
        at = _next_line(buffer, delimiter, after - 1, end)
    found = dict[Span, None]()
    for kept in ([line for line in lines if line[2]], lines):
        for (_, begin, _), (until, _, _) in itertools.pairwise((*kept, (end, end, True))):
            if _NOT_BLANK.search(buffer, begin, until):
                found[Span(buffer, begin, until)] = None
    plain = closed == 1 and bool(exact and exact[1]) and all(line[2] for line in lines) and not _NOT_BLANK.search(buffer, lines[-1][1], end)
    return Split(list(found), "limit" if at >= 0 else "", plain)


def _next_line(buffer: bytes, delimiter: bytes, start: int, end: int) -> int:
    found = buffer.find(b"\n" + delimiter, start, end)
    return found + 1 if found >= 0 else -1


def blocks(within: Span, known: list[tuple[int, int]]) -> Iterator[Span]:
    """Yield each block of Content- fields with an encoding that begins a line and is in no known header.

    Some programs take such a block for the header of a part, whatever the structure is. The part ends before the next line
    that looks like a delimiter. `known`: start and end of each header that was read.
    """
    buffer, start, stop = within
    text = buffer[start:stop].lower()
    headers = iter(sorted(known))
    delimiters = _NEXT_DELIMITER.finditer(buffer, start, stop)
    begin = end = until = -1
    at = text.find(_CONTENT)
    while at >= 0:
        while end <= start + at and (header := next(headers, None)):
            begin = header[0]
            end = max(end, header[1])
        behind = at + len(_CONTENT)
        if not begin <= start + at < end and _begins_line(text, at) and _FIELD.match(text, at):
            while until <= start + at:
                delimiter = next(delimiters, None)
                until = delimiter.start() if delimiter else stop
            blank = _BLANK_LINE.search(text, at, until - start)
            behind = max(blank.start() if blank else until - start, behind)
            if text.find(_ENCODING, at, behind) >= 0:
                yield Span(buffer, start + at, until)
        at = text.find(_CONTENT, behind)


def _begins_line(text: bytes, at: int) -> bool:
    before = text[max(0, at - MAX_INDENTED) : at].rstrip(b" \t\xef\xbb\xbf")  # a byte order mark, too
    return not before or before[-1:] in b"\r\n"
