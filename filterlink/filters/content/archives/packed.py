"""Unpack single files of gzip, bzip2, xz, lzma or zlib, one layer, in steps. Pure.

No checksum and no size in such a file is trusted: many unpackers only warn if one is wrong.
"""

import contextlib
import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from filterlink.filters.content.archives.streams import BROKEN, Inflate, flag_of, rest, step, unpacker_of
from filterlink.filters.content.limits.member import ENDS, Budget

__all__ = ["Unpacked", "kind_of", "unpacked"]

MAX_STREAMS = 1000
"""Streams in one file, one after the other; pigz and pbzip2 write some, bombs millions of empty ones."""
MAX_LENGTH = 1 << 38
"""The largest size that a .lzma file may state: with a larger one it is not such a file."""
_NO_LENGTH = (1 << 64) - 1
_MAGIC = {
    "gzip": re.compile(rb"\x1f[\x8b\x9e]\x08"),
    "bzip2": re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
}
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_NOT_ZERO = re.compile(rb"[^\0]")
_GZIP_TRAILER = 8


class Unpacked(NamedTuple):
    """The content of streams that follow each other, the flag, and the names in their headers."""

    data: bytes
    flag: str
    names: tuple[str, ...]


def kind_of(data: bytes) -> str:
    """Return the method by which a file is packed; "" if no method here fits."""
    found = next((kind for kind, magic in _MAGIC.items() if magic.match(data)), "")
    return found or ("lzma" if _is_lzma(data, 0) else "") or ("zlib" if _is_zlib(data) else "")


def _is_zlib(data: bytes) -> bool:
    """Return whether it is zlib: texts may begin with its two bytes, so deflated data must follow."""
    if data[:2] in _ZLIB:
        with contextlib.suppress(*BROKEN):
            step(Inflate(), data, 2)
            return True
    return False


def _is_lzma(data: bytes, at: int) -> bool:
    """Return whether it is lzma, which has no magic: by its properties, its dictionary's size, its own size, and the first byte, always
    zero.
    """
    if at + 18 > len(data) or data[at] >= 225 or data[at + 13]:
        return False
    size, length = struct.unpack_from("<IQ", data, at + 1)
    power = size >= 4096 and (size & size - 1 == 0 or (size % 3 == 0 and size // 3 & size // 3 - 1 == 0))
    return bool(length == _NO_LENGTH or (power and 0 < length < MAX_LENGTH))


def unpacked(data: bytes, kind: str, budget: Budget, start: int = 0) -> Iterator[Unpacked]:
    """Unpack all streams from `start` on. Streams that follow each other, also after zeros, are one file; those after anything else are
    another.

    Some unpackers end where no stream follows, some search further. Rubbish after a stream is not called broken.
    """
    at = start
    left = MAX_STREAMS
    first = True
    while at >= 0:
        found, at, left = _following(data, kind, at, left, budget)
        if kind == "zlib" and found.flag == "broken":
            yield found._replace(flag="")
        elif first or found.flag in ENDS:
            yield found
        elif found.data:
            yield found._replace(flag="ambiguous")
        if found.flag in ENDS:
            return
        first = False
        following = _MAGIC[kind].search(data, at) if kind in _MAGIC else None
        at = following.start() if following else -1


def _following(data: bytes, kind: str, at: int, left: int, budget: Budget) -> tuple[Unpacked, int, int]:
    """Unpack streams that follow each other; return their content, where to go on, and how many more there may be."""
    flag = budget.count()
    out = bytearray()
    names = list[str]()
    begin = at
    known = 0
    unpacker = unpacker_of(kind)
    try:
        while not flag:
            begin = at
            known = len(out)
            left = left - 1
            if left < 0:
                flag = "limit"
                break
            names += [gzip_name(data, at)] if kind == "gzip" else []
            unpacker = unpacker_of(kind)
            at = _body(data, kind, at)
            while not flag and not unpacker.eof:
                chunk, at = step(unpacker, data, at)
                out += chunk
                flag = budget.take(len(chunk))
            at = _behind_filling(data, at + (_GZIP_TRAILER if kind == "gzip" else 0))
            if not (_MAGIC[kind].match(data, at) if kind in _MAGIC else kind == "lzma" and _is_lzma(data, at)):
                break
    except BROKEN as fault:
        flag = flag_of(fault)
        at = begin + 1
        out += unpacker.rescued if isinstance(unpacker, Inflate) else rest(kind, data, begin, len(out) - known)
    return Unpacked(bytes(out), flag, tuple(filter(None, names))), at, left


def _behind_filling(data: bytes, at: int) -> int:
    following = _NOT_ZERO.search(data, at)
    return following.start() if following else len(data)


def gzip_name(data: bytes, at: int) -> str:
    """Read the file name in a gzip header."""
    if at + 10 > len(data) or not data[at + 3] & 8:
        return ""
    start = _behind_extra(data, at)
    return data[start : start + 255].split(b"\0")[0].decode("latin-1")


def _behind_extra(data: bytes, at: int) -> int:
    return at + (12 + int.from_bytes(data[at + 10 : at + 12], "little") if data[at + 3] & 4 else 10)


def _body(data: bytes, kind: str, at: int) -> int:
    """Return where the packed bytes begin: after a gzip header's extra field, name, comment and checksum."""
    if kind == "zlib":
        return at + 2
    if kind != "gzip" or at + 10 > len(data):
        return at
    flags = data[at + 3]
    at = _behind_extra(data, at)
    for flag in (8, 16):
        if flags & flag:
            end = data.find(b"\0", at)
            at = end + 1 if end >= 0 else len(data)
    return at + (2 if flags & 2 else 0)
