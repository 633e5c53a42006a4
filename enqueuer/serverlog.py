"""The Server Log: one file a day from all processes, each line `HH:MM:SS.mmm L TAG text`.

Every process has multiprocessing-logging's handler on its root logger, over a channel of ours: the package's own queue has
one lock for all writers, which a SIGKILLed writer holds for ever. A SEQPACKET pair has no lock and no partial record. Its
receive loop runs in the logger process, in no thread, so that the supervisor stays free of threads and can always fork.
"""

import contextlib
import logging
import os
import pickle
import queue
import select
import socket
import struct
import sys
import time
from typing import TextIO

from multiprocessing_logging import MultiProcessingHandler

from filterlink.settings import LEVELS

__all__ = ["MAJOR", "Formatter", "LogHandler", "LogWriter", "install", "message_tag", "set_level"]

MAJOR = LEVELS["major"]
_DIGITS = {level: str(digit) for digit, level in enumerate(LEVELS.values())}
MAX_RECORD = 150_000
"""Bytes of one pickled record; a SEQPACKET record of more than about 212 kB would not be sent."""
MAX_LINE = 8000
"""Characters of one line of the log; what is longer is cut, and says so."""
PATIENCE = struct.pack("ll", 1, 0)
"""How long (1 s) a process that may wait does wait for a full channel, before its record is dropped and counted."""
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(128, 160))}
_CONTROL |= {9: "\\t", 10: "\\n", 13: "\\r", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def message_tag(id: int) -> dict[str, str]:
    """`extra=` for a record about one message: its tag is QUEUE([id])."""
    return {"tag": f"QUEUE([{id}])"}


class Formatter(logging.Formatter):
    """`HH:MM:SS.mmm L TAG text`; a traceback follows its line, each line with the same head. Control characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        head = f"{self._clock(record)} {_digit(record.levelno)} {getattr(record, 'tag', record.name)} "
        texts = [record.getMessage()]
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            texts += record.exc_text.splitlines()
        return "\n".join(_clean(head + text) for text in texts)

    @staticmethod
    def _clock(record: logging.LogRecord) -> str:
        return f"{time.strftime('%H:%M:%S', time.localtime(record.created))}.{int(record.msecs):03d}"


def _digit(level: int) -> str:
    return next((digit for at, digit in _DIGITS.items() if level >= at), "5")


def _clean(line: str) -> str:
    text = line.translate(_CONTROL).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]} ... ({len(text) - MAX_LINE} characters more)"


class LogWriter(logging.Handler):
    """Writes SystemLogs/YYYY-MM-DD.log, a new file each day, and a terminal where there is one."""

    def __init__(self, folder: str, terminal: TextIO | None = None) -> None:
        super().__init__()
        self.setFormatter(Formatter())
        self._folder, self._terminal = folder, terminal
        self._day, self._file = "", -1

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, whole. A disk that is full loses the line, never the process."""
        line = self.format(record) + "\n"
        day = time.strftime("%Y-%m-%d", time.localtime(record.created))
        with contextlib.suppress(OSError):
            if day != self._day:
                self._open(day)
            os.write(self._file, line.encode())
        if self._terminal is not None:
            with contextlib.suppress(OSError, ValueError):
                self._terminal.write(line)
                self._terminal.flush()

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._day, self._file = "", -1
        super().close()

    def _open(self, day: str) -> None:
        path = f"{self._folder}/{day}.log"
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if self._file >= 0:
            os.close(self._file)
        self._day, self._file = day, opened


class _Channel:
    """What multiprocessing-logging asks of a queue, on a SEQPACKET pair."""

    def __init__(self) -> None:
        self.reader, self.writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, PATIENCE)
        self.writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.waits = True
        self.stop_fd = -1  # readable when the logger is to end
        self._dropped = 0

    def put_nowait(self, record: logging.LogRecord) -> None:
        data = pickle.dumps(record, pickle.HIGHEST_PROTOCOL)
        if len(data) > MAX_RECORD:
            record.msg, record.exc_text = str(record.msg)[: MAX_RECORD // 4], None
            data = pickle.dumps(record, pickle.HIGHEST_PROTOCOL)
        if self._dropped and self._send(pickle.dumps(_gap(self._dropped))):
            self._dropped = 0
        if self._dropped or not self._send(data):
            self._dropped += 1

    def get(self, timeout: float) -> logging.LogRecord:
        """The next record. Waits for longer than asked: the end is told by stop_fd, and an idle logger is to sleep."""
        watched = [self.reader.fileno()] if self.stop_fd < 0 else [self.reader.fileno(), self.stop_fd]
        ready = select.select(watched, [], [], max(timeout, 3600.0))[0]
        if self.reader.fileno() not in ready:
            raise queue.Empty if self.stop_fd < 0 else EOFError
        record: logging.LogRecord = pickle.loads(self.reader.recv(1 << 18))
        return record

    def qsize(self) -> int:
        return len(select.select([self.reader], [], [], 0)[0])

    def close(self) -> None:
        pass

    def join_thread(self) -> None:
        pass

    def _send(self, data: bytes) -> bool:
        try:
            self.writer.send(data, socket.MSG_NOSIGNAL | (0 if self.waits else socket.MSG_DONTWAIT))
        except OSError:
            return False
        return True


def _gap(count: int) -> logging.LogRecord:
    text = f"{count} log lines of this process were lost here: the log could not be written fast enough"
    return logging.LogRecord("LOG", logging.WARNING, __file__, 0, f"{text} (pid {os.getpid()})", None, None)


class LogHandler(MultiProcessingHandler):  # type: ignore[misc]
    """Sends records to the logger process. Made once, before the first fork; it starts no thread that lives on."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__("server-log", writer)
        self._receive_thread.join()  # ends at once: _receive below does nothing
        self.queue.close()
        self.channel = _Channel()
        self.queue: _Channel = self.channel

    def _receive(self) -> None:
        """Not in a thread: serve() is called by the logger process."""

    def serve(self, stop_fd: int) -> None:
        """Write what comes until `stop_fd` is readable and nothing is left. In the logger process only."""
        self.channel.stop_fd = stop_fd
        MultiProcessingHandler._receive(self)

    def in_child(self, *, waits: bool) -> None:
        """In a process that only sends. `waits`: it may wait up to a second for a full channel, else it drops at once."""
        self.channel.reader.close()
        self.channel.waits = waits


def install(writer: LogWriter, level: str) -> LogHandler:
    """Send everything that is logged in this process, and in those forked from it, to the logger process."""
    handler = LogHandler(writer)
    handler.channel.waits = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)
    return handler


def set_level(level: str) -> None:
    """Take a level of the config file; the digit is inclusive."""
    logging.getLogger().setLevel(LEVELS[level])


def terminal() -> TextIO | None:
    """Standard error, where somebody looks at it."""
    return sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None
