"""What an archive holds, and the archives in it, within limits. No file is touched, everything stays in memory.

An archive that claims more than the limits allow is a bomb to anybody who unpacks it; its members are flagged, and the
rest is not looked at. Members that cannot be read (encrypted, damaged, packed in an unusual way) give their names only.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

from filterlink.filters import unpack
from filterlink.filters.member import STEP, Budget, Member

__all__ = ["Member", "is_archive", "is_zip", "members"]

MAX_NESTING = 8
"""Archives in archives; a .tar.gz is two. People send three or four, quines and mazes have no end."""
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # bzip2 and lzma unpack without bound in one call of Python's
_CENTRAL = b"PK\x01\x02"
_END = b"PK\x05\x06"
_TAIL = 22 + 65_535  # the end record and its longest comment
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, OSError, ValueError, EOFError, RuntimeError, OverflowError, IndexError, KeyError)


def is_zip(data: bytes) -> bool:
    return data.startswith(b"PK\x03\x04") or data.find(_END, max(0, len(data) - _TAIL)) >= 0


def is_archive(data: bytes) -> bool:
    """Whether members() can open it, by its content."""
    return is_zip(data) or bool(unpack.stream_kind(data) or unpack.library_format(data))


def members(data: bytes, name: str = "", budget: Budget | None = None) -> Iterator[Member]:
    """Unpack the archive called `name` and those in it. Never raises.

    Flags: bomb, limit (too much in it), encrypted, broken, unopened (an archive of a kind that is not opened).
    `budget`: what is left of that of the archive in which this one was found.
    """
    for member in _walk(data, name, budget or Budget(len(data)), 1):
        yield member if member.flag or not unpack.unopened(member.data) else member._replace(flag="unopened")


def _walk(data: bytes, name: str, budget: Budget, depth: int) -> Iterator[Member]:
    for member in _open(data, name, budget):
        yield member
        if member.flag in ("bomb", "limit"):
            budget.over = True
        elif is_archive(member.data):
            for inner in _deeper(member, budget, depth):
                yield inner._replace(name=f"{member.name}/{inner.name}")
        if budget.over:
            return


def _deeper(member: Member, budget: Budget, depth: int) -> Iterator[Member]:
    if depth < MAX_NESTING:
        yield from _walk(member.data, member.name, budget, depth + 1)
    else:
        budget.over = True
        yield Member("", b"", "limit")


def _open(data: bytes, name: str, budget: Budget) -> Iterator[Member]:
    """Yield the members of this archive alone, by every format that it may be taken for."""
    if kind := unpack.stream_kind(data):
        yield from unpack.stream(data, kind, name, budget)
    if form := unpack.library_format(data):
        yield from unpack.library(data, form, budget)
    if is_zip(data):
        yield from _zip(data, budget)


def _zip(data: bytes, budget: Budget) -> Iterator[Member]:
    if data.count(_CENTRAL) > budget.members:  # counted before zipfile makes an object of each
        yield Member("", b"", "limit")
        return
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _BROKEN:
        yield Member("", b"", "broken")
        return
    with archive:
        if unpack.available() and any(info.compress_type not in _READABLE for info in archive.infolist()):
            yield from unpack.library(data, "zip", budget)
        else:
            yield from (_zip_member(archive, info, budget) for info in archive.infolist())


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> Member:
    flag = budget.count()
    if info.flag_bits & 1:
        return Member(info.filename, b"", flag or "encrypted")
    if info.compress_type not in _READABLE:
        return Member(info.filename, b"", flag or "broken")
    data = bytearray()
    try:
        del info.CRC  # a wrong checksum must not keep the data from us: many unpackers only warn
        with archive.open(info) as file:
            while not flag and (chunk := file.read(STEP)):
                data += chunk
                flag = budget.take(len(chunk))
    except _BROKEN:
        flag = "broken"
    return Member(info.filename, bytes(data), flag)
