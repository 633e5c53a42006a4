"""The files on an NTFS volume: every record of its master file table, with all its streams. Pure.

Folders are not read: the table has each file's names. Data that NTFS compresses or encrypts is flagged.
"""

import struct
from collections.abc import Iterator

from filterlink.filters.content.images.image import Extent, ImageFiles
from filterlink.filters.content.limits.member import Member

__all__ = ["is_ntfs", "opened"]

MAX_RECORDS = 100_000
"""Files and folders; an empty volume has 30."""
_OWN = 24
"""Records below this number are NTFS's own."""
_NAME = 0x30
_DATA = 0x80
_END = 0xFFFFFFFF


def is_ntfs(files: ImageFiles) -> bool:
    return files.image.read(3, 8) == b"NTFS    "


def opened(files: ImageFiles) -> Iterator[Member]:
    """Yield each file in use. Raises one of image.BAD."""
    boot = files.image.read(0, 512)
    sector, per, table, length = *struct.unpack_from("<HB", boot, 11), *struct.unpack_from("<Q8xb", boot, 48)
    cluster = sector * (per if per < 0x80 else 1 << min(256 - per, 30))
    size = length * cluster if length > 0 else 1 << min(-length, 16)
    first = _whole(files.image.read(table * cluster, size), sector)
    extents = next((_runs(first[at:], cluster) for kind, at in _attributes(first) if kind == _DATA), [])
    for number in range(min(MAX_RECORDS, sum(length for _, length in extents) // size)):
        record = _whole(_at(files, extents, number * size, size), sector) if number >= _OWN else b""
        if record[22:23] and record[22] & 1 and not files.over:
            yield from _file(files, record, cluster)


def _at(files: ImageFiles, extents: list[Extent], at: int, length: int) -> bytes:
    """Read from the table, whose parts may be anywhere."""
    for place, size in extents:
        if at < size:
            return files.image.read(place + at, length)
        at -= size
    return b""


def _whole(record: bytes, sector: int) -> bytes:
    """Restore the bytes at the end of each sector, which NTFS keeps elsewhere. b"" if it is not a record."""
    if not record.startswith(b"FILE"):
        return b""
    at, count = struct.unpack_from("<HH", record, 4)
    out = bytearray(record)
    for number in range(1, min(count, len(record) // sector + 1)):
        out[number * sector - 2 : number * sector] = record[at + number * 2 : at + number * 2 + 2]
    return bytes(out)


def _attributes(record: bytes) -> Iterator[tuple[int, int]]:
    """Yield the kind of each attribute, and where it begins."""
    at = int.from_bytes(record[20:22], "little")
    while at + 16 <= len(record):
        kind, length = struct.unpack_from("<II", record, at)
        if kind == _END or length < 16:
            return
        yield kind, at
        at += length


def _file(files: ImageFiles, record: bytes, cluster: int) -> Iterator[Member]:
    found = [(kind, record[at : at + int.from_bytes(record[at + 4 : at + 8], "little")]) for kind, at in _attributes(record)]
    names = [_name(attribute) for kind, attribute in found if kind == _NAME]
    first = names[0] if names else "file"
    for attribute in (attribute for kind, attribute in found if kind == _DATA):
        stream = attribute[int.from_bytes(attribute[10:12], "little") :][: attribute[9] * 2].decode("utf-16-le", "replace")
        name = f"{first}:{stream}" if stream else first
        flags = int.from_bytes(attribute[12:14], "little")
        if not attribute[8]:
            length, at = struct.unpack_from("<IH", attribute, 16)
            yield Member(name, attribute[at : at + length], files.budget.count() or files.budget.take(length))
        elif flags & 0x40FF:
            yield Member(name, b"", files.budget.count() or ("encrypted" if flags & 0x4000 else "unopened"))
        else:
            (size,) = struct.unpack_from("<Q", attribute, 48)
            yield files.member(name, _runs(attribute, cluster), size)
    for other in dict.fromkeys(names[1:]):
        yield Member(other, b"", files.budget.count())


def _name(attribute: bytes) -> str:
    at = int.from_bytes(attribute[20:22], "little")
    return attribute[at + 66 : at + 66 + attribute[at + 64] * 2].decode("utf-16-le", "replace")


def _runs(attribute: bytes, cluster: int) -> list[Extent]:
    """Return where the clusters of an attribute are; a run without a position is all zeros, and is skipped."""
    at = int.from_bytes(attribute[32:34], "little")
    place = 0
    found = list[Extent]()
    while at < len(attribute) and attribute[at]:
        count = attribute[at] & 15
        width = attribute[at] >> 4
        length = int.from_bytes(attribute[at + 1 : at + 1 + count], "little")
        place += int.from_bytes(attribute[at + 1 + count : at + 1 + count + width], "little", signed=True)
        found.append((place * cluster if width else -1, length * cluster))
        at += 1 + count + width
    return found
