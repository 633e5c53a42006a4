"""The members of a zip, by the packed data and not by the headers. Pure.

The directory and the header before each member may differ, and unpackers differ in which one they use. So a member is
searched at each stated place, under each name, and unpacked in each way of packing. It ends where the packed data ends.
Members about which the two disagree are `ambiguous`. Headers that overlap, so that the same bytes would be unpacked
again and again, end as a bomb (member.py). A zip of a strict grammar (zipheads.py) is read once, by its directory.
"""

import bisect
import io
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from filterlink.filters.content.archives.streams import BROKEN, flag_of, rest, rest_64, step, unpacker_of
from filterlink.filters.content.archives.zipheads import CENTRAL, DESCRIPTOR, LOCAL, Head, central, ends, local, strict
from filterlink.filters.content.limits.member import ENDS, Budget, Member
from filterlink.filters.content.mail.mails import has_mail_name

__all__ = ["READABLE", "NotPlain", "directory", "members", "plain"]

READABLE = {zipfile.ZIP_STORED: "", zipfile.ZIP_DEFLATED: "", 9: "deflate64", zipfile.ZIP_BZIP2: "bzip2", 14: "zip lzma", 95: "xz"}
"""Ways of packing that are unpacked here, and their names in packed.py."""
MAX_DESCRIPTORS = 1000
"""Records after a member's data that are checked for the right one."""
_SIGNATURE = re.compile(rb"PK(?:\x01\x02|\x03\x04|\x05\x06|\x07\x08)")
_UNREADABLE = (zipfile.BadZipFile, struct.error, OSError, ValueError, EOFError, RuntimeError, OverflowError, IndexError, KeyError)


class NotPlain(Exception):
    """Unpackers may read this zip in different ways."""


class _Found(NamedTuple):
    """A member as it was unpacked, and where its packed data ends; its start if the end is not reliable."""

    member: Member
    end: int = sys.maxsize


def directory(data: bytes) -> list[zipfile.ZipInfo] | None:
    """Read the central directory; None if it cannot be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            return file.infolist()
    except _UNREADABLE:
        return None


def plain(data: bytes, budget: Budget) -> Iterator[Member]:
    """Yield the members of a strict zip. Raises NotPlain if it is not one: before the first, or at one that differs from its header."""
    if (entries := strict(data)) is None:
        raise NotPlain
    for entry in entries:
        end = entry.start + entry.sizes[0]
        if entry.method:
            member, at = _unpacked(data, entry.start, entry.name, unpacker_of(""), budget)
        else:
            member = _taken(data, entry.start, end, entry.name, budget)
            at = end
        checked = (at, len(member.data), zlib.crc32(member.data)) == (end, entry.sizes[1], entry.checksum)
        if not member.flag and not checked:
            raise NotPlain
        yield member


def members(data: bytes, infos: list[zipfile.ZipInfo], budget: Budget) -> Iterator[Member]:
    """Yield the members of the directory, then those of other entries and headers outside of members' data.

    Members packed in a way that is not unpacked here are `unopened`.
    """
    entries = _entries(data, infos)
    known = dict[int, int]()
    listed = {info.header_offset for info in infos}
    for at in [at for at in entries if at in listed]:
        yield from _visit(data, at, entries[at], known, budget)
    within = _Extents(known)
    for at in [at for at in entries if at not in listed]:
        if abs(at) not in within:
            yield from _visit(data, at, entries[at], known, budget)
    at = data.find(LOCAL)
    while at >= 0:
        if at not in known and local(data, at):
            for member in _visit(data, at, [], known, budget):
                yield member if member.flag or not entries else member._replace(flag="ambiguous")
        at = data.find(LOCAL, max(known.get(at, 0), at + 4))


def _visit(data: bytes, at: int, told: list[Head], known: dict[int, int], budget: Budget) -> Iterator[Member]:
    for found in _member(data, at, told, budget):
        known[at] = min(found.end, known.get(at, sys.maxsize))
        yield found.member


class _Extents:
    """The data of members with a reliable end."""

    def __init__(self, ends: dict[int, int]) -> None:
        self._begins = sorted(ends)
        self._ends = ends

    def __contains__(self, at: int) -> bool:
        number = bisect.bisect_right(self._begins, at)
        return number > 0 and at < self._ends[self._begins[number - 1]]


def _entries(data: bytes, infos: list[zipfile.ZipInfo]) -> dict[int, list[Head]]:
    """Return all statements about each member, by the position of its header: from zipfile, and from whatever looks like an entry.

    An entry that fits no header has a negative position of its own.
    """
    found = dict[int, list[Head]]()
    for info in infos:
        told = Head((info.filename,), info.compress_type, bool(info.flag_bits & 1), (info.compress_size, info.file_size), 0)
        if _is_local(data, info.header_offset):
            found.setdefault(info.header_offset, []).append(told)
    places, begins = ends(data)
    first = data.find(LOCAL)
    at = data.find(CENTRAL)
    while at >= 0:
        if head := central(data, at):
            number = bisect.bisect_left(places, at)
            tried = (head.at + begin for begin in (*begins[number : number + 1], 0, first))
            place = next((place for place in tried if _is_local(data, place)), -at)
            found.setdefault(place, []).append(head)
        at = data.find(CENTRAL, at + 4)
    return found


def _is_local(data: bytes, at: int) -> bool:
    return at >= 0 and data.startswith(LOCAL, at)


def _member(data: bytes, at: int, told: list[Head], budget: Budget) -> Iterator[_Found]:
    """Yield one member, in each stated way of packing, and under each of its names."""
    here = local(data, at)
    heads = [*told, here] if here else told
    names = list(dict.fromkeys(name for head in heads for name in head.names))
    if any(head.sizes[1] for head in heads):  # not a folder
        names = [name.rstrip("/") for name in names]
    names.sort(key=lambda name: not has_mail_name(name))  # a message is opened under such a name
    for other in names[1:]:
        yield _Found(Member(other, b"", budget.count()))
    said = {head.method for head in heads}
    opened = False
    encrypted = [head.encrypted for head in heads]
    methods = sorted((said if told else said | {zipfile.ZIP_DEFLATED}) & READABLE.keys(), reverse=True)
    differ = _differ(heads) or len(methods) > 1
    for method in methods if here and not all(encrypted) else ():
        kind = READABLE[method]
        start = here.at if here else 0
        if method:
            found = _unpacked(data, start, names[0], unpacker_of(kind, _size(heads)), budget, kind)
        else:
            found = _stored(data, start, names[0], heads, budget)
        flag = found.member.flag or ("ambiguous" if _differ(heads) else "")
        if flag == "broken" and any(encrypted):
            flag = "encrypted"
        if method in said or (found.member.data and found.member.flag in ("", *ENDS)):
            opened = True
            yield _Found(found.member._replace(flag=flag), at if differ else found.end)
    if not opened:
        flag = "encrypted" if encrypted[0] else "unopened" if here else "broken"
        yield _Found(Member(names[0], b"", budget.count() or flag), at)


def _differ(heads: list[Head]) -> bool:
    """Return whether the headers disagree about a member."""
    packed = {head.sizes[0] for head in heads if head.sizes[0]}
    sizes = {head.sizes[1] for head in heads if head.sizes[1]}
    names = {head.names[0] for head in heads}
    kinds = {(head.method, head.encrypted) for head in heads}
    return max(len(packed), len(sizes), len(kinds)) > 1 or (len(names) > 1 and all(name.isascii() for name in names))


def _size(heads: list[Head]) -> int:
    """Return the unpacked size, if no mark in the data ends it; -1 if one does, or the size is unknown."""
    return -1 if any(head.marked for head in heads) else max((head.sizes[1] for head in heads if head.sizes[1]), default=-1)


def _unpacked(data: bytes, start: int, name: str, unpacker: Any, budget: Budget, kind: str = "") -> _Found:
    """Unpack up to the end that the packed data has."""
    flag = budget.count()
    out = bytearray()
    at = start
    try:
        while not flag and not unpacker.eof:
            before = at
            chunk, at = step(unpacker, data, at)
            out += chunk
            flag = budget.read(max(0, at - before)) or budget.take(len(chunk))
    except BROKEN as fault:
        flag = flag_of(fault)
        out += _rescued(kind, data, start, at, len(out)) if kind else unpacker.rescued
    return _Found(Member(name, bytes(out), flag), at if unpacker.eof else start)


def _rescued(kind: str, data: bytes, start: int, fault: int, known: int) -> bytes:
    return rest_64(data, start, fault) if kind == "deflate64" else rest(kind, data, start, known)


def _stored(data: bytes, start: int, name: str, heads: list[Head], budget: Budget) -> _Found:
    """Take as much as the largest stated size; without a size, up to the record after it or the next header."""
    sizes = {size for head in heads for size in head.sizes if size}
    end = start + max(sizes, default=0)
    if not sizes or (any(head.later for head in heads) and not _is_described(data, start, end)):
        end = max(end, _unsized(data, start, budget))
    member = _taken(data, start, end, name, budget)
    sure = len(sizes) == 1 and (not any(head.later for head in heads) or _is_described(data, start, end))
    return _Found(member if end <= len(data) or member.flag else member._replace(flag="broken"), end if sure else start)


def _unsized(data: bytes, start: int, budget: Budget) -> int:
    following = _SIGNATURE.search(data, start)
    at = end = following.start() if following else len(data)
    for _ in range(MAX_DESCRIPTORS):
        before = at
        at = data.find(DESCRIPTOR, at)
        if at < 0 or budget.read(at - before):
            break
        if _is_described(data, start, at):
            return at
        at += 4
    return end


def _is_described(data: bytes, start: int, at: int) -> bool:
    """Return whether the record after a member is at this place, and says that its data began at `start`."""
    return data.startswith(DESCRIPTOR, at) and data[at + 8 : at + 12] == (at - start & 0xFFFFFFFF).to_bytes(4, "little")


def _taken(data: bytes, start: int, end: int, name: str, budget: Budget) -> Member:
    flag = budget.count()
    out = b"" if flag else data[start:end]
    return Member(name, out, flag or budget.read(len(out)) or budget.take(len(out)))
