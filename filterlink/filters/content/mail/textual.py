"""Find files that are encoded in a text: uuencode, its base64 form, yEnc, and data: links in HTML. Pure, and linear in the text's size.

Mail and news programs make attachments of the first three, browsers a download of the last. Any number may follow each other,
with any text around them. A file without an end extends to the next one, or to the end of the text.
"""

import binascii
import itertools
import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from filterlink.filters.content.mail.encodings import base64_readings, decode_base64, uu_line
from filterlink.filters.content.mail.filenames import clean_name

__all__ = ["decode", "decodings", "find"]

MAX_BACK = 400
"""Bytes of a data: link before its data: type, parameters."""
MAX_PIECES = 500_000
"""Uuencoded lines that are decoded character by character: 22 MB in ordinary ones, which takes 2 s."""
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
_BEGIN = re.compile(rb"^begin[ \t][^\n]*\n", re.MULTILINE | re.IGNORECASE)
_SMALL = re.compile(rb"[a-z]")
_SIX_BITS = bytes(32 + (byte - 32 & 63) for byte in range(256))
_SOFT_END = re.compile(rb"=[ \t]++\r?\n")
_DATA = b";base64,"
_BASE64 = re.compile(rb"[A-Za-z0-9+/=\s%_-]*")
_SHIFTED = bytes((byte - 42) & 255 for byte in range(256))


def decode(body: bytes, encoding: str) -> bytes:
    """Decode a body by its Content-Transfer-Encoding, in the first reading; "" leaves it as it is."""
    return decodings(body, encoding)[0]


def decodings(body: bytes, encoding: str) -> list[bytes]:
    """Decode a body in each reading."""
    if encoding == "base64":
        return base64_readings(body)
    if encoding == "quoted-printable":
        mended = (_SOFT_END.sub(b"=\n", body),) if _SOFT_END.search(body) else ()  # RFC 2045 requires that the blanks are removed
        return [binascii.a2b_qp(text) for text in (body, *mended)]
    return _decodings(body) if encoding else [body]


def _decodings(body: bytes) -> list[bytes]:
    """Return all files in it as one, and each other reading of a file; without a file, from a begin line without a mode."""
    files = [readings for _, readings in _files(body)]
    if not files and (begin := _BEGIN.search(body)) and (found := _uu_readings(body[begin.end() :]))[0]:
        return found
    whole = b"".join(first for first, *_ in files) or body
    return [whole, *(other for _, *others in files for other in others)]


def find(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file, and again in each other reading."""
    for name, readings in _files(data):
        for content in readings:
            yield name, content


def _files(data: bytes) -> Iterator[tuple[str, list[bytes]]]:
    if b"begin" in data.lower():
        yield from _marked(data)
    if _DATA in data:
        yield from (("", [content]) for content in _links(data))


def _marked(data: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Yield each file. If another one begins before the first has ended, the first is also read up to the end after that."""
    begun: re.Match[bytes] | None = None
    first: re.Match[bytes] | None = None
    for mark in _MARK.finditer(data):
        if mark["uu"] and not _is_uu(data, mark.end()):
            continue
        if begun:
            yield _decoded(begun, data[begun.end() : mark.start()])
        if mark["end"] is not None:
            if first and first is not begun:
                yield _decoded(first, data[first.end() : mark.start()])
            begun = first = None
        else:
            begun = mark
            first = first or mark
    if begun:
        yield _decoded(begun, data[begun.end() :])
    if first and first is not begun:
        yield _decoded(first, data[first.end() :])


def _is_uu(data: bytes, at: int) -> bool:
    """Return whether the next line is uuencoded or xxencoded, or also begins a file: a text may say "begin 2026 at example.com"."""
    line = _NEXT_LINE.match(data, at)
    if line is None:
        return False
    if line["uu"] is None:
        return True
    return len(line["uu"]) <= 5 + ((line["uu"][0] - 32 & 63) + 2) // 3 * 4  # a check character, or blanks, may follow


def _decoded(mark: re.Match[bytes], text: bytes) -> tuple[str, list[bytes]]:
    if mark["uu"]:
        return _name(mark["name"] or b""), _uu_readings(text)
    if mark["base64"]:
        return _name(mark["other"]), [decode_base64(text)]
    return _name(mark["yenc"].rpartition(b"name=")[2]), [_yenc(text)]


def _uu_readings(text: bytes) -> list[bytes]:
    """Return the readings. Lines of a wrong length are filled up or cut; or taken as they are; or skipped."""
    lines = text.split(b"\n")
    decoded = [uu_line(line) for line in lines]
    readings = [b"".join(decoded)]
    fit = bytes(not line or _fits(line) for line in lines)
    if 0 in fit:
        readings += [_held(lines), b"".join(itertools.compress(decoded, fit))]
    return [data for data in dict.fromkeys(readings) if data] or [b""]


def _held(lines: list[bytes]) -> bytes:
    """Decode as GMime does: the rest of a line goes on in the next one, an excess is one more, and every character counts."""
    out = bytearray()
    left = b""
    more = MAX_PIECES
    for line in lines:
        at = 0
        while at < len(line) and more > 0 and (length := line[at] - 32 & 63):
            end = at + 1 + (length + 2) // 3 * 4 - len(left)
            text = left + line[at + 1 : end].rstrip(b"\r").translate(_SIX_BITS)
            whole = len(text) // 4 * 4
            out += uu_line(bytes([32 + min(length, whole // 4 * 3)]) + text[:whole])
            left = text[whole:]
            at = end
            more = more - 1
    return bytes(out) + uu_line(bytes([32 + len(left) * 3 // 4]) + left)


def _fits(line: bytes) -> bool:
    """Return whether MIME::Parser accepts it: it has no small letter, and about the stated length."""
    return ((line[0] - 32 & 63) + 2) // 3 == (len(line) + 1) // 4 and not _SMALL.search(line)


def _name(text: bytes) -> str:
    return clean_name(text.decode("utf-8", "replace").strip(" \t\"'"))


def _yenc(text: bytes) -> bytes:
    """Decode yEnc: every byte is shifted by 42; = comes before one that is shifted by 64 more. A line =ypart gives the number of the
    part.
    """
    text = text.removeprefix(b"\n")
    if text.startswith(b"=ypart "):
        text = text.partition(b"\n")[2]
    first, *others = text.translate(None, b"\r\n").split(b"=")
    escaped = (bytes([(each[0] - 106) & 255]) + each[1:].translate(_SHIFTED) for each in others if each)
    return first.translate(_SHIFTED) + b"".join(escaped)


def _links(data: bytes) -> Iterator[bytes]:
    at = data.find(_DATA)
    while at >= 0:
        start = data.rfind(b"data:", max(0, at - MAX_BACK), at)
        found = _BASE64.match(data, at + len(_DATA))
        end = found.end() if found else at
        if start >= 0 and found and found[0]:
            yield decode_base64(unquote_to_bytes(found[0]).translate(bytes.maketrans(b"-_", b"+/")))
        at = data.find(_DATA, max(end, at + 1))
