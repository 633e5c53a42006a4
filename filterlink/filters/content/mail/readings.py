r"""Find where the header of a MIME part begins and ends, in every way that mail programs see it. Pure.

They differ if a header is broken: an empty line or rubbish before the first field, a line inside that is not a field (it
is skipped, or the body begins there), a line of blanks (it is a continuation, or ends the header), a bare CR (it is a
character, the end of a line, or ignored). Each reading of a part is scanned; ordinary mail has one.
"""

import re

from filterlink.filters.content.mail.mimeheader import MAX_READINGS, PartHeader, interpret

__all__ = ["MAX_HEADER", "readings"]

MAX_HEADER = 1 << 20
"""Bytes of one part's header that are read; mail programs and relays refuse far smaller ones."""
_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_LINES = tuple(
    re.compile(rb"(?:(?:%b|[ \t])[^\n]*+(?:\n|\Z))*+" % field)
    # as all; as RFC 5322; any with a colon; as Python
    for field in (rb"[!-9;-~]++:", rb"[!-9;-~]++[ \t]*+:", rb"[^\n:]*+:", rb"(?:From |[!-9;-~]*+:)")
)
"""What programs take as lines of a header. Each line that the first pattern matches, all others match, too."""
_FROM = re.compile(rb">?From [^\n]*\n")
_BLANK_LINE = re.compile(rb"\n\r?\n")
_WHITE_LINE = re.compile(rb"\n[ \t]++\r?\n")
_EMPTY_LINES = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t]*+\r?\n)*+(?:\xef\xbb\xbf)?")
"""Also a byte order mark, which some programs drop before the first field."""
_WANTED = re.compile(rb"(?:\A|[\r\n\xbf])Content-(?:Type|Disposition|Transfer-Encoding)[ \t]*+:", re.IGNORECASE)
_BARE_CR = re.compile(rb"\r(?!\n|\Z)")


def readings(data: bytes, start: int, end: int) -> list[tuple[PartHeader, int]]:
    """Read the header of the part at data[start:end] in every way; each comes with the start of the body.

    The strictest comes first. In that one, a part whose first line is not a header field is all body.
    """
    line = _FROM.match(data, start, end)
    begin = line.end() if line else start
    found = dict[tuple[PartHeader, int], None]()
    if empty := next((empty for empty in (b"\n", b"\r\n") if data.startswith(empty, begin, end)), b""):
        found[PartHeader(), begin + len(empty)] = None
    elif not _FIELD.match(data, begin, end):
        found[PartHeader(), start] = None
    if found and (lines := _EMPTY_LINES.match(data, begin, end)):  # a header only for programs that skip what is before it
        begin = lines.end()
    first, body = _end(data, begin, end)
    if not found or _WANTED.search(data, max(start, begin - 1), first):
        for stop, after in ((first, body), *_other_ends(data, begin, first)):
            found |= dict.fromkeys((header, after) for header in _read(data, begin, stop))
    return _limited(list(found))


def _end(data: bytes, begin: int, end: int) -> tuple[int, int]:
    blank = _BLANK_LINE.search(data, begin, end)
    return (blank.start(), blank.end()) if blank else (end, end)


def _other_ends(data: bytes, begin: int, stop: int) -> list[tuple[int, int]]:
    """Return where the header ends for programs that see its end before the first empty line."""
    found = []
    for lines in _LINES:
        fields = lines.match(data, begin, min(stop + 1, begin + MAX_HEADER))
        if fields and fields.end() >= stop and lines is _LINES[0]:
            break
        if fields and begin < fields.end() < stop:
            found.append((fields.end(), fields.end()))
    if white := _WHITE_LINE.search(data, begin, min(stop, begin + MAX_HEADER)):
        found.append((white.start(), white.end()))
    return found


def _read(data: bytes, begin: int, stop: int) -> list[PartHeader]:
    text = data[begin : min(stop, begin + MAX_HEADER)]
    flag = "limit" if stop - begin > MAX_HEADER else ""
    found = interpret(text, flag)
    bare = b"\r" in text and _BARE_CR.search(text)
    return found + interpret(_BARE_CR.sub(b"\n", text), flag) + interpret(_BARE_CR.sub(b"", text), flag) if bare else found


def _limited(found: list[tuple[PartHeader, int]]) -> list[tuple[PartHeader, int]]:
    if len(found) <= MAX_READINGS:
        return found
    header, body = found[MAX_READINGS]
    return [*found[:MAX_READINGS], (header._replace(flag="limit"), body)]
