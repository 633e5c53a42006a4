"""Read OLE files (MS-CFB): .doc, .xls, .ppt, .msg, .msi. Every stream, with the storages that it is in. Pure.

Streams come from the list of entries, not only from the tree, so that none can hide. olefile is not used: it builds the tree
by recursion, and refuses files that Office opens. No chain of sectors is followed beyond the stream's size.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["MAGIC", "Ole", "Stream"]

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
MAX_ENTRIES = 20_000
"""Streams and storages; a .msg with a thousand attachments has some twenty thousand."""
_FREE = 0xFFFFFFFA
"""Sector numbers from here on have other meanings."""
_STORAGE = 1
_STREAM = 2
_ROOT = 5


class Stream(NamedTuple):
    """A stream: the names of its storages and its own."""

    path: tuple[str, ...]
    size: int
    start: int


class _Entry(NamedTuple):
    name: str
    kind: int
    left: int
    right: int
    child: int
    start: int
    size: int


class Ole:
    """One file. Raises ValueError and struct.error if it is not an OLE file."""

    def __init__(self, data: bytes) -> None:
        if len(data) < 512:
            raise ValueError("too short")
        self._data = data
        shift, small_shift = struct.unpack_from("<HH", data, 30)
        if not 7 <= shift <= 16 or not 4 <= small_shift < shift:
            raise ValueError("strange sectors")
        self._size = 1 << shift
        self._small_size = 1 << small_shift
        directory, self._cutoff, small, _, difat = struct.unpack_from("<I4xIIII", data, 48)
        self._sectors = -(-len(data) // self._size)
        self._table = self._read_table(difat)
        self._entries = list(self._read_entries(directory))
        self._small_table = _numbers(self._chain(small, self._sectors))
        root = self._entries[0] if self._entries else None
        self._small = self._chain(root.start, -(-root.size // self._size)) if root else b""
        self.over = len(self._entries) >= MAX_ENTRIES

    def streams(self) -> Iterator[Stream]:
        paths = self._paths()
        for number, entry in enumerate(self._entries):
            if entry.kind == _STREAM:
                yield Stream((*paths.get(number, ()), entry.name), entry.size, entry.start)

    def read(self, stream: Stream) -> bytes:
        """Return as much of the stream as exists."""
        size = min(stream.size, len(self._data))
        if stream.size >= self._cutoff:
            return self._chain(stream.start, -(-size // self._size))[:size]
        chunks = list[bytes]()
        at = stream.start
        left = -(-size // self._small_size)
        while left > 0 and at * self._small_size < len(self._small):
            chunks.append(self._small[at * self._small_size : (at + 1) * self._small_size])
            at = self._small_table[at] if at < len(self._small_table) else _FREE
            left = left - 1
        return b"".join(chunks)[:size]

    def _sector(self, number: int) -> bytes:
        return self._data[(number + 1) * self._size : (number + 2) * self._size]

    def _chain(self, start: int, most: int) -> bytes:
        chunks = list[bytes]()
        at = start
        for _ in range(min(most, self._sectors)):
            if at >= _FREE or at >= self._sectors:
                break
            chunks.append(self._sector(at))
            at = self._table[at] if at < len(self._table) else _FREE
        return b"".join(chunks)

    def _read_table(self, difat: int) -> tuple[int, ...]:
        """Read the table of sectors; its own sectors are listed in the header, and after that in a chain."""
        places = list(struct.unpack_from("<109I", self._data, 76))
        for _ in range(self._sectors // (self._size // 4) + 1):
            if difat >= _FREE or difat >= self._sectors:
                break
            *more, difat = _numbers(self._sector(difat).ljust(self._size, b"\xff"))
            places += more
        needed = self._sectors // (self._size // 4) + 1
        found = [self._sector(place) for place in places if place < self._sectors][:needed]
        return _numbers(b"".join(found))

    def _read_entries(self, start: int) -> Iterator[_Entry]:
        data = self._chain(start, self._sectors)
        for at in range(0, min(len(data), MAX_ENTRIES * 128) - 127, 128):
            length, kind, left, right, child, first, size = struct.unpack_from("<HBxIII36xIQ", data, at + 64)
            name = data[at : at + max(0, min(length, 64) - 2)].decode("utf-16-le", "replace")
            yield _Entry(name, kind, left, right, child, first, size if self._size > 512 else size & 0xFFFFFFFF)

    def _paths(self) -> dict[int, tuple[str, ...]]:
        """Return for each entry in the tree the names of its storages. Each is visited once."""
        found: dict[int, tuple[str, ...]] = {}
        todo = [(self._entries[0].child, ())] if self._entries else list[tuple[int, tuple[str, ...]]]()
        while todo:
            number, path = todo.pop()
            if number in found or number >= len(self._entries) or len(path) > 100:
                continue
            entry = self._entries[number]
            found[number] = path
            todo += [(entry.left, path), (entry.right, path)]
            if entry.kind in (_STORAGE, _ROOT):
                todo.append((entry.child, (*path, entry.name)))
        return found


def _numbers(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])
