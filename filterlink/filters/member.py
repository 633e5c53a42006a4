"""A file in an archive, and how much of it may be unpacked. Pure."""

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["STEP", "Budget", "Look", "Member", "no_clock"]

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
