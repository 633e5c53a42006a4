"""One helper process: started, fed line by line, read to its end, reaped. Mechanism only: when is the runner's business.

Nothing a helper does may raise here: a closed pipe, a flood, a child that holds the output open, all end in `ended`.
"""

import contextlib
import fcntl
import os
import select
import signal
import termios
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from filterlink.helpers.spawn import HelperLimits, spawn
from filterlink.helpers.unkillable import NoUser
from filterlink.process import orphans
from filterlink.process.prctl import adopt_orphans
from filterlink.protocol.protocol import Event as Event
from filterlink.protocol.protocol import Note, Reader
from filterlink.wire.loop import Loop

__all__ = ["Helper", "Line", "User"]

READ_SIZE = 16 << 10
"""One read. Then the loop sees to the others."""
REST = 3.0
"""A helper that fills a whole read is left alone for so many times what the read cost: one that babbles as fast as it can
gets a quarter of the loop at most. Answers of helpers that behave do not come near it."""
ONE_LINE = 4096
"""Pipe size with which "writable" means "drained". Some published helpers poll the pipe and then read one line through a
buffer: a second line in the pipe stalls them until a third one comes."""
LAST_READS = 8
"""Reads of a dead helper's stderr: all that a pipe holds, but not what its children may add for ever."""
LINGER = 10.0
"""A dead helper's children may still answer for it; so long is its output read. A daemon must not hold it for ever."""
WHOLE = select.PIPE_BUF
"""Bytes that a pipe takes whole or not at all: so much goes in one write where lines may stand in the pipe together."""
SWEEP = 0.1
"""Seconds between two looks for what an ended helper left behind, while there is any."""
DEAF = 1.0
"""A helper that closed its input or output is of no use any more; so long it may take to end by itself."""
_EMPTY = b"\0\0\0\0"
Line = tuple[bytes, int]
"""A line, and the number of its request; 0 for all other commands."""


class User(Protocol):
    """Who owns a helper."""

    def events(self, events: list[Event]) -> None: ...
    def errors(self, data: bytes) -> None: ...
    def written(self, lines: list[Line]) -> None: ...
    def leaving(self) -> None: ...
    def deaf(self, how: str) -> None: ...
    def ended(self, status: int) -> None: ...


class Helper:
    """A running helper program in its own process group. Raises OSError when it cannot be started."""

    def __init__(
        self,
        loop: Loop,
        words: Sequence[str],
        pipelining: bool,
        user: User,
        limits: HelperLimits = HelperLimits(),  # noqa: B008 (frozen)
    ) -> None:
        self._mark = orphans.new_mark()
        adopt_orphans()
        process = spawn(words, limits, self._mark)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.pid = process.pid
        orphans.expect(self.pid)
        self._loop = loop
        self._process = process
        self._pipelining = pipelining
        self._user = user
        self._reader = Reader()
        self._unsent: deque[Line] = deque()
        self._drained = False  # the first "writable" says so
        self._dead = False
        self._input, self._output, self._errors = (pipe.fileno() for pipe in (process.stdin, process.stdout, process.stderr))
        self._open = {self._input: process.stdin, self._output: process.stdout, self._errors: process.stderr}
        self._pidfd = -1
        self._timer = loop.after(0, lambda: None)
        try:
            self._watch()
        except Exception:  # no descriptor is left, say: a process that is not watched must not run
            self._give_back()
            raise

    def _watch(self) -> None:
        self._pidfd = os.pidfd_open(self.pid)
        for fd in self._open:
            os.set_blocking(fd, False)
        if not self._pipelining:
            fcntl.fcntl(self._input, fcntl.F_SETPIPE_SZ, ONE_LINE)
        self._loop.watch(self._input, self._writable, select.EPOLLOUT | select.EPOLLET)
        self._loop.watch(self._output, self._readable)
        self._loop.watch(self._errors, self._complaining)
        self._loop.watch(self._pidfd, self._died)

    # What the owner may want

    def send(self, line: bytes, number: int = 0) -> None:
        """Write a line in this turn of the loop, or as soon as the pipe has room for it. Nothing where the input is closed.

        One line is one write; with pipelining the lines of one turn are, as far as a pipe takes them whole.
        """
        if self._input in self._open:
            if self._drained and not self._unsent:
                self._loop.soon(self._write)
            self._unsent.append((line, number))

    def read_with(self, reader: Reader) -> None:
        """Have this reader make the events; before the first turn of the loop."""
        self._reader = reader

    def forget_unsent(self) -> None:
        self._unsent.clear()

    def close_input(self) -> None:
        """Close it once what the pipe has room for is written."""
        self._write()
        self._close_input()

    def _close_input(self) -> None:
        self._unsent.clear()
        self._drained = False
        self._close(self._input)

    def signal(self, number: int) -> None:
        """Signal the whole process group; the dead leader is not reaped yet, so its number is still its own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:  # it moved to another group
                os.kill(self.pid, number)

    def give_up(self, then: Callable[[], None]) -> bool:
        """Hear no more of a process that SIGKILL does not end; `then` is called when it has ended and is reaped.

        False: it had ended already, and only its children were waited for. That is over now, and its owner has heard of it.
        """
        if self._dead:
            self._finish()
            return False
        self._user = NoUser(then)
        for fd in list(self._open):
            self._close(fd)
        self._timer.cancel()
        return True

    # What the pipes say

    def _writable(self, events: int) -> None:
        if events & (select.EPOLLERR | select.EPOLLHUP):
            self._input_ended()
        elif self._pipelining or fcntl.ioctl(self._input, termios.FIONREAD, _EMPTY) == _EMPTY:
            self._drained = True
            self._write()

    def _write(self) -> None:
        while self._drained and self._unsent:
            lines = self._take()
            try:
                os.write(self._input, b"".join([line for line, _ in lines]))
            except BlockingIOError:
                self._unsent.extendleft(reversed(lines))
                self._drained = False
                return
            except OSError:
                self._input_ended()
                return
            self._drained = self._pipelining
            self._user.written(lines)

    def _take(self) -> list[Line]:
        """What goes into the pipe next."""
        count = 0
        room = WHOLE if self._pipelining else 0
        for line, _ in self._unsent:
            room -= len(line)
            if count and room < 0:
                break
            count += 1
        return [self._unsent.popleft() for _ in range(count)]

    def _read(self, fd: int) -> bytes | None:
        try:
            return os.read(fd, READ_SIZE)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def _input_ended(self) -> None:
        self._close_input()
        self._half_closed("closed its input")

    def _half_closed(self, how: str) -> None:
        """Its end follows at once, as a rule; else it has to be ended."""
        self._user.leaving()
        if not self._dead:
            self._timer.cancel()
            self._timer = self._loop.after(DEAF, lambda: self._user.deaf(how))

    def _rest(self, fd: int, since: float) -> None:
        """Let a helper wait that writes more than it should."""

        def resume() -> None:
            if fd in self._open:
                self._loop.modify(fd, select.EPOLLIN)

        self._loop.modify(fd, 0)
        self._loop.after((time.monotonic() - since) * REST, resume)

    def _readable(self, _events: int) -> None:
        now = time.monotonic()
        data = self._read(self._output)
        if data:
            self._user.events(self._reader.feed(data))
            if len(data) == READ_SIZE:
                self._rest(self._output, now)
        elif data is not None:
            self._output_ended()

    def _output_ended(self) -> None:
        self._close(self._output)
        if (rest := self._reader.finish()) is not None:
            self._user.events([rest])
        if self._dead:
            self._finish()
        else:
            self._half_closed("closed its output")

    def _complaining(self, _events: int) -> None:
        now = time.monotonic()
        data = self._read(self._errors)
        if data:
            self._user.errors(data)
            if len(data) == READ_SIZE:
                self._rest(self._errors, now)
        elif data is not None:
            self._close(self._errors)

    def _died(self, _events: int) -> None:
        self._dead = True
        self._loop.forget(self._pidfd)
        self._close_input()
        self._timer.cancel()
        if self._output not in self._open:
            self._finish()
        else:
            self._user.leaving()
            self._timer = self._loop.after(LINGER, self._cut)

    def _cut(self) -> None:
        self._user.events([Note(b"", "its children still hold its output open; they are ended")])
        self._close(self._output)
        self._finish()

    def _finish(self) -> None:
        """All is read: end what is left of the group, reap, tell."""
        for _ in range(LAST_READS):
            if self._errors in self._open:
                self._complaining(0)
        self._user.ended(self._give_back())

    def _give_back(self) -> int:
        """Let nothing be left: no process of the group, no descriptor, no zombie. Return the status."""
        self._timer.cancel()
        if daemons := orphans.daemons(self._mark, self.pid):
            self._user.events([Note(b"", f"it left processes behind, they are ended: {', '.join(map(str, daemons[:10]))}")])
        self.signal(signal.SIGKILL)
        for fd in list(self._open):
            self._close(fd)
        if self._pidfd >= 0:
            self._loop.forget(self._pidfd)
            os.close(self._pidfd)
        status = self._process.wait()
        self._end_orphans()
        return status

    def _end_orphans(self) -> None:
        """Until none is left. A process that the kernel holds is looked at now and then."""
        if orphans.end(self.pid, self._mark):
            self._loop.after(SWEEP, self._end_orphans)

    def _close(self, fd: int) -> None:
        if (pipe := self._open.pop(fd, None)) is not None:
            self._loop.forget(fd)
            pipe.close()
