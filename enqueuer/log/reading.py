"""Read the Server Log: all days, plain or compressed, in both formats, in order of time, and in bounded memory.

A log may have many gigabytes. Files of days that are not wanted are not opened; a block without the wanted text is not parsed.
Files may be closed, compressed and deleted while they are read: each line that stays is read once.
"""

import contextlib
import gzip
import itertools
import os
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from enqueuer.log import dayfiles, entries
from enqueuer.log.dayfiles import DayFile
from enqueuer.log.entries import LogEntry, LogQuery
from enqueuer.system.openfile import open_plain

__all__ = ["ALL", "BLOCK", "MAX_LINE", "LogFolder", "parsed", "place"]

BLOCK = 1 << 20
"""Bytes that are read at once."""
MAX_LINE = 1 << 17
"""Bytes of one line. Ours have less; a longer one is read as several."""
WINDOWS = (1 << 18, 1 << 22, 1 << 26)
"""Bytes at the end of a file that are tried for its last lines, before all of it is read."""
ALL = LogQuery()


class LogFolder:
    """The folder SystemLogs. `damaged` has the files that could not be read to their end, and why."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: dict[str, str] = {}

    def files(self) -> list[DayFile]:
        """Return the files, the oldest first; none if there is no folder. Raises PermissionError."""
        try:
            return dayfiles.in_order(os.listdir(self.folder))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def entries(self, query: LogQuery = ALL) -> Iterator[LogEntry]:
        """Yield the wanted lines, the oldest first."""
        last = DayFile("")
        while left := [file for file in self.files() if place(file) > place(last)]:
            # A file that is written may be closed at any time, so it is read only if it is the first of a new listing.
            for last in list(itertools.takewhile(lambda file: not file.is_open, left)) or left[:1]:
                if query.has_day(last.day):
                    yield from self.of(last, query)

    def backwards(self, query: LogQuery = ALL) -> Iterator[DayFile]:
        """Yield the files that may have wanted lines, the newest first."""
        left = self.files()
        while left:
            newest = left.pop()
            if query.has_day(newest.day):
                yield newest
            if newest.is_open:  # it may have been closed since the listing
                left = [file for file in self.files() if place(file) < place(newest)]

    def last(self, query: LogQuery, count: int) -> list[LogEntry]:
        """Return the last wanted lines, the oldest of them first."""
        found: deque[LogEntry] = deque()
        for file in self.backwards(query):
            if len(found) >= count:
                break
            found.extendleft(reversed(self._last_of(file, query, count - len(found))))
        return list(found)

    def of(self, file: DayFile, query: LogQuery, begin: int = 0) -> Iterator[LogEntry]:
        """Yield the wanted lines of one file. `begin`: from the first line after this byte. A file that was deleted has no lines."""
        try:
            with self._open(file) as source:
                if begin:
                    source.seek(begin)
                    source.readline(MAX_LINE)
                yield from _wanted(source, file.day, query)
        except FileNotFoundError:
            return
        except (OSError, EOFError, zlib.error) as error:
            self.damaged[file.name] = getattr(error, "strerror", None) or str(error)

    def _last_of(self, file: DayFile, query: LogQuery, count: int) -> deque[LogEntry]:
        """Return the last wanted lines of one file."""
        found: deque[LogEntry] = deque(maxlen=count)
        for window in () if file.packed else WINDOWS:
            begin = self._size(file) - window
            if begin <= 0:
                break
            found.extend(self.of(file, query, begin))
            if len(found) == count:
                return found
            found.clear()
        found.extend(self.of(file, query))
        return found

    @contextlib.contextmanager
    def _open(self, file: DayFile) -> Iterator[BinaryIO]:
        """Open a file for reading. It may have been compressed meanwhile. Raises OSError."""
        path = self.folder / file.name
        packed = file.packed or not path.exists()
        if packed and not file.packed:
            path = path.with_name(f"{path.name}.gz")
        with open_plain(path) as raw:
            if not packed:
                yield raw
                return
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield cast(BinaryIO, unpacked)

    def _size(self, file: DayFile) -> int:
        try:
            return (self.folder / file.name).stat().st_size
        except OSError:
            return 0


def _wanted(source: BinaryIO, day: str, query: LogQuery) -> Iterator[LogEntry]:
    """Yield the wanted lines of an open file."""
    rest = b""
    while data := source.read(BLOCK):
        whole, end, rest = (rest + data).rpartition(b"\n")
        yield from parsed(whole + end, day, query)
        if len(rest) > MAX_LINE:
            yield from parsed(rest, day, query)
            rest = b""
    yield from parsed(rest, day, query)


def parsed(block: bytes, day: str, query: LogQuery) -> Iterator[LogEntry]:
    """Yield the wanted lines of a block of whole lines."""
    needle = query.needle
    if needle and needle not in block.lower():
        return
    for line in block.split(b"\n"):
        if line and (not needle or needle in line.lower()) and query.accepts(entry := entries.parse(line, day)):
            yield entry


def place(file: DayFile) -> tuple[str, int]:
    """Return the place of a file in the order of time, whether compressed or not."""
    return file.day, file.number
