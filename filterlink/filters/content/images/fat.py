"""The files on a FAT12, FAT16, FAT32 or exFAT volume, under long and short names. Pure."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from filterlink.filters.content.images.image import Extent, ImageFiles
from filterlink.filters.content.limits.member import Member

__all__ = ["exfat", "is_exfat", "is_fat", "opened"]

MAX_FOLDER = 2 << 20
"""Bytes of one folder; 65,536 entries."""
_LONG = 0x0F
_VOLUME = 0x08
_FOLDER = 0x10


class _FatVolume(NamedTuple):
    """Where clusters are, and where the table is that chains them."""

    files: ImageFiles
    table: int
    bits: int
    first: int
    cluster: int

    def chain(self, start: int, size: int) -> list[Extent]:
        """Return the clusters of a file, as many as it needs; neighbours are one extent. Reading the chain counts like its data.

        No more than the file with the image may have.
        """
        found = list[Extent]()
        at = start
        budget = self.files.budget
        for _ in range(min(-(-size // self.cluster), len(self.files.image.data) // self.cluster + 1)):
            where = self.first + (at - 2) * self.cluster
            if at < 2 or where >= self.files.image.size:
                break
            if budget.read(self.cluster):
                self.files.over = True
                break
            if found and sum(found[-1]) == where:
                found[-1] = (found[-1][0], found[-1][1] + self.cluster)
            else:
                found.append((where, self.cluster))
            at = self._next(at)
        return found

    def row(self, start: int, size: int) -> list[Extent]:
        return [(self.first + (start - 2) * self.cluster, size)] if start >= 2 else []

    def _next(self, at: int) -> int:
        """Return the number in the table: of 12, 16 or 32 bits, of which FAT32 uses 28. A number beyond all clusters ends a chain."""
        if self.bits == 12:
            pair = int.from_bytes(self.files.image.read(self.table + at * 3 // 2, 2), "little")
            return pair >> 4 if at & 1 else pair & 0xFFF
        number = int.from_bytes(self.files.image.read(self.table + at * self.bits // 8, self.bits // 8), "little")
        return number & 0x0FFFFFFF


def is_fat(files: ImageFiles) -> bool:
    boot = files.image.read(0, 512)
    if len(boot) < 512 or boot[0] not in (0xEB, 0xE9) or boot[21] < 0xF0 or not 1 <= boot[16] <= 4:
        return False
    return boot[11:13] in (b"\0\2", b"\0\4", b"\0\x08", b"\0\x10") and boot[13] & (boot[13] - 1) == 0 < boot[13]


def is_exfat(files: ImageFiles) -> bool:
    return files.image.read(3, 8) == b"EXFAT   "


def opened(files: ImageFiles) -> Iterator[Member]:
    """Go through the folders of a FAT volume. Raises one of image.BAD."""
    boot = files.image.read(0, 512)
    sector, per, reserved, tables, roots, total = struct.unpack_from("<HBHBHH", boot, 11)
    (size,) = struct.unpack_from("<H", boot, 22)
    large, size_large = struct.unpack_from("<II", boot, 32)
    size = size or size_large
    total = total or large
    root = reserved * sector + tables * size * sector
    first = root + -(-roots * 32 // sector) * sector
    count = max(0, min(total * sector, files.image.size) - first) // (per * sector) + 2
    bits = 12 if count < 4087 else 16 if count < 65527 else 32
    volume = _FatVolume(files, reserved * sector, bits, first, per * sector)
    begin = [(root, roots * 32)] if roots else volume.chain(int.from_bytes(boot[44:48], "little"), MAX_FOLDER)
    yield from _folders(files, volume, begin)


def _folders(files: ImageFiles, volume: _FatVolume, root: list[Extent]) -> Iterator[Member]:
    seen = set[Extent]()
    todo = [(root, "")]
    while todo and not files.over:
        extents, path = todo.pop()
        if not extents or extents[0] in seen:
            continue
        seen.add(extents[0])
        data = files.folder(extents, MAX_FOLDER)
        long = dict[int, str]()
        for at in range(0, len(data) - 31, 32):
            entry = data[at : at + 32]
            if entry[0] == 0:
                break
            if entry[11] & 0x3F == _LONG:
                long[entry[0] & 0x3F] = (entry[1:11] + entry[14:26] + entry[28:32]).decode("utf-16-le", "replace")
                continue
            names = _names(entry, long)
            long = {}
            if entry[0] == 0xE5 or entry[11] & _VOLUME or entry[0] == ord("."):
                continue
            start = int.from_bytes(entry[26:28], "little") | int.from_bytes(entry[20:22], "little") << 16
            if entry[11] & _FOLDER:
                todo.append((volume.chain(start, MAX_FOLDER), f"{path}{names[0]}/"))
                continue
            size = int.from_bytes(entry[28:32], "little")
            yield files.member(path + names[0], volume.chain(start, min(size, files.image.size)), size)
            for other in names[1:]:
                yield Member(path + other, b"", files.budget.count())


def _names(entry: bytes, long: dict[int, str]) -> list[str]:
    """Return the long name, from entries before this one, and the short one."""
    name, extension = (part.decode("cp437").rstrip() for part in (entry[:8], entry[8:11]))
    short = f"{name}.{extension}" if extension else name
    joined = "".join(long[number] for number in sorted(long)).partition("\0")[0].rstrip("\uffff")
    return list(dict.fromkeys(filter(None, (joined, short)))) or ["file"]


def exfat(files: ImageFiles) -> Iterator[Member]:
    """Go through the folders of an exFAT volume. Raises one of image.BAD."""
    boot = files.image.read(0, 512)
    table, _, heap, _, root = struct.unpack_from("<IIIII", boot, 80)
    sector = 1 << min(boot[108], 12)
    cluster = sector << min(boot[109], 25)
    volume = _FatVolume(files, table * sector, 32, heap * sector, cluster)
    seen = set[Extent]()
    todo = [(volume.chain(root, MAX_FOLDER), "")]
    while todo and not files.over:
        extents, path = todo.pop()
        if not extents or extents[0] in seen:
            continue
        seen.add(extents[0])
        for name, folder, start, size, row in _sets(files.folder(extents, MAX_FOLDER)):
            place = volume.row(start, min(size, files.image.size)) if row else volume.chain(start, min(size, files.image.size))
            if folder:
                todo.append((place, f"{path}{name}/"))
            else:
                yield files.member(path + name, place, size)


def _sets(folder: bytes) -> Iterator[tuple[str, bool, int, int, bool]]:
    """Yield each set of entries: name, whether it is a folder, its first cluster, its size, whether its clusters are contiguous."""
    for at in range(0, len(folder) - 63, 32):
        if folder[at] != 0x85 or folder[at + 32] != 0xC0:
            continue
        stream = folder[at + 32 : at + 64]
        letters = b""
        for each in range(at + 64, at + 32 + 32 * folder[at + 1], 32):
            letters += folder[each + 2 : each + 32] if folder[each : each + 1] == b"\xc1" else b""
        start, size = struct.unpack_from("<IQ", stream, 20)
        name = letters[: stream[3] * 2].decode("utf-16-le", "replace")
        yield name or "file", bool(folder[at + 4] & _FOLDER), start, size, bool(stream[1] & 2)
