"""The file of the Server Log: one a day, written by the logger process alone.

The file is opened by its name at each write if the name now means another file, so a rotation by rename needs no signal. A line is
written whole or not at all. A line that a full disk has cut ends with a line end before the next line. The log counts lost lines.

What ends the logger: the end of all other processes at a stop; any exception but OSError while it writes. What it does not end for: a
full disk, or an unwritable folder. The lines are lost, and the next line that can be written announces how many.
"""

import contextlib
import logging
import os
import time
from typing import TextIO

from enqueuer.log import logline
from enqueuer.queue.message.timestamps import day

__all__ = ["Formatter", "LogWriter"]


class Formatter(logging.Formatter):
    """Formats `HH:MM:SS.mmm L TAG text`. A traceback follows its line, each line with the same head. Control characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        return logline.shown(logline.line_of(record))


class LogWriter(logging.Handler):
    """Writes SystemLogs/YYYY-MM-DD.log, a new file each day, and also a terminal if there is one."""

    def __init__(self, folder: str, terminal: TextIO | None = None) -> None:
        super().__init__()
        self.setFormatter(Formatter())
        self._folder = folder
        self._terminal = terminal
        self._path = ""
        self._file = -1
        self._lost = 0
        self._torn = False

    def emit(self, record: logging.LogRecord | list[logline.Line]) -> None:
        """Write a record, or lines that came together. A full disk loses them, but does not end the process."""
        lines = record if isinstance(record, list) else [logline.line_of(record)]
        text = "".join(logline.shown(line) + "\n" for line in lines)
        self._write(f"{self._folder}/{day(int(lines[0].created))}.log", text)
        if self._terminal is not None:
            with contextlib.suppress(OSError, ValueError):
                self._terminal.write(text)
                self._terminal.flush()

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._path = ""
            self._file = -1
        super().close()

    def _write(self, path: str, text: str) -> None:
        before = ("\n" if self._torn else "") + (_gap(self._lost) if self._lost else "")
        data = (before + text).encode()
        try:
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

    def _open(self, path: str) -> None:
        """Open the file of this name if it is not the open one: the day may be another, or the file was moved away. Raises OSError."""
        if path == self._path and _is(path, self._file):
            return
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if self._file >= 0:
            os.close(self._file)
        self._path = path
        self._file = opened


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


def _gap(count: int) -> str:
    text = f"{count} log lines were lost here: the log could not be written (is the disk full?)"
    return logline.shown(logline.Line(time.time(), logging.WARNING, "LOG", text)) + "\n"
