"""The drops that were seen in the folder and are not claimed yet, the oldest first. This module touches no file.

It is made for a million drops. Each is one packed bytes object (time, size, name), which takes 90 bytes instead of 200. The
slices of a listing are sorted one by one and merged when they are claimed, so that no claim waits for a sort of all.
"""

import heapq
import struct
from collections.abc import Iterable

from enqueuer.queue.directory.intake import Candidate

__all__ = ["Backlog", "pack", "unpack"]

_HEAD = struct.Struct(">QQ")
"""Big-endian, so that packed drops sort by their time."""


def pack(candidate: Candidate) -> bytes:
    return _HEAD.pack(candidate.changed, candidate.size) + candidate.name


def unpack(packed: bytes) -> Candidate:
    changed, size = _HEAD.unpack_from(packed)
    return Candidate(changed, size, packed[_HEAD.size :])


class Backlog:
    """The drops of one lane."""

    def __init__(self) -> None:
        self._runs: list[tuple[bytes, int, list[bytes]]] = []  # a heap: (first item, number, the run with its first item last)
        self._count = self._number = 0

    def __len__(self) -> int:
        return self._count

    def add(self, candidates: Iterable[Candidate]) -> None:
        """Add candidates, in any order."""
        run = sorted(map(pack, candidates), reverse=True)
        if run:
            self._count += len(run)
            self._number += 1
            heapq.heappush(self._runs, (run[-1], self._number, run))

    def pop(self) -> Candidate:
        """Remove and return the oldest of all. Raises IndexError if there is none."""
        packed, number, run = self._runs[0]
        run.pop()
        if run:
            heapq.heapreplace(self._runs, (run[-1], number, run))
        else:
            heapq.heappop(self._runs)
        self._count -= 1
        return unpack(packed)
