"""Disk images as random-access data: raw ones, VHD and VHDX, and the partitions in them. Pure.

A virtual disk has holes, so it may be larger than any memory: no read exceeds the budget.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from filterlink.filters.content.limits.member import Budget, Member

__all__ = ["BAD", "Extent", "Image", "ImageFiles", "partitions", "vhd", "vhdx"]

MAX_PARTITIONS = 128
"""Partitions of one disk, with those in extended ones."""
MAX_BLOCKS = 1 << 20
"""Blocks of a virtual disk: 2 TiB by default."""
MIN_BLOCK = 64 << 10
"""Bytes of a block; both formats have 512 KiB at least."""
BAD: tuple[type[Exception], ...] = (struct.error, ValueError, LookupError, OverflowError, ZeroDivisionError)
"""Exceptions while a damaged image is read."""
SECTOR = 512
_EXTENDED = (0x05, 0x0F, 0x85)
_BAT = bytes.fromhex("6677c22d23f600429d64115e9bfd4a08")
_METADATA = bytes.fromhex("06a27c8b90479a4bb8fe575f050f886e")
_PARAMETERS = bytes.fromhex("3767a1ca36fa434db3b633f0aa44e76b")
_SECTOR_SIZE = bytes.fromhex("1dbf41816fa90947ba47f233a8faab5f")

Extent = tuple[int, int]
"""The position of bytes in an image, and their number."""


class Image(NamedTuple):
    """A part of a file; or blocks of one size, each at a position in the file, or (-1) all zeros."""

    data: bytes
    base: int
    size: int
    block: int = 0
    places: Sequence[int] = ()

    def read(self, at: int, length: int) -> bytes:
        """Return as many bytes as exist."""
        length = min(length, self.size - at)
        if at < 0 or length <= 0:
            return b""
        at += self.base
        if not self.block:
            return self.data[at : at + length]
        return b"".join(self._pieces(at, length))

    def part(self, base: int, size: int) -> "Image":
        return self._replace(base=self.base + base, size=max(0, min(size, self.size - base)))

    def _pieces(self, at: int, length: int) -> Iterator[bytes]:
        while length > 0:
            number, within = divmod(at, self.block)
            many = min(self.block - within, length)
            place = self.places[number] if number < len(self.places) else -1
            yield (self.data[place + within : place + within + many] if place >= 0 else b"").ljust(many, b"\0")
            at = at + many
            length = length - many


class ImageFiles:
    """Reads the files of an image; a file that several folders name is read once."""

    def __init__(self, image: Image, budget: Budget) -> None:
        self.image = image
        self.budget = budget
        self.over = False
        """A limit was exceeded: nothing more is read."""
        self._seen = set[tuple[Extent, int]]()

    def member(self, name: str, extents: Sequence[Extent], size: int) -> Member:
        """Read a file of `size` bytes; what its extents do not cover is missing."""
        if extents and (extents[0], size) in self._seen:
            return Member(name, b"", self.budget.count())
        there = min(size, sum(max(0, min(length, self.image.size - at)) for at, length in extents))
        flag = self.budget.count() or self.budget.read(there) or self.budget.take(there)
        if flag:
            return Member(name, b"", flag)
        if extents:
            self._seen.add((extents[0], size))
        content = self.joined(extents, there)
        return Member(name, content, "" if len(content) == size else "broken")

    def folder(self, extents: Sequence[Extent], most: int) -> bytes:
        """Read at most `most` bytes of a folder; b"" if that exceeds the budget."""
        length = min(most, sum(max(0, min(length, self.image.size - at)) for at, length in extents))
        self.over = self.over or bool(self.budget.read(length))
        return b"" if self.over else self.joined(extents, length)

    def joined(self, extents: Sequence[Extent], most: int) -> bytes:
        chunks = list[bytes]()
        left = most
        for at, length in extents:  # an extent before the image is a hole
            if left <= 0:
                break
            chunks.append(self.image.read(at, min(length, left)) if at >= 0 else bytes(min(length, left)))
            left -= len(chunks[-1])
        return b"".join(chunks)


def vhd(data: bytes) -> Image | None:
    """Read the footer of a VHD, at its end, and for a growing one at its start, too. Raises one of BAD."""
    at = next((at for at in (len(data) - 512, len(data) - 511, 0) if at >= 0 and data.startswith(b"conectix", at)), -1)
    if at < 0:
        return None
    header, size, kind = *struct.unpack_from(">Q24xQ", data, at + 16), *struct.unpack_from(">I", data, at + 60)
    if kind == 2 or not data.startswith(b"cxsparse", header):
        return Image(data, 0, min(size, at) if kind == 2 else at)
    table, count, block = struct.unpack_from(">Q4xII", data, header + 16)
    if block < MIN_BLOCK:
        raise ValueError("blocks are too small")
    count = min(count, MAX_BLOCKS, (len(data) - table) // 4)
    bitmap = -(-block // SECTOR // 8 // SECTOR) * SECTOR
    places = struct.unpack_from(f">{count}I", data, table)
    return Image(data, 0, size, block, [place * SECTOR + bitmap if place != 0xFFFFFFFF else -1 for place in places])


def vhdx(data: bytes) -> Image | None:
    """Read the tables of a VHDX. Raises one of BAD."""
    if not data.startswith(b"vhdxfile"):
        return None
    regions = _table(data, 192 << 10, 8, 16, "<QI")
    bat, length = regions[_BAT]
    metadata, _ = regions[_METADATA]
    (count,) = struct.unpack_from("<H", data, metadata + 10)
    items = {data[at : at + 16]: metadata + struct.unpack_from("<I", data, at + 16)[0] for at in _steps(metadata + 32, count)}
    (block,) = struct.unpack_from("<I", data, items[_PARAMETERS])
    (sector,) = struct.unpack_from("<I", data, items[_SECTOR_SIZE])
    if block < MIN_BLOCK:
        raise ValueError("blocks are too small")
    ratio = (sector << 23) // block
    count = min(length // 8, MAX_BLOCKS, (len(data) - bat) // 8)
    entries = struct.unpack_from(f"<{count}Q", data, bat)
    places = [(entry >> 20) << 20 if entry & 7 in (6, 7) else -1 for at, entry in enumerate(entries) if at % (ratio + 1) != ratio]
    return Image(data, 0, len(places) * block, block, places)


def _table(data: bytes, at: int, count_at: int, first: int, form: str) -> dict[bytes, tuple[int, int]]:
    (count,) = struct.unpack_from("<I", data, at + count_at)
    return {data[each : each + 16]: struct.unpack_from(form, data, each + 16) for each in _steps(at + first, count)}


def _steps(at: int, count: int) -> range:
    return range(at, at + min(count, 2048) * 32, 32)


def partitions(image: Image) -> Iterator[Image]:
    """Yield the disk as a whole, and the partitions in its tables (MBR, GPT)."""
    yield image
    first = image.read(0, SECTOR)
    if first[510:] != b"\x55\xaa":
        return
    found = 0
    todo = [(0, 0)]
    seen = set[int]()
    while todo and found < MAX_PARTITIONS:
        at, extended = todo.pop()
        sector = image.read(at * SECTOR, SECTOR)
        if at in seen or sector[510:] != b"\x55\xaa":
            continue
        seen.add(at)
        for entry in range(446, 510, 16):
            kind, start, count = sector[entry + 4], *struct.unpack_from("<II", sector, entry + 8)
            if kind in _EXTENDED:
                todo.append((extended + start, extended or start))
            elif kind == 0xEE:
                yield from _gpt(image)
            elif kind and count:
                found += 1
                yield image.part((at + start) * SECTOR, count * SECTOR)


def _gpt(image: Image) -> Iterator[Image]:
    for sector in (SECTOR, 4096):
        head = image.read(sector, 92)
        if not head.startswith(b"EFI PART"):
            continue
        table, count, size = struct.unpack_from("<QII", head, 72)
        for number in range(min(count, MAX_PARTITIONS)):
            entry = image.read(table * sector + number * size, 128)
            if len(entry) == 128 and any(entry[:16]):
                first, last = struct.unpack_from("<QQ", entry, 32)
                yield image.part(first * sector, (last - first + 1) * sector)
