"""The files on a UDF volume (ECMA-167): DVDs, Windows' discs, hybrid ones beside ISO 9660. Pure."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from filterlink.filters.content.images.image import Extent, ImageFiles
from filterlink.filters.content.limits.member import Member

__all__ = ["is_udf", "opened"]

MAX_FOLDER = 4 << 20
"""Bytes of one folder."""
MAX_DESCRIPTORS = 64
"""Descriptors in a volume's sequence, and continued lists of extents of one file."""
MAX_EXTENTS = 256
"""Extents of a volume's metadata; all are checked for each file."""
_SECTORS = (2048, 512, 4096)
_ANCHOR = 2
_PARTITION = 5
_LOGICAL = 6
_FILES = 256
_NAME = 257
_MORE = 258
_ENTRY = 261
_LONG_ENTRY = 266
_STOP = 8
_FOLDER = 2
_DELETED = 4
_PARENT = 8
_TYPE_FOLDER = 4


class _UdfVolume(NamedTuple):
    """Where the blocks of each partition are: a list of extents for each."""

    files: ImageFiles
    block: int
    maps: list[list[Extent]]

    def place(self, number: int, partition: int, length: int) -> list[Extent]:
        """Return where a run of blocks is."""
        at = number * self.block
        found = list[Extent]()
        for base, size in self.maps[partition] if partition < len(self.maps) else []:
            if length > 0 and at < size:
                found.append((base + at, min(length, size - at)))
                length -= found[-1][1]
            at = max(0, at - size)
        return found


def is_udf(files: ImageFiles) -> bool:
    """Return whether it is UDF: by a mark among the first descriptors, as on discs, or by the anchor."""
    head = files.image.read(32768, 32768)
    marked = any(head[at + 1 : at + 5] == b"NSR0" for at in range(0, len(head), 2048))
    return marked or any(_anchor(files, sector) for sector in _SECTORS)


def _anchor(files: ImageFiles, sector: int) -> bytes:
    """Return the anchor, from one of three places."""
    last = files.image.size // sector - 1
    for number in (256, last, last - 256):
        found = files.image.read(number * sector, 512) if number > 0 else b""
        if _tag(found) == _ANCHOR and found[12:16] == struct.pack("<I", number & 0xFFFFFFFF):
            return found
    return b""


def _tag(data: bytes) -> int:
    """Return the kind of a descriptor, 0 if it is none: the tag has its own checksum."""
    ok = len(data) >= 16 and (sum(data[:4]) + sum(data[5:16])) & 255 == data[4]
    return int.from_bytes(data[:2], "little") if ok else 0


def opened(files: ImageFiles) -> Iterator[Member]:
    """Go through the folders. Raises one of image.BAD."""
    for sector in _SECTORS:
        if not (anchor := _anchor(files, sector)):
            continue
        for place in (16, 24):  # the sequence and its copy
            length, at = struct.unpack_from("<II", anchor, place)
            volume, root = _volume(files, sector, at, length)
            if root:
                yield from _tree(volume, root)
                return
    yield Member("", b"", "broken")


def _volume(files: ImageFiles, sector: int, at: int, length: int) -> tuple[_UdfVolume, list[Extent]]:
    """Read the sequence that describes the volume; return it, and where its root folder's entry is."""
    starts = dict[int, Extent]()
    logical = b""
    for number in range(at, at + min(length // sector, MAX_DESCRIPTORS)):
        found = files.image.read(number * sector, sector)
        if _tag(found) == _PARTITION:
            (partition,) = struct.unpack_from("<H", found, 22)
            first, count = struct.unpack_from("<II", found, 188)
            starts[partition] = first * sector, count * sector
        elif _tag(found) == _LOGICAL:
            logical = found
        elif _tag(found) == _STOP:
            break
    if not logical:
        return _UdfVolume(files, sector, []), []
    volume = _UdfVolume(files, struct.unpack_from("<I", logical, 212)[0], [])
    _fill(volume, logical, starts)
    size, number, partition = struct.unpack_from("<IIH", logical, 248)
    found = files.joined(volume.place(number, partition, size), 512)
    if _tag(found) != _FILES:
        return volume, []
    size, number, partition = struct.unpack_from("<IIH", found, 400)
    return volume, volume.place(number, partition, size & 0x3FFFFFFF)


def _fill(volume: _UdfVolume, logical: bytes, starts: dict[int, Extent]) -> None:
    """Add where each partition is; a partition of metadata is a file in another one."""
    (count,) = struct.unpack_from("<I", logical, 268)
    at = 440
    for _ in range(min(count, 8)):
        kind = logical[at]
        length = logical[at + 1]
        (partition,) = struct.unpack_from("<H", logical, at + (4 if kind == 1 else 38))
        volume.maps.append([starts[partition]] if partition in starts else [])
        if b"*UDF Metadata" in logical[at : at + 32]:
            (number,) = struct.unpack_from("<I", logical, at + 40)
            entry = volume.files.joined(volume.place(number, len(volume.maps) - 1, volume.block), volume.block)
            volume.maps[-1] = _contents(volume, entry, len(volume.maps) - 1)[1][:MAX_EXTENTS]
        at += length


def _tree(volume: _UdfVolume, root: list[Extent]) -> Iterator[Member]:
    files = volume.files
    seen = set[Extent]()
    todo = [(root, "")]
    while todo and not files.over:
        place, path = todo.pop()
        if not place or place[0] in seen:
            continue
        seen.add(place[0])
        entry = files.folder(place, volume.block)
        if _tag(entry) not in (_ENTRY, _LONG_ENTRY):
            continue
        inline, extents, size = _contents(volume, entry, 0)
        if entry[27] == _TYPE_FOLDER:
            data = inline or files.folder(extents, min(size, MAX_FOLDER))
            todo += [(child, f"{path}/{name}") for name, child in _children(volume, data)]
        elif inline or not size:
            yield Member(path[1:], inline, files.budget.count() or files.budget.take(len(inline)))
        else:
            yield files.member(path[1:], extents, size)


def _children(volume: _UdfVolume, data: bytes) -> Iterator[tuple[str, list[Extent]]]:
    """Yield the name and the entry of each file in a folder."""
    at = 0
    while at + 38 <= len(data):
        marks = data[at + 18]
        length = data[at + 19]
        size, number, partition, more = *struct.unpack_from("<IIH", data, at + 20), *struct.unpack_from("<H", data, at + 36)
        name = data[at + 38 + more : at + 38 + more + length]
        if not marks & (_DELETED | _PARENT):
            text = name[1:].decode("utf-16-be" if name[:1] == b"\x10" else "latin-1", "replace")
            yield text or "file", volume.place(number, partition, size & 0x3FFFFFFF)
        at += (38 + more + length + 3) // 4 * 4


def _contents(volume: _UdfVolume, entry: bytes, partition: int) -> tuple[bytes, list[Extent], int]:
    """Return the content in the entry itself, or where it is, and its size."""
    size = int.from_bytes(entry[56:64], "little")
    kind = entry[34] & 7
    begin = 168 if _tag(entry) == _ENTRY else 208
    attributes, length = struct.unpack_from("<II", entry, begin)
    start = begin + 8 + attributes
    area = entry[start : start + length]
    if kind == 3:
        return area[:size], [], size
    extents = list[Extent]()
    width = 8 if kind == 0 else 16
    for _ in range(MAX_DESCRIPTORS):
        more: list[Extent] = []
        for at in range(0, len(area) - width + 1, width):
            told, number = struct.unpack_from("<II", area, at)
            within = struct.unpack_from("<H", area, at + 8)[0] if kind == 1 else partition
            many = told & 0x3FFFFFFF
            if told >> 30 == 3:
                more = volume.place(number, within, many)
                break
            if not many:
                break
            extents += volume.place(number, within, many) if told >> 30 == 0 else [(-1, many)]
        following = volume.files.joined(more, volume.block)
        if _tag(following) != _MORE:
            break
        area = following[24 : 24 + int.from_bytes(following[20:24], "little")]
    return b"", extents, size
