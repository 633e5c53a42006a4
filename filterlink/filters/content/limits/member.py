"""A file in an archive, and how much of it may be unpacked. Pure."""

import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple

__all__ = ["ENDS", "MAX_NAME", "STEP", "Budget", "Look", "Member", "Union", "no_clock"]

Look = Callable[[], None]
"""A look at the clock: raises TimeoutError where the time for the message is over."""

MAX_MEMBERS = 10_000
"""Files in one archive and all that is in it. Each costs some 50 µs and 1 kB before a byte of it is read."""
MAX_UNPACKED = 256 << 20
"""Bytes unpacked from one archive: they are held in memory, one member of each level at a time, and scanned."""
MAX_RATIO = 200
"""Ordinary data packs 2 to 20 times, log files 50; deflate's most is 1032, and bombs sit there."""
FREE_OF_RATIO = 16 << 20
"""What unpacks to less than this harms nobody, however well it was packed."""
MAX_READ = 1 << 20, 4
"""Packed bytes that are read, and how many times all that is there more: only members that overlap need it twice."""
STEP = 1 << 20
"""Bytes unpacked between two looks at the budget."""

MAX_NAME = 4096
"""Bytes of a name, from its end; longer ones no system takes."""
ENDS = ("bomb", "limit")
"""Flags after which nothing further of the archive is opened."""


class Member(NamedTuple):
    """A file in an archive; `flag` is "" or why its data is not all there."""

    name: str
    data: bytes
    flag: str = ""


def no_clock() -> None:
    """Take any time."""


class Budget:
    """What may still be unpacked from one archive of `size` bytes, over all its levels. Each note is a look at the clock."""

    def __init__(self, size: int, look: Look = no_clock) -> None:
        self._look = look
        self.members = MAX_MEMBERS
        self.over = False
        """A limit was met: nothing further is opened."""
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
        """Note that so many bytes came out; return the flag that ends the work, or ""."""
        self._look()
        self._unpacked += length
        if self._unpacked > FREE_OF_RATIO and self._unpacked > self._size * MAX_RATIO:
            return "bomb"
        return "limit" if self._unpacked > MAX_UNPACKED else ""

    def read(self, length: int) -> str:
        """Note that this many packed bytes were read; return the flag that ends the work, or ""."""
        self._look()
        self._read += length
        return "bomb" if self._read > MAX_READ[0] + MAX_READ[1] * (self._size + self._unpacked) else ""


class Union:
    """What several readers find in one archive. What the first find is all taken, of what further ones find what is new.

    Each further reader has a budget of its own, as large as that of the first was: it unpacks the same once more.
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
        """Make the budget of a further reader."""
        return copy.copy(self._begin)

    def further(self, members: Iterator[Member], flag: str = "") -> Iterator[Member]:
        """`flag`: that of new files. A reader that fails where the first did not says nothing of the archive."""
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
    """Python's hash has a secret key, so a stranger can make no two files with the same; SHA-256 takes six times as long."""
    return len(data), hash(data)


def _name(member: Member) -> int:
    return hash(member.name.replace("\\", "/"))
