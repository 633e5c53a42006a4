"""The Server Log: one log of all processes, each line `HH:MM:SS.mmm L TAG text`, or JSON.

Every process has multiprocessing-logging's handler on its root logger, over a channel of our own. The package's own queue
has one lock for all writers, and a writer that is killed keeps it. A SEQPACKET pair has no lock and no partial
record. The receive loop runs in the logger process, so the supervisor has no threads and can always fork.
"""

import logging
import os
import queue
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import TextIO

import msgspec
from multiprocessing_logging import MultiProcessingHandler

from enqueuer.log import logline
from enqueuer.log.logfile import LogWriter
from filterlink.config.settings import LEVELS

__all__ = ["MAJOR", "LogHandler", "LogWriter", "install", "message_tag", "set_level", "tell"]

MAJOR = LEVELS["major"]
_AT_ONCE = frozenset(level for name, level in LEVELS.items() if name in ("crashes", "failures", "problems"))
"""Levels of lines that report a problem: they are sent at once, with all gathered lines."""
MAX_RECORD = 150_000
"""Bytes that are sent at once: the kernel refuses a SEQPACKET record of more than about 212 kB."""
GATHER_TIME = 0.010
NEVER = 3600.0
"""Seconds until gathered lines are sent."""
GATHERED = 10_000
"""Characters of gathered lines at which they are sent."""
PATIENCE = struct.pack("ll", 1, 0)
"""How long (1 s) a process that may wait does wait for a full channel. Then its record is dropped and counted."""
TURN = 30.0
"""Seconds after which an idle logger looks at its files: a day may have ended."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[logline.Line]).decode
_room = memoryview(bytearray(1 << 18))
"""A buffer for what is being read: to allocate it each time would cost more than a line."""


def message_tag(id: int, word: str = "QUEUE") -> dict[str, str]:
    """Return the `extra=` for a record about one message: its tag is QUEUE([id]), or DOOR([id]) for one that an MTA keeps."""
    return {"tag": f"{word}([{id}])"}


def tell(log: logging.Logger, id: int, text: str, word: str = "QUEUE") -> None:
    """Do what `log.log(MAJOR, "%s", text, extra=message_tag(id))` does, in a tenth of its time: every message has two such lines."""
    handlers = logging.root.handlers
    if len(handlers) != 1 or not isinstance(handlers[0], LogHandler):
        log.log(MAJOR, "%s", text, extra=message_tag(id, word))
    elif log.isEnabledFor(MAJOR):
        handlers[0].channel.put(logline.Line(time.time(), MAJOR, message_tag(id, word)["tag"], logline.encodable(text)))


class _Channel:
    """The queue that multiprocessing-logging asks for, on a SEQPACKET pair."""

    def __init__(self) -> None:
        self.reader, self.writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, PATIENCE)
        self.writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.waits = True
        self.control = -1
        """Readable when the supervisor has something to say. `obey` reads it, and returns False if the logger must end."""
        self.obey: Callable[[], bool] = lambda: False
        self.look: Callable[[], None] = lambda: None
        """Called at each turn, and each TURN seconds."""
        self._ending = False
        self.gathers = False
        """flush() sends lines together, except those that report a problem."""
        self._lines: list[logline.Line] = []
        self._size = 0
        self._dropped = 0

    def put_nowait(self, record: logging.LogRecord) -> None:
        self.put(logline.line_of(record))

    def put(self, line: logline.Line) -> None:
        self._lines.append(line)
        self._size += len(line.text) + len(line.trace or "")
        if not self.gathers or line.level in _AT_ONCE or self._size > GATHERED:
            self.flush()

    @property
    def empty(self) -> bool:
        """Return whether no line waits to be sent."""
        return not self._lines

    @property
    def due(self) -> float:
        """Return the seconds until gathered lines must be sent."""
        return self._lines[0].created + GATHER_TIME - time.time() if self._lines else NEVER

    def flush(self) -> None:
        """Send the gathered lines as one record of the channel."""
        if not self._lines:
            return
        lines = self._lines
        self._lines = []
        self._size = 0
        data = _encode(lines)
        if len(data) > MAX_RECORD:  # only one long line exceeds it, and that is cut when it is shown
            data = _encode([logline.cut(line) for line in lines])
        if self._dropped and self._send(_encode([_gap(self._dropped)])):
            self._dropped = 0
        if self._dropped or not self._send(data):
            self._dropped += len(lines)

    def get(self, timeout: float) -> list[logline.Line]:
        """Return the next lines. It may wait longer than `timeout`: `control` reports the end, and an idle logger should sleep."""
        self.look()
        watched = [self.reader.fileno()] if self.control < 0 else [self.reader.fileno(), self.control]
        ready = select.select(watched, [], [], 0 if self._ending else max(timeout, TURN))[0]
        if self.control in ready and not self._ending:
            self._ending = not self.obey()
        if self.reader.fileno() not in ready:
            raise EOFError if self._ending else queue.Empty
        return _decode(_room[: self.reader.recv_into(_room)])

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


def _gap(count: int) -> logline.Line:
    text = f"{count} log lines of this process were lost here: the log could not be written fast enough"
    return logline.Line(time.time(), logging.WARNING, "LOG", f"{text} (pid {os.getpid()})")


class LogHandler(MultiProcessingHandler):  # type: ignore[misc]
    """Sends records to the logger process. Made once, before the first fork.

    The package's own __init__ is not called: it makes a semaphore, which needs a writable /dev/shm, and starts a thread.
    """

    def __init__(self, writer: LogWriter) -> None:
        logging.Handler.__init__(self)
        self.sub_handler = self.writer = writer
        self.setFormatter(writer.formatter)
        self._is_closed = False
        self.queue = self.channel = _Channel()

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self.sub_handler.close()
            logging.Handler.close(self)

    def configure(self, level: str, *, json: bool, full: int) -> None:
        """Take settings of the config file: the level, the format, and the bytes at which a file is closed."""
        set_level(level)
        self.writer.configure(json=json, full=full)

    def serve(self, control: int, obey: Callable[[], bool] = lambda: False) -> None:
        """Write the lines that come. Only the logger process calls it.

        When `control` is readable, `obey` is called. If it returns False, the log ends when nothing is left.
        """
        self.channel.control = control
        self.channel.obey = obey
        self.channel.look = self.writer.look
        MultiProcessingHandler._receive(self)

    def drain(self) -> None:
        """Write what is in the channel now. Only in a supervisor without a logger."""
        self.channel.flush()
        while self.channel.qsize():
            self.writer.emit(self.channel.get(0))

    def in_child(self, *, waits: bool, gathers: bool = False) -> None:
        """Set up the handler in a process that only sends. `waits`: it may wait up to a second for a full channel, else it drops the
        record at once.

        `gathers`: the process has a loop, and calls flush_due() at each turn.
        """
        self.channel.reader.close()
        self.channel.waits = waits
        self.channel.gathers = gathers

    @property
    def due(self) -> float:
        """Return the seconds until flush_due() has something to do."""
        return self.channel.due

    def flush_due(self, *, at_once: bool = False) -> bool:
        """Send lines that have waited for GATHER_TIME, or all of them if `at_once`. Return True if nothing waits."""
        if self.channel.empty:
            return True
        if at_once or self.channel.due <= 0:
            self.flush()
        return self.channel.empty

    def flush(self) -> None:
        self.acquire()
        try:
            self.channel.flush()
        finally:
            self.release()


def install(writer: LogWriter, level: str) -> LogHandler:
    """Send all log records of this process, and of those forked from it, to the logger process."""
    handler = LogHandler(writer)
    handler.channel.waits = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # do not collect what our lines never show (the logging module's documentation, "Optimization")
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    set_level(level)
    return handler


def set_level(level: str) -> None:
    """Set a level of the config file. Lines of that level are included."""
    logging.getLogger().setLevel(LEVELS[level])


def terminal() -> TextIO | None:
    """Return standard error if it is a terminal."""
    return sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None
