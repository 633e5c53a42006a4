"""Archives that begin inside of a file: after a program that unpacks them, or after any data.

Unpackers search the first megabytes for the signature of 7z, rar and others, and open the first that fits. A signature
that does not fit proves no archive: any file may contain it.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from filterlink.filters.content.archives import packed, unpack
from filterlink.filters.content.limits.member import Budget, Member

__all__ = ["MAX_PREFIX", "is_in", "members"]

MAX_PREFIX = 4 << 20
"""Bytes before an archive; 7-Zip looks at 1 to 4 MiB, WinRAR at 1 MiB."""
MAX_TRIED = 16
"""Archives of one kind, each with a valid first header, that cannot be opened, before one that can."""
MAX_LOOKED = 10_000
"""Signatures of one kind that do not fit."""
MIN_LHA = 20
"""Bytes of a header of lha, at least."""
MAX_ZSTD = 128 << 10
"""Bytes of one block of zstd."""


def _number(data: bytes, at: int, length: int) -> int:
    return int.from_bytes(data[at : at + length], "little")


def _is_7z(data: bytes, at: int) -> bool:
    return zlib.crc32(data[at + 12 : at + 32]) == _number(data, at + 8, 4)


def _is_rar(data: bytes, at: int) -> bool:
    """Return whether the first block is whole, of rar 4 or 5."""
    if data[at + 6] == 1:
        size = data[at + 12]
        return 0 < size < 128 and zlib.crc32(data[at + 12 : at + 13 + size]) == _number(data, at + 8, 4)
    size = _number(data, at + 12, 2)
    return data[at + 9] == 0x73 and size < 256 and zlib.crc32(data[at + 9 : at + 7 + size]) & 0xFFFF == _number(data, at + 7, 2)


def _is_cab(data: bytes, at: int) -> bool:
    return _number(data, at + 4, 4) == _number(data, at + 12, 4) == 0 and data[at + 24 : at + 26] == b"\3\1"


def _is_xar(data: bytes, at: int) -> bool:
    return data[at + 4 : at + 8] == b"\0\x1c\0\1"


def _is_cpio(data: bytes, at: int) -> bool:
    return bool(_CPIO.match(data, at))


def _is_binary_cpio(data: bytes, at: int) -> bool:
    """Return whether the first name has the stated length, and ends with its only zero."""
    size = int.from_bytes(data[at + 20 : at + 22], "little" if data[at] == 0xC7 else "big")
    return bool(_NAME.fullmatch(data, at + 26, at + 26 + size))


def _is_lha(data: bytes, at: int) -> bool:
    """Return whether the checksum of the header is right; a header of level 2 has none, but must be complete."""
    if at + 22 > len(data):
        return False
    if data[at + 20] < 2:
        end = at + 2 + data[at]
        return data[at] >= MIN_LHA and end <= len(data) and sum(data[at + 2 : end]) & 0xFF == data[at + 1]
    size = _number(data, at, 2)
    return data[at + 20] == 2 and MIN_LHA < size <= len(data) - at and _number(data, at + 7, 4) <= len(data) - at - size


def _is_zstd(data: bytes, at: int) -> bool:
    """Return whether no reserved bit is set, and the first block has a valid kind and size."""
    flags = data[at + 4]
    length = 1 << (flags >> 6) if flags >> 6 else flags >> 5 & 1
    block = _number(data, at + 5 + (not flags & 0x20) + (0, 1, 2, 4)[flags & 3] + length, 3)
    return not flags & 8 and block & 6 != 6 and block >> 3 <= MAX_ZSTD


def _is_iso(data: bytes, at: int) -> bool:
    return at >= 0 and data[at + 32768] == 1 and data[at + 32774] == 1


def _is_gzip(data: bytes, at: int) -> bool:
    """Return whether the flags, the method's own flags and the system are valid."""
    return data[at + 3] < 0x20 and data[at + 8] in (0, 2, 4) and (data[at + 9] < 14 or data[at + 9] == 255)


def _is_bzip2(data: bytes, at: int) -> bool:
    return packed.kind_of(data[at : at + 10]) == "bzip2"


def _is_xz(data: bytes, at: int) -> bool:
    return zlib.crc32(data[at + 6 : at + 8]) == _number(data, at + 8, 4)


class _Kind(NamedTuple):
    form: str
    """libarchive's word, or that of packed.py."""
    magic: bytes | re.Pattern[bytes]
    """A short magic is a pattern, with more bytes that are the same in all files of the kind: alone it would be in many files."""
    fits: Callable[[bytes, int], bool]
    behind: int = 0
    """The offset of the magic in the archive."""


_CPIO = re.compile(rb"07070[12][0-9A-Fa-f]{104}")
_NAME = re.compile(rb"[^\0-\x1f]+\0")
_KINDS = (
    _Kind("7zip", b"7z\xbc\xaf\x27\x1c", _is_7z),
    _Kind("rar", b"Rar!\x1a\x07\0", _is_rar),
    _Kind("rar5", b"Rar!\x1a\x07\1", _is_rar),
    _Kind("cab", b"MSCF\0\0\0\0", _is_cab),
    _Kind("xar", b"xar!", _is_xar),
    _Kind("cpio", b"070701", _is_cpio),
    _Kind("cpio", b"070702", _is_cpio),
    _Kind("cpio", re.compile(rb"\xc7\x71(?s:(?=.{5}[\x40-\x4f\x80-\x8f\xa0-\xaf].{13}[\0-\x0f]))"), _is_binary_cpio),
    _Kind("cpio", re.compile(rb"\x71\xc7(?s:(?=.{4}[\x40-\x4f\x80-\x8f\xa0-\xaf].{13}[\0-\x0f]))"), _is_binary_cpio),
    _Kind("lha", re.compile(rb"-l[hz][0-9a-z]-"), _is_lha, 2),
    _Kind("iso9660", b"CD001", _is_iso, 32769),
    _Kind("gzip", b"\x1f\x8b\x08", _is_gzip),
    _Kind("bzip2", b"BZh", _is_bzip2),
    _Kind("xz", b"\xfd7zXZ\0", _is_xz),
    _Kind("zstd", b"\x28\xb5\x2f\xfd", _is_zstd),
)
_STREAMS = ("gzip", "bzip2", "xz")


def _places(data: bytes, kind: _Kind) -> Iterator[int]:
    """Yield where archives of this kind begin, without the start of the file; at the end -1 if there are more signatures than
    MAX_LOOKED.
    """
    at = _find(data, kind.magic, kind.behind + 1, MAX_PREFIX + kind.behind)
    for _ in range(MAX_LOOKED):
        if at < 0:
            return
        if at + 13 <= len(data) and kind.fits(data, at - kind.behind):
            yield at - kind.behind
        at = _find(data, kind.magic, at + 1, MAX_PREFIX + kind.behind)
    yield -1


def _find(data: bytes, magic: bytes | re.Pattern[bytes], start: int, end: int) -> int:
    if isinstance(magic, bytes):
        return data.find(magic, start, end)
    found = magic.search(data, start, end)
    return found.start() if found else -1


def _kinds() -> Iterator[_Kind]:
    return (kind for kind in _KINDS if kind.form in _STREAMS or unpack.available())


def is_in(data: bytes) -> bool:
    """Return whether there is one that members() tries to open."""
    return any(True for kind in _kinds() for _ in _places(data, kind))


def members(data: bytes, budget: Budget) -> Iterator[Member]:
    """Yield the members of the first of each kind that can be opened. One that cannot is an accident, unless there are many."""
    for kind in _kinds():
        opened = False
        for tried, at in enumerate(_places(data, kind)):
            if at < 0 or tried == MAX_TRIED:
                yield Member("", b"", "limit")
                break
            for member in _open(data, kind, at, budget):
                opened = opened or bool(member.data) or member.flag == "encrypted"
                if member.data or member.name or member.flag not in ("", "broken"):
                    yield member
            if opened:
                break


def _open(data: bytes, kind: _Kind, at: int, budget: Budget) -> Iterator[Member]:
    if kind.form == "zstd":
        for member in unpack.layer(data, kind.form, budget, at):
            yield Member(unpack.UNNAMED, member.data, "" if member.flag == "broken" else member.flag)
    elif kind.form not in _STREAMS:
        yield from unpack.library(data, kind.form, budget, start=at)
    else:
        found = next(packed.unpacked(data, kind.form, budget, at))
        for name in found.names or (unpack.UNNAMED,):
            yield Member(name, found.data, "" if found.flag == "broken" else found.flag)
