"""Name the files of the Server Log, put them in order of time, and decide which are deleted. Pure.

    2026-11-28.log              the file that is written; the only one without a number
    2026-11-28-001.log          closed: its day has passed, or it was full. It never changes again
    2026-11-28-001.log.gz       the same, compressed
    2026-11-28-001.log.gz.tmp   being compressed, or left behind by a logger that was killed

All other names are foreign, and stay as they are.
"""

import math
import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import NamedTuple

__all__ = ["TEMPORARY", "DayFile", "expired", "in_order", "next_number", "parse"]

_NAME = re.compile(r"(\d{4}-\d\d-\d\d)(?:-(\d{3,9}))?\.log(\.gz)?", re.ASCII)
TEMPORARY = ".gz.tmp"
OPEN = 10**9
"""The number of a file without one: it is the last of its day."""


class DayFile(NamedTuple):
    """One file. The order of these tuples is the order of time."""

    day: str
    number: int = OPEN
    packed: bool = False
    """Compressed."""

    @property
    def is_open(self) -> bool:
        """Whether the logger may still write into it."""
        return self.number == OPEN and not self.packed

    @property
    def name(self) -> str:
        number = "" if self.number == OPEN else f"-{self.number:03d}"
        return f"{self.day}{number}.log{'.gz' if self.packed else ''}"


def parse(name: str) -> DayFile | None:
    """Return None for a foreign name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        date.fromisoformat(match[1])
    except ValueError:
        return None
    found = DayFile(match[1], int(match[2]) if match[2] else OPEN, bool(match[3]))
    return found if found.name == name else None


def in_order(names: Iterable[str]) -> list[DayFile]:
    """Return our files among these names, the oldest first. A file that is there twice, plain and compressed, is returned plain."""
    found = {file for name in names if (file := parse(name)) is not None}
    return sorted(file for file in found if not (file.packed and file._replace(packed=False) in found))


def next_number(names: Iterable[str], day: str) -> int:
    """Return the number of the next file of this day that is closed."""
    return 1 + max((file.number for name in names if (file := parse(name)) and file.day == day and file.number != OPEN), default=0)


def expired(sizes: dict[DayFile, int], now: float, keep: float, limit: int) -> tuple[list[DayFile], list[DayFile]]:
    """Return the files to delete: those that are too old, and then the oldest ones until the rest is within the limit.

    `keep`: seconds after the end of a file's day. `limit`: bytes of all files, 0 = no limit. Open files are never deleted.
    """
    closed = sorted(file for file in sizes if not file.is_open)
    old = [file for file in closed if _end(file.day) + keep <= now]
    total = sum(size for file, size in sizes.items() if file not in old)
    over = []
    for file in closed[len(old) :]:
        if not limit or total <= limit:
            break
        over.append(file)
        total -= sizes[file]
    return old, over


def _end(day: str) -> float:
    """Return the end of a day in local time, in seconds since 1970; infinity for a day that the clock cannot represent."""
    try:
        return (datetime.fromisoformat(day) + timedelta(days=1)).timestamp()
    except (OverflowError, ValueError):
        return math.inf
