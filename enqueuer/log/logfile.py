"""The file of the Server Log: YYYY-MM-DD.log, written by the logger process alone.

A file is closed, by a rename to the next number of its day, when it is full, or a minute after its day (dayfiles.py has the names). The
minute is for late lines of that day.

At each write the logger opens the file again if its name now means another file. So a rotation by rename needs no signal. A line is
written whole or not at all. A line that a full disk has cut ends with a line end before the next line. The log counts lost lines.

What ends the logger: see supervisor/logger.py. A full disk or an unwritable folder does not end it. The lines are lost, and a line says
how many when it can be written again.
"""

import contextlib
import itertools
import logging
import os
import stat
import time
from collections.abc import Callable
from typing import TextIO

from enqueuer.log import dayfiles, logline
from enqueuer.queue.message.timestamps import day

__all__ = ["Formatter", "LogWriter"]


LATE = 60.0
"""Seconds after midnight for which the file of the last day stays open."""
LOOK = 10.0
"""Seconds between two looks for files whose day has passed."""


class Formatter(logging.Formatter):
    """Formats `HH:MM:SS.mmm L TAG text`. A traceback follows its line, each line with the same head. Control characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        return logline.shown(logline.line_of(record))


class LogWriter(logging.Handler):
    """Writes SystemLogs/YYYY-MM-DD.log, a new file each day, and also a terminal if there is one. `closed` is called when a file was
    closed.
    """

    def __init__(self, folder: str, terminal: TextIO | None = None) -> None:
        super().__init__()
        self.setFormatter(Formatter())
        self._folder = folder
        self._terminal = terminal
        self._path = ""
        self._file = -1
        self._lost = 0
        self._torn = False
        self._json = False
        self._full = 0
        self._looked = -LOOK
        self.closed: Callable[[], None] = lambda: None

    def configure(self, *, json: bool, full: int) -> None:
        """`full`: bytes at which a file is closed, 0 = only by its day."""
        self._json = json
        self._full = full

    def emit(self, record: logging.LogRecord | list[logline.Line]) -> None:
        """Write a record, or lines that came together. A full disk loses them, but does not end the process."""
        lines = record if isinstance(record, list) else [logline.line_of(record)]
        first = day(int(lines[0].created))
        if first == day(int(lines[-1].created)):
            self._write_day(first, lines)
        else:  # lines that came together around midnight
            for date, part in itertools.groupby(lines, lambda line: day(int(line.created))):
                self._write_day(date, list(part))
        if self._terminal is not None:
            with contextlib.suppress(OSError, ValueError):
                self._terminal.write("".join(logline.shown(line) + "\n" for line in lines))
                self._terminal.flush()

    def look(self) -> None:
        """Close the files whose day has passed, if the last look was some time ago. The logger calls it at each turn of its loop."""
        if time.monotonic() - self._looked >= LOOK:
            self._looked = time.monotonic()
            self.close_days(time.time())

    def close_days(self, now: float) -> None:
        """Close the files whose day ended more than a minute ago."""
        with contextlib.suppress(OSError):
            today = day(int(now - LATE))
            for file in dayfiles.in_order(os.listdir(self._folder)):
                if file.is_open and file.day < today:
                    self._close_file(f"{self._folder}/{file.name}")

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._path = ""
            self._file = -1
        super().close()

    def _write_day(self, date: str, lines: list[logline.Line]) -> None:
        self._write(f"{self._folder}/{date}.log", "".join(self._shown(line) + "\n" for line in lines))

    def _write(self, path: str, text: str) -> None:
        try:
            self._open(path)
        except OSError:
            self._lost += text.count("\n")
            return
        before = ("\n" if self._torn else "") + (self._shown(_gap(self._lost)) + "\n" if self._lost else "")
        data = (before + text).encode()
        try:
            if self._is_full(len(data)) and self._close_file(path):
                self._open(path)
            left = _written(self._file, data)
        except OSError:
            left = data
        done = len(data) - len(left)
        if done:
            self._torn = not data[:done].endswith(b"\n")
        if done >= len(before.encode()):
            self._lost = 0
        self._lost += min(left.count(b"\n"), text.count("\n"))

    def _shown(self, line: logline.Line) -> str:
        return logline.in_json(line) if self._json else logline.shown(line)

    def _is_full(self, more: int) -> bool:
        """Return whether the open file would be too large with this many bytes more. An empty one takes any line."""
        return bool(self._full) and (size := os.fstat(self._file).st_size) > 0 and size + more > self._full

    def _close_file(self, path: str) -> bool:
        """Give a file the next number of its day, so that it never changes again. Return False if that cannot be done.

        A symbolic link or a device under the file's name is the administrator's choice, and stays.
        """
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                return False
            names = os.listdir(self._folder)
            made = dayfiles.DayFile(os.path.basename(path).removesuffix(".log"))
            os.rename(path, f"{self._folder}/{made._replace(number=dayfiles.next_number(names, made.day)).name}")
        except OSError:  # the next lines go on into the same file
            return False
        self.closed()
        return True

    def _open(self, path: str) -> None:
        """Open the file of this name if it is not the open one: the day may be another, or the file was moved away. Raises OSError."""
        if path == self._path and _is(path, self._file):
            return
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if self._file >= 0:
            os.close(self._file)
        self._path = path
        self._file = opened
        self._torn = _ends_in_a_line(path)


def _ends_in_a_line(path: str) -> bool:
    """Return whether the last line of a file has no end: a logger was killed while it wrote."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_CLOEXEC)) as file:
            return file.seek(0, os.SEEK_END) > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
    except OSError:
        return False


def _is(path: str, file: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except OSError:
        return False


def _written(file: int, data: bytes) -> bytes:
    """Write as much as there is room for; return the rest."""
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(file, data) :]
    return data


def _gap(count: int) -> logline.Line:
    text = f"{count} log lines were lost here: the log could not be written (is the disk full?)"
    return logline.Line(time.time(), logging.WARNING, "LOG", text)
