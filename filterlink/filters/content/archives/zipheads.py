"""The headers of a zip: what each says about a member, and where they are. Pure.

`strict` reads a zip of the grammar that all unpackers read alike. `local`, `central` and `ends` read whatever looks like a
header, at any place.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from filterlink.filters.content.limits.member import MAX_NAME

__all__ = ["CENTRAL", "DESCRIPTOR", "END", "LOCAL", "MAX_COMMENT", "Head", "Plain", "central", "ends", "first_local", "local", "strict"]

LOCAL = b"PK\3\4"
CENTRAL = b"PK\1\2"
END = b"PK\5\6"
DESCRIPTOR = b"PK\7\x08"
MAX_ENDS = 10_000
"""End records that are checked for the start of the archive; a zip has one, plus one for each zip that is stored in it."""
MAX_COMMENT = 65_535
_PLAUSIBLE = re.compile(rb"PK\x03\x04[\0-\x3f\xff].{3}(?:[\0-\x14]|[\x5d-\x63])\0.{16}(?!\0\0).[\0-\x03]", re.DOTALL)
"""A local header: version and method are valid, and a name of under 1 KiB follows."""
_UNKNOWN = 0xFFFFFFFF
_ZIP64 = 1
_AES = 0x9901
_UNICODE_PATH = 0x7075
_ENCRYPTED = 1
_MARKED = 2
_LATER = 8
_UTF_8 = 0x800
_STRANGE = 0x2061  # encrypted, lzma's mark, sizes behind the data, UTF-8; encrypted in other ways, patches


class Head(NamedTuple):
    """What one header says about a member. `at`: where its packed data begins; in the directory, where its header should be."""

    names: tuple[str, ...]
    method: int
    encrypted: bool
    sizes: tuple[int, int]
    """Packed and unpacked; 0 may also mean: written elsewhere."""
    at: int
    later: bool = False
    """The sizes are after the data."""
    marked: bool = False
    """A mark ends lzma's data."""


class Plain(NamedTuple):
    """A member of a strict zip."""

    name: str
    method: int
    start: int
    sizes: tuple[int, int]
    checksum: int


def local(data: bytes, at: int) -> Head | None:
    """Read the header before a member; None if there is none."""
    if at < 0 or not data.startswith(LOCAL, at) or at + 30 > len(data):
        return None
    flags, method, packed, size, name, extra = struct.unpack_from("<HH8xIIHH", data, at + 6)
    start = at + 30 + name + extra
    return _head(data, at + 30, (flags, method, packed, size, name, extra), start) if start <= len(data) else None


def central(data: bytes, at: int) -> Head | None:
    """Read an entry of the directory; None if it is cut."""
    if at + 46 > len(data):
        return None
    flags, method, packed, size, name, extra, offset = struct.unpack_from("<HH8xIIHH10xI", data, at + 8)
    return _head(data, at + 46, (flags, method, packed, size, name, extra), offset)


def _head(data: bytes, at: int, fields: tuple[int, int, int, int, int, int], where: int) -> Head:
    flags, method, packed, size, length, extra = fields
    names = list(_decoded(data, at, at + length, flags))
    for kind, field in _extra(data[at + length : at + length + extra]):
        if kind == _UNICODE_PATH:
            names += _decoded(field, 5, len(field), _UTF_8)
        elif kind == _AES and len(field) >= 7 and method == 99:
            method = int.from_bytes(field[5:7], "little")
        elif kind == _ZIP64:
            size, packed, where = _long(field, size, packed, where)
    sizes = (0 if packed == _UNKNOWN else packed, 0 if size == _UNKNOWN else size)
    return Head(tuple(dict.fromkeys(names)), method, bool(flags & _ENCRYPTED), sizes, where, bool(flags & _LATER), bool(flags & _MARKED))


def _decoded(data: bytes, at: int, end: int, flags: int) -> Iterator[str]:
    """Yield each name that unpackers read: without the flag in either charset, up to the first zero byte or beyond it."""
    end = min(end, len(data))
    zero = data.find(b"\0", at, end)
    raws = [data[max(at, end - MAX_NAME) : end].replace(b"\0", b"")]
    if zero >= 0:
        raws.insert(0, data[max(at, zero - MAX_NAME) : zero])
    for raw in raws:
        for charset in ("utf-8",) if flags & _UTF_8 else ("cp437",) if raw.isascii() else ("cp437", "utf-8"):
            yield raw.decode(charset, "replace")


def _extra(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("<HH", data, at)
        yield kind, data[at + 4 : at + 4 + length]
        at += 4 + length


def _long(field: bytes, *values: int) -> list[int]:
    """Replace the values that refer to this field."""
    found = list(values)
    for number, value in enumerate(values):
        if value == _UNKNOWN and len(field) >= 8:
            found[number] = int.from_bytes(field[:8], "little")
            field = field[8:]
    return found


def first_local(data: bytes, most: int) -> int:
    """Return the first place within `most` bytes that may be a header; -1: none."""
    at = data.find(LOCAL, 0, most)
    found = _PLAUSIBLE.search(data, at, most + 30) if at >= 0 else None
    return found.start() if found else -1


def ends(data: bytes) -> tuple[list[int], list[int]]:
    """Return where end records are, and where the archive of each begins, by the position and size of its directory."""
    places = list[int]()
    begins = list[int]()
    at = data.find(END)
    while at >= 0 and at + 22 <= len(data) and len(places) < MAX_ENDS:
        size, offset = struct.unpack_from("<II", data, at + 12)
        places.append(at)
        begins.append(at - size - offset)
        at = data.find(END, at + 4)
    return places, begins


# The strict grammar


def strict(data: bytes) -> list[Plain] | None:
    """Return the members of a zip that all unpackers read alike; None if it is not such a zip.

    Members, directory and end record follow each other without a gap, in one order, from the first byte to the last. Header
    and entry agree. Members are stored or deflated, and not encrypted. The sizes of a stored one come before it.
    """
    end = data.rfind(END, max(0, len(data) - 22 - MAX_COMMENT))
    if end < 0 or end + 22 > len(data):
        return None
    disk, first, here, count, size, offset, comment = struct.unpack_from("<4H2IH", data, end + 4)
    if (disk, first, here, offset + size, end + 22 + comment) != (0, 0, count, end, len(data)) or b"PK" in data[end + 4 :]:
        return None
    entry = offset
    at = 0
    found = list[Plain]()
    for _ in range(count):
        if (plain := _plain(data, entry, at)) is None:
            return None
        found.append(plain[0])
        entry, at = plain[1:]
    return found if (entry, at) == (end, offset) else None


def _plain(data: bytes, entry: int, at: int) -> tuple[Plain, int, int] | None:
    """Read one member; return it, and where the next entry and the next header begin."""
    if not data.startswith(CENTRAL, entry) or not data.startswith(LOCAL, at) or entry + 46 > len(data):
        return None
    flags, method, checksum, packed, size, name, extra, comment, disk, offset = struct.unpack_from("<HH4xIIIHHHH6xI", data, entry + 8)
    here = struct.unpack_from("<HH4xIIIHH", data, at + 6)
    raw = data[at + 30 : at + 30 + here[5]]
    start = at + 30 + here[5] + here[6]
    later = flags & _LATER and method
    told = (0, 0, 0) if later and here[2:5] == (0, 0, 0) else (checksum, packed, size)
    same = here[:2] == (flags, method) and here[2:5] == told and raw == data[entry + 46 : entry + 46 + name]
    if not same or flags & (_ENCRYPTED | _STRANGE) or method not in (0, 8) or (disk, offset) != (0, at) or _UNKNOWN in (packed, size):
        return None
    if not method and (packed != size or flags & _LATER):
        return None
    behind = start + packed
    if later:
        record = struct.pack("<III", checksum, packed, size)
        behind += next((len(kind) for kind in (DESCRIPTOR + record, record) if data.startswith(kind, behind)), len(data))
    fields = (*_extra(data[entry + 46 + name : entry + 46 + name + extra]), *_extra(data[start - here[6] : start]))
    if b"\0" in raw or (not raw.isascii() and not flags & _UTF_8) or any(kind in (_ZIP64, _AES, _UNICODE_PATH) for kind, _ in fields):
        return None
    plain = Plain(raw.decode("utf-8", "replace"), method, start, (packed, size), checksum)
    return plain, entry + 46 + name + extra + comment, behind
