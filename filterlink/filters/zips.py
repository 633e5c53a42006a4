"""The members of a zip, by what is packed and not by what its directory says of it. Pure.

The central directory and the header before each member may differ, and unpackers differ in which one they go by. So a
member is looked for wherever either says, under both names, and unpacked in both ways of packing; its end is where the
packed data ends, whatever the sizes are. Headers that overlap, and would have the same bytes unpacked again and again, end
as a bomb (member.py).
"""

import io
import re
import struct
import zipfile
from collections.abc import Iterator
from typing import NamedTuple

from filterlink.filters.member import Budget, Member
from filterlink.filters.packed import BROKEN, flag_of, rest, step, unpacker_of

__all__ = ["CENTRAL", "READABLE", "directory", "members"]

CENTRAL = b"PK\x01\x02"
READABLE = {zipfile.ZIP_STORED: "", zipfile.ZIP_DEFLATED: "", zipfile.ZIP_BZIP2: "bzip2", 95: "xz"}
"""Ways of packing that are unpacked here, and their names in packed.py."""
_LOCAL = b"PK\x03\x04"
_SIGNATURE = re.compile(rb"PK(?:\x01\x02|\x03\x04|\x05\x06|\x07\x08)")
_UNREADABLE = (zipfile.BadZipFile, struct.error, OSError, ValueError, EOFError, RuntimeError, OverflowError, IndexError, KeyError)
_UNKNOWN = (0, 0xFFFFFFFF)
"""Sizes in a header that stand for: written elsewhere."""


class _Told(NamedTuple):
    """What a header or the directory says of a member."""

    name: str
    method: int
    encrypted: bool
    sizes: tuple[int, int]


class _Found(NamedTuple):
    """A member as it was unpacked, and where its packed data ends; at its begin where that cannot be trusted."""

    member: Member
    end: int


def directory(data: bytes) -> list[zipfile.ZipInfo] | None:
    """Read the central directory; None where there is none to be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            return file.infolist()
    except _UNREADABLE:
        return None


def members(data: bytes, infos: list[zipfile.ZipInfo], budget: Budget, opened: bool = False) -> Iterator[Member]:
    """Yield those of the directory, then what is between them and the directory does not name.

    `opened`: those of the directory that are packed in another way were already looked at.
    """
    ends: dict[int, int] = {}
    central: dict[int, list[_Told]] = {}
    for info in infos:
        told = _Told(info.filename, info.compress_type, bool(info.flag_bits & 1), (info.compress_size, info.file_size))
        central.setdefault(info.header_offset, []).append(told)
    for at, entries in central.items():
        unusual = opened and all(told.method not in READABLE for told in entries)
        for found in _member(data, at, entries, budget):
            ends[at] = found.end
            if not (unusual and found.member.flag == "broken"):
                yield found.member
    at = data.find(_LOCAL)
    while at >= 0:
        if at not in ends and _header(data, at):
            for found in _member(data, at, [], budget):
                ends[at] = found.end
                yield found.member
        at = data.find(_LOCAL, max(ends.get(at, 0), at + 4))


def _header(data: bytes, at: int) -> tuple[_Told, int] | None:
    """Read the header before a member; give what it says and where the packed data begins. None where there is none."""
    if at < 0 or not data.startswith(_LOCAL, at) or at + 30 > len(data):
        return None
    flags, method, _, _, packed, size, name, extra = struct.unpack_from("<HHIIIIHH", data, at + 6)
    start = at + 30 + name + extra
    text = data[at + 30 : at + 30 + name].decode("utf-8" if flags & 0x800 else "cp437", "replace").partition("\0")[0]
    return (_Told(text, method, bool(flags & 1), (packed, size)), start) if start <= len(data) else None


def _member(data: bytes, at: int, central: list[_Told], budget: Budget) -> Iterator[_Found]:
    """Yield one member, in each way in which it is said to be packed, and under each name that it has."""
    local, start = _header(data, at) or (None, at)
    told = [*central, local] if local else central
    name = told[0].name
    for other in dict.fromkeys(each.name for each in told if each.name != name):
        yield _Found(Member(other, b"", budget.count()), at)
    methods = sorted({each.method for each in told if each.method in READABLE}, reverse=True)
    if local is None or not methods or all(each.encrypted for each in told):
        yield _Found(Member(name, b"", budget.count() or ("encrypted" if told[0].encrypted else "broken")), at)
    else:
        for method in methods:
            found = _unpacked(data, start, name, READABLE[method], budget) if method else _stored(data, start, name, told, budget)
            cut = found.member.flag == "broken" and any(each.encrypted for each in told)
            yield found._replace(member=found.member._replace(flag="encrypted")) if cut else found


def _unpacked(data: bytes, start: int, name: str, kind: str, budget: Budget) -> _Found:
    """Unpack to where the packed data says that it ends."""
    flag, out, unpacker, at = budget.count(), bytearray(), unpacker_of(kind), start
    try:
        while not flag and not unpacker.eof:
            before = at
            chunk, at = step(unpacker, data, at)
            out += chunk
            flag = budget.read(max(0, at - before)) or budget.take(len(chunk))
    except BROKEN as fault:
        flag = flag_of(fault)
        out += rest(kind, data, start, len(out)) if kind else unpacker.rescued
    return _Found(Member(name, bytes(out), flag), at if unpacker.eof else start)


def _stored(data: bytes, start: int, name: str, told: list[_Told], budget: Budget) -> _Found:
    """Take as much as the largest of all sizes says; where none says anything, as far as the next header."""
    sizes = {size for each in told for size in each.sizes if size not in _UNKNOWN}
    if sizes:
        end = start + max(sizes)
    else:
        following = _SIGNATURE.search(data, start)
        end = following.start() if following else len(data)
    flag = budget.count()
    out = b"" if flag else data[start:end]
    flag = flag or budget.read(len(out)) or budget.take(len(out))
    return _Found(Member(name, out, flag or ("broken" if end > len(data) else "")), end if len(sizes) == 1 else start)
