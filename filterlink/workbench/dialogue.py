"""Talk with one helper process: send commands, track open requests, collect answers. The test bench decides which command comes when.

A dialogue uses the same Helper class as the multiplexer. It reports each broken rule to the referee.
"""

import math
import signal
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from filterlink.helpers.helper import Helper, Line
from filterlink.helpers.spawn import HelperLimits, fault
from filterlink.protocol import protocol
from filterlink.protocol.protocol import Event, HelperReply, Note, Reader
from filterlink.protocol.referee import LONGEST, Referee
from filterlink.wire.loop import Loop

__all__ = ["Dialogue", "FileCommand", "HelperCannotStart", "MessageFiles", "Watch"]

ENDING = 5.0
"""Seconds in which a killed process must end."""
PIPE = 64 << 10
"""Bytes of stderr that a pipe takes before it blocks the writer."""
TAIL = 1024
TURN = 0.05


class HelperCannotStart(Exception):
    """The helper program cannot be started. The text says why."""


class MessageFiles(Protocol):
    """The source of the message files."""

    def take(self, index: int) -> str:
        """Make the file for this request; return its path for the FILE command."""
        ...

    def back(self, path: str) -> bool:
        """Put the file away; return False if the helper changed it."""
        ...


class Watch(Protocol):
    """An observer of the dialogue."""

    def line(self, direction: str, line: bytes) -> None:
        """Show a line that went to the helper (`>`) or came from it (`<` its output, `!` its stderr)."""

    def answer(self, index: int, reply: HelperReply | None, seconds: float) -> None:
        """Show the end of a request; `reply` None: it was not answered."""


class FileCommand:
    """A FILE command. `index` is below 0 for requests that the bench adds itself."""

    __slots__ = ("index", "lent", "path", "reply", "since")

    def __init__(self, index: int, path: str, lent: bool = True) -> None:
        self.index = index
        self.path = path
        self.lent = lent
        self.since = math.inf
        self.reply: HelperReply | None = None


class _Tap(Reader):
    """A reader that shows each line unchanged."""

    def __init__(self, seen: Callable[[bytes], None]) -> None:
        super().__init__()
        self._seen = seen
        self._rest = b""

    def feed(self, data: bytes) -> list[Event]:
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[: 2 * LONGEST]
        for line in lines:
            self._seen(line)
        return super().feed(data)


class Dialogue:
    """One helper process at a time, and its open requests."""

    def __init__(self, words: list[str], pipelining: bool, limits: HelperLimits, files: MessageFiles, watch: Watch) -> None:
        self.referee = Referee()
        self.open: dict[int, FileCommand] = {}
        self.answered: set[int] = set()
        """Numbers of the requests that this process answered."""
        self.status: int | None = None
        self.killed = False
        """True: we killed it, so its end is not its fault."""
        self.last_words = b""
        self._words = words
        self._pipelining = pipelining
        self._limits = limits
        self._files = files
        self._watch = watch
        self._loop = Loop()
        self._helper: Helper | None = None
        self._number = self._noise = 0
        self._complaint = b""

    @property
    def is_gone(self) -> bool:
        return self._helper is None

    def begin(self) -> None:
        """Start a process. Raises HelperCannotStart."""
        self.answered.clear()
        self.referee.begin()
        self.status = None
        self.killed = False
        self._noise = 0
        try:
            self._helper = Helper(self._loop, self._words, self._pipelining, self, self._limits)
        except OSError as error:
            account = f" as {self._limits.user}" if self._limits.user else ""
            raise HelperCannotStart(f"cannot be started{account}: {fault(error)}") from error
        self._helper.read_with(_Tap(self._line))

    def close(self) -> None:
        self.kill()
        self._loop.close()

    def turn(self) -> None:
        self._loop.turn(TURN)

    def until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Turn the loop until the condition is true; return False after this many seconds."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            self.turn()
        return True

    # Commands to the helper

    def ask(self, verb: str, argument: str, seconds: float) -> bool:
        """Send any command except FILE; return True if it is answered in time."""
        number = self.number(verb)
        self.send(" ".join(filter(None, (str(number), verb, argument))).encode() + b"\n")
        self.until(lambda: number in self.answered or self.is_gone, seconds)
        if number not in self.answered:
            self.referee.dropped(number)
        return number in self.answered

    def number(self, verb: str) -> int:
        self._number += 1
        self.referee.sent(self._number, verb)
        return self._number

    def request(self, index: int) -> FileCommand:
        """Return a new request about a new message file."""
        return FileCommand(index, self._files.take(max(0, index)))

    def ask_file(self, request: FileCommand) -> None:
        self.send(self.opened(request), self._number)

    def opened(self, request: FileCommand) -> bytes:
        """Open the request; return its line."""
        number = self.number("FILE")
        self.open[number] = request
        request.since = time.monotonic()
        return protocol.file(number, request.path)

    def drop(self, numbers: Iterable[int]) -> None:
        """Stop waiting for these answers."""
        for number in numbers:
            self.referee.dropped(number)
            if (request := self.open.pop(number, None)) is not None:
                self._close(request, math.inf)

    def send(self, lines: bytes, number: int = 0) -> None:
        """Send lines in one write."""
        for line in lines.splitlines():
            self._watch.line(">", line)
        if self._helper is not None:
            self._helper.send(lines, number)

    def close_input(self) -> None:
        if self._helper is not None:
            self._helper.close_input()

    def kill(self) -> None:
        if self._helper is not None:
            self._signal()
            self.until(lambda: self.is_gone, ENDING)

    def _signal(self) -> None:
        self.killed = True
        if self._helper is not None:
            self._helper.signal(signal.SIGKILL)

    def _close(self, request: FileCommand, seconds: float) -> None:
        if request.lent and not self._files.back(request.path):
            self.referee.blame("queue-file", request.path)
        if request.index >= 0:
            self._watch.answer(request.index, request.reply, seconds)

    # Reports of the helper (helper.User)

    def _line(self, line: bytes) -> None:
        self._watch.line("<", line)
        self.referee.line(line)

    def events(self, events: list[Event]) -> None:
        for event in events:
            self._event(event)

    def _event(self, event: Event) -> None:
        if isinstance(event, Note):
            if event.complaint.startswith("ended in the middle"):
                self._watch.line("<", event.line)
                self.referee.blame("whole-line", repr(event.line[:TAIL])[1:])
            return
        self.answered.add(event.number)
        request = self.open.pop(event.number, None)
        if request is not None:
            request.reply = event if isinstance(event, HelperReply) else None
            seconds = time.monotonic() - request.since
            self.judged(request, seconds)
            self._close(request, seconds)

    def judged(self, request: FileCommand, seconds: float) -> None:
        """Note an answered request. TestBench overrides this."""

    def errors(self, data: bytes) -> None:
        self.last_words = (self.last_words + data)[-TAIL:]
        *lines, rest = (self._complaint + data).split(b"\n")
        self._complaint = rest[:TAIL]
        for line in lines:
            self._watch.line("!", line)
        if self._noise <= PIPE < self._noise + len(data):
            self.referee.blame("stderr", f"more than {PIPE} bytes")
        self._noise += len(data)

    def written(self, lines: list[Line]) -> None:
        for _, number in lines:
            if (request := self.open.get(number)) is not None:
                request.since = time.monotonic()

    def leaving(self) -> None:
        """Ignore this report: `ended` follows."""

    def deaf(self, how: str) -> None:
        self.referee.blame("pipes", f"it {how}, but did not end")
        self._signal()

    def ended(self, status: int) -> None:
        self.status = status
        self._helper = None
