"""Files that stand encoded in a text: uuencode, its base64 form, yEnc, and data: links in HTML. Pure, and linear in the text's size.

Mail and news programs make attachments of the first three, browsers a download of the last. Any number may follow each other,
with any text around them; one that has no end goes as far as the next one, or the text.
"""

import binascii
import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from filterlink.filters.encodings import decode_base64, uu_line
from filterlink.filters.filenames import clean_name

__all__ = ["decode", "find"]

MAX_BACK = 400
"""Bytes of a data: link before its data: type, parameters."""
_MARK = re.compile(
    rb"^[ \t>]{0,20}(?:"
    rb"(?P<uu>(?i:begin))[ \t]{1,20}[0-9]{1,6}(?:[ \t]{1,20}(?P<name>[^\r\n]{0,1000}))?[^\r\n]*\r?$"
    rb"|(?P<base64>(?i:begin-base64))(?:-encoded)?[ \t]{1,20}[0-9]{1,6}[ \t]{1,20}(?P<other>[^\r\n]{0,1000})[^\r\n]*\r?$"
    rb"|=ybegin (?P<yenc>[^\r\n]{0,2000})[^\r\n]*\r?$"
    rb"|(?P<end>(?i:end)[ \t]*\r?$|====|=yend ))",
    re.MULTILINE,
)
_NEXT_LINE = re.compile(
    rb"[\r\n \t]{0,100}?\n[ \t>]{0,20}?"
    rb"(?:(?P<uu>[ -`]{1,89}[!-~]?)|[+\-0-9A-Za-z]{21,90}|(?i:begin|=ybegin)[ \t][^\r\n]{0,999})\r?(?:\n|\Z)"
)
_DATA = b";base64,"
_BASE64 = re.compile(rb"[A-Za-z0-9+/=\s%_-]*")
_SHIFTED = bytes((byte - 42) & 255 for byte in range(256))


def decode(body: bytes, encoding: str) -> bytes:
    """Decode a body by its Content-Transfer-Encoding; "" leaves it as it is."""
    if encoding == "base64":
        return decode_base64(body)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    if encoding:
        return b"".join(data for _, data in find(body)) or body
    return body


def find(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file."""
    if b"begin" in data.lower():
        yield from _marked(data)
    if _DATA in data:
        yield from _links(data)


def _marked(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Where another one begins before the first has ended, the first is also read as far as the end that follows."""
    begun: re.Match[bytes] | None = None
    first: re.Match[bytes] | None = None
    for mark in _MARK.finditer(data):
        if mark["uu"] and not _is_uu(data, mark.end()):
            continue
        if begun:
            yield from _decoded(begun, data[begun.end() : mark.start()])
        if mark["end"] is not None:
            if first and first is not begun:
                yield from _decoded(first, data[first.end() : mark.start()])
            begun = first = None
        else:
            begun, first = mark, first or mark
    if begun:
        yield from _decoded(begun, data[begun.end() :])
    if first and first is not begun:
        yield from _decoded(first, data[first.end() :])


def _is_uu(data: bytes, at: int) -> bool:
    """Whether the next line is uuencoded or xxencoded, or begins a file too: a text may say "begin 2026 at example.com"."""
    line = _NEXT_LINE.match(data, at)
    if line is None:
        return False
    if line["uu"] is None:
        return True
    return len(line["uu"]) <= 5 + ((line["uu"][0] - 32 & 63) + 2) // 3 * 4  # a check character, or blanks, may be behind


def _decoded(mark: re.Match[bytes], text: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the file in each reading: some decoders skip a line between uuencoded ones that cannot be one."""
    if mark["uu"]:
        lines = text.split(b"\n")
        fitting = [line for line in lines if _fits(line)]
        for reading in (lines, fitting) if len(fitting) < len([line for line in lines if line.strip()]) else (lines,):
            yield _name(mark["name"] or b""), b"".join(map(uu_line, reading))
    elif mark["base64"]:
        yield _name(mark["other"]), decode_base64(text)
    else:
        yield _name(mark["yenc"].rpartition(b"name=")[2]), _yenc(text)


def _fits(line: bytes) -> bool:
    """As MIME::Parser and Perl see it: no small letters, and as many groups as the first character says."""
    line = line.strip(b"\r")
    return bool(line) and line == line.upper() and ((line[0] - 32 & 63) + 2) // 3 == len(line) // 4


def _name(text: bytes) -> str:
    return clean_name(text.decode("utf-8", "replace").strip(" \t\"'"))


def _yenc(text: bytes) -> bytes:
    """Every byte is shifted by 42; = stands before one that is shifted by 64 more. A line =ypart tells which part it is."""
    text = text.removeprefix(b"\n")
    if text.startswith(b"=ypart "):
        text = text.partition(b"\n")[2]
    first, *others = text.translate(None, b"\r\n").split(b"=")
    escaped = (bytes([(each[0] - 106) & 255]) + each[1:].translate(_SHIFTED) for each in others if each)
    return first.translate(_SHIFTED) + b"".join(escaped)


def _links(data: bytes) -> Iterator[tuple[str, bytes]]:
    at = data.find(_DATA)
    while at >= 0:
        start = data.rfind(b"data:", max(0, at - MAX_BACK), at)
        found = _BASE64.match(data, at + len(_DATA))
        end = found.end() if found else at
        if start >= 0 and found and found[0]:
            yield "", decode_base64(unquote_to_bytes(found[0]).translate(bytes.maketrans(b"-_", b"+/")))
        at = data.find(_DATA, max(end, at + 1))
