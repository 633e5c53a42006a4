"""A file in an archive, and the limits of unpacking. Pure."""

import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple

__all__ = ["ENDS", "MAX_NAME", "STEP", "Budget", "Look", "Member", "Union", "no_clock"]

Look = Callable[[], None]
"""Checks the clock: raises TimeoutError when the time for the message is over."""

MAX_MEMBERS = 10_000
"""Files in one archive, with all levels. Each costs some 50 µs and 1 kB before a byte of it is read."""
MAX_UNPACKED = 256 << 20
"""Bytes unpacked from one archive. They are in memory, one member of each level at a time, and are scanned."""
MAX_RATIO = 200
"""Ordinary data shrinks 2 to 20 times, log files 50 times. The most of deflate is 1032, as in bombs."""
FREE_OF_RATIO = 16 << 20
"""Bytes. A file that unpacks to less is harmless at any ratio."""
MAX_READ = 1 << 20, 4
"""Packed bytes that are read, and an addition in multiples of the data: only overlapping members need it twice."""
STEP = 1 << 20
"""Bytes unpacked between two checks of the budget."""

MAX_NAME = 4096
"""Bytes of a name, from its end; no system accepts longer ones."""
ENDS = ("bomb", "limit")
"""Flags after which nothing more of the archive is opened."""


class Member(NamedTuple):
    """A file in an archive. `flag`: "" or why its data is incomplete."""

    name: str
    data: bytes
    flag: str = ""


def no_clock() -> None:
    """Allow any time."""


class Budget:
    """What may still be unpacked from one archive of `size` bytes, over all its levels. Each note checks the clock."""

    def __init__(self, size: int, look: Look = no_clock) -> None:
        self._look = look
        self.members = MAX_MEMBERS
        self.over = False
        """A limit was exceeded: nothing more is opened."""
        self.seen = set[tuple[int, int] | int]()
        """The digests of all files that were found, and the hashes of their names."""
        self._size = size
        self._unpacked = self._read = 0

    def count(self) -> str:
        """Note a member; return its flag."""
        self._look()
        self.members -= 1
        return "limit" if self.members < 0 else ""

    def take(self, length: int) -> str:
        """Note `length` unpacked bytes; return the flag that ends the work, or ""."""
        self._look()
        self._unpacked += length
        if self._unpacked > FREE_OF_RATIO and self._unpacked > self._size * MAX_RATIO:
            return "bomb"
        return "limit" if self._unpacked > MAX_UNPACKED else ""

    def read(self, length: int) -> str:
        """Note `length` packed bytes that were read; return the flag that ends the work, or ""."""
        self._look()
        self._read += length
        return "bomb" if self._read > MAX_READ[0] + MAX_READ[1] * (self._size + self._unpacked) else ""


class Union:
    """Joins what several readers find in one archive: all of the first reader, and what is new from the others.

    Each further reader has a budget of its own, as large as the first one's, because it unpacks the same data again.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._begin = copy.copy(budget)
        self._whole = False
        """Whether a first reader found a file."""

    def first(self, members: Iterator[Member]) -> Iterator[Member]:
        for member in members:
            self._whole = self._whole or not member.flag
            self._budget.seen |= {_digest(member.data), _name(member)}
            yield member

    def apart(self) -> Budget:
        """Return the budget of a further reader."""
        return copy.copy(self._begin)

    def further(self, members: Iterator[Member], flag: str = "") -> Iterator[Member]:
        """Yield the new members of a further reader. `flag`: that of new files. A failure of a further reader alone does not flag the
        archive.
        """
        for member in members:
            digest = _digest(member.data)
            seen = self._budget.seen
            new = bool(member.data) and digest not in seen
            name = _name(member)
            if not (new or name not in seen or member.flag in ENDS) or (not new and member.flag == "broken" and self._whole):
                continue
            seen |= {digest, name}
            over = self._budget.count() or self._budget.take(len(member.data) if new else 0)
            yield Member(member.name, member.data if new else b"", over or member.flag or (flag if new else ""))


def _digest(data: bytes) -> tuple[int, int]:
    """Return a hash. Python's has a secret key, so no stranger can make two files with the same one; SHA-256 takes six times as long."""
    return len(data), hash(data)


def _name(member: Member) -> int:
    return hash(member.name.replace("\\", "/"))
