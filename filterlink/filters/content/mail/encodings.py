"""Decode the body of a MIME part as the most lenient mail programs do. Pure.

What follows padding in the middle of base64 is decoded as well; Python's own decoder ends there.
"""

import binascii
import re

__all__ = ["base64_readings", "decode_base64", "is_padded_by_piece", "is_plain_base64", "uu_line"]

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))
_GROUP = re.compile(rb"[^=]+")


def decode_base64(body: bytes) -> bytes:
    """Decode every group, also those after padding in the middle; skip other characters."""
    return base64_readings(body)[0]


def is_plain_base64(body: bytes) -> bool:
    """Return whether a body is whole groups of base64 and line ends, with padding at its end only."""
    text = body.translate(None, b"\r\n")
    filling = text.find(b"=")
    return len(text) % 4 == 0 and not text.translate(None, _BASE64) and (filling < 0 or (text[filling:] in (b"=", b"==")))


def is_padded_by_piece(body: bytes) -> bool:
    """Return whether it is pieces of one length with the same padding, and a shorter one at the end: some programs encode line by line."""
    text = body.translate(None, _NOT_BASE64)
    first = text.partition(b"=")[0]
    if not first:
        return False
    padding = -len(first) % 4
    length = len(first) + padding
    whole = len(text) // length
    ends = all(text[length - 1 - back :: length] == b"=" * whole for back in range(padding))
    return 0 < padding < 3 and ends and text.count(b"=", 0, whole * length) == whole * padding


def base64_readings(body: bytes) -> list[bytes]:
    """Decode in all ways that mail programs may use if padding is in the middle: each group, the text as one, up to the padding."""
    text = body.translate(None, _NOT_BASE64)
    del body
    filling = text.find(b"=")
    if len(text) % 4 == 0 and (filling < 0 or (text.endswith((b"=", b"==")) and filling >= len(text) - 2)):
        return [binascii.a2b_base64(text)]  # as in all ordinary mail: without another copy
    first = _group(text[: filling if filling >= 0 else len(text)])
    whole = _groups(text)
    if whole == first:
        return [whole]
    return list(dict.fromkeys((whole, _group(text.replace(b"=", b"")), first)))


def _groups(text: bytes) -> bytes:
    """Decode each group by itself; some programs pad each line, so there may be many."""
    out = bytearray()
    for match in _GROUP.finditer(text):
        out += _group(match[0])
    return bytes(out)


def _group(group: bytes) -> bytes:
    if len(group) % 4 == 1:  # six bits are not a byte
        group = group[:-1]
    return binascii.a2b_base64(group + b"=" * (-len(group) % 4))


def uu_line(line: bytes) -> bytes:
    """Decode one line. Its first character gives the length; the filling after the data is often wrong."""
    if not line:
        return b""
    length = (line[0] - 32) & 63
    try:
        return binascii.a2b_uu(line[: 1 + (length + 2) // 3 * 4])
    except binascii.Error:
        return b""
