"""Follow the Server Log as `tail -F` does: the lines that come, while files are closed, compressed and begun. It needs no engine."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from enqueuer.log.dayfiles import DayFile
from enqueuer.log.entries import LogEntry, LogQuery
from enqueuer.log.reading import ALL, BLOCK, MAX_LINE, LogFolder, parsed, place
from enqueuer.system.openfile import open_plain

__all__ = ["LogFollower"]


class LogFollower:
    """Reads the lines that come after it was made. Each line is read once, from the file that was open or from its closed successor."""

    def __init__(self, log: LogFolder) -> None:
        """Begin at the end of what is there."""
        self._log = log
        self._done: set[tuple[str, int]] = set()
        """Closed files that were read, or need not be read."""
        self._tails: dict[str, _Tail] = {}
        """The files that are written, by day: around midnight there are two."""
        for file in log.files():
            if file.is_open:
                self._begin(file, at_end=True)
            else:
                self._done.add(place(file))

    def entries(self, query: LogQuery = ALL) -> Iterator[LogEntry]:
        """Yield the wanted lines that have come since the last call."""
        for day, tail in list(self._tails.items()):
            is_named = tail.is_named()
            yield from tail.lines(query)
            if not is_named:  # what was written before it was closed has been read now
                yield from tail.end(query)
                del self._tails[day]
                self._note(tail)
        for file in self._log.files():
            current = self._tails.get(file.day)
            if current is not None and not current.is_named():  # it was closed a moment ago: the next call reads its end
                continue
            if file.is_open and current is None:
                self._begin(file)
                if file.day in self._tails:
                    yield from self._tails[file.day].lines(query)
            elif not file.is_open and place(file) not in self._done:
                self._done.add(place(file))
                yield from self._log.of(file, query)

    def close(self) -> None:
        for tail in self._tails.values():
            tail.close()

    def _begin(self, file: DayFile, *, at_end: bool = False) -> None:
        with contextlib.suppress(OSError):
            self._tails[file.day] = _Tail(self._log.folder / file.name, file.day, at_end=at_end)

    def _note(self, tail: "_Tail") -> None:
        """Note which closed file this one is now: it has been read.

        If it is already compressed, its inode is another one. Then it is the first new file of its day.
        """
        for file in self._log.files():
            if file.day == tail.day and not file.is_open and place(file) not in self._done:
                if file.packed or tail.is_file(self._log.folder / file.name):
                    self._done.add(place(file))
                return


class _Tail:
    """One file that is written."""

    def __init__(self, path: Path, day: str, *, at_end: bool) -> None:
        self.day = day
        self._path = path
        self._file = open_plain(path)
        self._identity = os.fstat(self._file.fileno())
        self._rest = b""
        if at_end:
            self._file.seek(0, os.SEEK_END)

    def lines(self, query: LogQuery) -> Iterator[LogEntry]:
        """Yield the wanted lines that were written since the last call. An incomplete line waits for its end."""
        if os.fstat(self._file.fileno()).st_size < self._file.tell():  # cut: copytruncate
            self._file.seek(0)
            self._rest = b""
        while data := self._file.read(BLOCK):
            whole, end, self._rest = (self._rest + data).rpartition(b"\n")
            yield from parsed(whole + end, self.day, query)
            if len(self._rest) > MAX_LINE:
                yield from self._flush(query)

    def end(self, query: LogQuery) -> Iterator[LogEntry]:
        """Yield what is left, and close the file."""
        yield from self._flush(query)
        self.close()

    def close(self) -> None:
        self._file.close()

    def is_named(self) -> bool:
        """Return whether the file still has its name."""
        return self.is_file(self._path)

    def is_file(self, path: Path) -> bool:
        """Return whether the file has this name."""
        try:
            return os.path.samestat(self._identity, path.stat())
        except OSError:
            return False

    def _flush(self, query: LogQuery) -> Iterator[LogEntry]:
        yield from parsed(self._rest, self.day, query)
        self._rest = b""
