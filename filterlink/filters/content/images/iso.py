"""The files on a CD image (ISO 9660), in all its trees: the primary one, those of Joliet, and the names of Rock Ridge. Pure."""

import struct
from collections.abc import Iterator

from filterlink.filters.content.images.image import Extent, ImageFiles
from filterlink.filters.content.limits.member import Member

__all__ = ["is_iso", "opened"]

MAX_DESCRIPTORS = 64
"""Volume descriptors; a hybrid disc has some five."""
MAX_FOLDER = 4 << 20
"""Bytes of one folder: some 40,000 files."""
_SECTOR = 2048
_JOLIET = (b"%/@", b"%/C", b"%/E")
_FOLDER = 2
_MORE = 0x80


def is_iso(files: ImageFiles) -> bool:
    return files.image.read(16 * _SECTOR, 6)[1:] == b"CD001"


def opened(files: ImageFiles) -> Iterator[Member]:
    """Go through each tree. Raises one of image.BAD."""
    for number in range(16, 16 + MAX_DESCRIPTORS):
        found = files.image.read(number * _SECTOR, _SECTOR)
        if found[1:6] != b"CD001" or found[0] == 255 or len(found) < 190:
            return
        if found[0] in (1, 2):
            (block,) = struct.unpack_from("<H", found, 128)
            joliet = found[0] == 2 and found[88:91] in _JOLIET
            yield from _tree(files, found[156:190], block if block in (512, 1024) else _SECTOR, joliet)


def _tree(files: ImageFiles, root: bytes, block: int, joliet: bool) -> Iterator[Member]:
    """Walk through the folders, each once."""
    seen = set[Extent]()
    todo = [(extent, "") for extent in _places(root, block)]
    while todo and not files.over:
        extent, path = todo.pop()
        if extent in seen:
            continue
        seen.add(extent)
        before = list[Extent]()
        for record in _records(files.folder([extent], min(extent[1], MAX_FOLDER))):
            name, *others = _names(files, record, block, joliet)
            if record[25] & _FOLDER:
                todo += [(place, f"{path}{name}/") for place in _places(record, block)] if name else []
                continue
            if record[25] & _MORE:
                before.append(_places(record, block)[0])
                continue
            for place in _places(record, block):
                extents = [*before, place]
                yield files.member(path + name, extents, sum(length for _, length in extents))
            before = []
            for other in others:
                yield Member(path + other, b"", files.budget.count())


def _records(folder: bytes) -> Iterator[bytes]:
    """Yield the records of a folder; none crosses the end of a sector."""
    at = 0
    while at < len(folder):
        length = folder[at]
        if length < 34:
            at = (at // _SECTOR + 1) * _SECTOR
            continue
        record = folder[at : at + length]
        if len(record) == length and record[32] + 33 <= length:
            yield record
        at += length


def _places(record: bytes, block: int) -> list[Extent]:
    """Return where the data is, by the numbers in either byte order."""
    little, big, size, size_big = (
        *struct.unpack_from("<I", record, 2),
        *struct.unpack_from(">I", record, 6),
        *(
            *struct.unpack_from("<I", record, 10),
            *struct.unpack_from(">I", record, 14),
        ),
    )
    extra = record[1]
    return list(dict.fromkeys(((little + extra) * block, size) if order else ((big + extra) * block, size_big) for order in (True, False)))


def _names(files: ImageFiles, record: bytes, block: int, joliet: bool) -> list[str]:
    """Return the name without its version, and that of Rock Ridge; "" for the folder itself and its parent."""
    length = record[32]
    raw = record[33 : 33 + length]
    if raw in (b"\0", b"\1"):
        return [""]
    name = (raw.decode("utf-16-be", "replace") if joliet else raw.decode("latin-1")).partition(";")[0]
    long = _rock_ridge(files, record[33 + length + (length + 1) % 2 :], block)
    return list(dict.fromkeys(filter(None, (long, name)))) or ["file"]


def _rock_ridge(files: ImageFiles, area: bytes, block: int) -> str:
    """Read the name in the system's part of a record, which may go on elsewhere."""
    name = b""
    next = b""
    for _ in range(4):
        at = 0
        while at + 5 <= len(area) and area[at + 2] >= 4:
            entry = area[at : at + area[at + 2]]
            if entry.startswith(b"NM"):
                name += entry[5:]
            elif entry.startswith(b"CE") and len(entry) >= 28:
                where, offset, length = (struct.unpack_from("<I", entry, place)[0] for place in (4, 12, 20))
                next = files.image.read(where * block + offset, min(length, _SECTOR))
            at += len(entry)
        area = next
        next = b""
    return name.decode("utf-8", "replace")
