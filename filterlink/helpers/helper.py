"""Run one helper process: start it, feed it line by line, read it to its end, reap it. The runner decides when.

No action of a helper may raise here: a closed pipe, a flood and a child that holds the output open all lead to `ended`.
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
"""Bytes of one read. Then the loop serves the others."""
REST = 3.0
"""A helper that fills a whole read is not read again for this many times the duration of the read. So a helper that floods
gets at most a quarter of the loop. Answers of correct helpers do not come near this."""
ONE_LINE = 4096
"""Bytes of a pipe with which "writable" means "drained". Some published helpers poll the pipe and then read one line through
a buffer: a second line in the pipe stalls them until a third line comes."""
LAST_READS = 8
"""Reads of a dead helper's stderr: the content of a full pipe, but not the endless output of its children."""
LINGER = 10.0
"""Seconds for which a dead helper's output is still read: its children may answer for it, but a daemon must not hold it open."""
WHOLE = select.PIPE_BUF
"""Bytes that a pipe takes whole or not at all: the most in one write if several lines may be in the pipe at once."""
SWEEP = 0.1
"""Seconds between two searches for processes of an ended helper, while there are any."""
DEAF = 1.0
"""Seconds in which a helper that closed its input or output must end: it is useless from then on."""
_EMPTY = b"\0\0\0\0"
Line = tuple[bytes, int]
"""A line, and the number of its request; 0 for all other commands."""


class User(Protocol):
    """The owner of a helper."""

    def events(self, events: list[Event]) -> None: ...
    def errors(self, data: bytes) -> None: ...
    def written(self, lines: list[Line]) -> None: ...
    def leaving(self) -> None: ...
    def deaf(self, how: str) -> None: ...
    def ended(self, status: int) -> None: ...


class Helper:
    """A running helper program in its own process group. The constructor raises OSError if it cannot be started."""

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
        self._drained = False  # the first "writable" event sets it
        self._dead = False
        self._input, self._output, self._errors = (pipe.fileno() for pipe in (process.stdin, process.stdout, process.stderr))
        self._open = {self._input: process.stdin, self._output: process.stdout, self._errors: process.stderr}
        self._pidfd = -1
        self._timer = loop.after(0, lambda: None)
        try:
            self._watch()
        except Exception:  # for example, no descriptor is left: a process that is not watched must not run
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

    # Orders of the owner

    def send(self, line: bytes, number: int = 0) -> None:
        """Write a line in this turn of the loop, or as soon as the pipe has room. Do nothing if the input is closed.

        Each line is one write. With pipelining the lines of one turn are one write, as far as a pipe takes them whole.
        """
        if self._input in self._open:
            if self._drained and not self._unsent:
                self._loop.soon(self._write)
            self._unsent.append((line, number))

    def take_back(self, number: int) -> bool:
        """Remove the line of this request if it is not yet written; return whether it was there."""
        found = next((line for line in self._unsent if line[1] == number), None)
        if found is not None:
            self._unsent.remove(found)
        return found is not None

    def read_with(self, reader: Reader) -> None:
        """Replace the reader that makes the events. Call this before the first turn of the loop."""
        self._reader = reader

    def forget_unsent(self) -> None:
        self._unsent.clear()

    def close_input(self) -> None:
        """Write what the pipe has room for, then close the input."""
        self._write()
        self._close_input()

    def _close_input(self) -> None:
        self._unsent.clear()
        self._drained = False
        self._close(self._input)

    def signal(self, number: int) -> None:
        """Signal the whole process group. Even a dead leader is not reaped yet, so no other process can have its number."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:  # the helper moved to another group
                os.kill(self.pid, number)

    def give_up(self, then: Callable[[], None]) -> bool:
        """Stop serving a process that SIGKILL does not end. `then` is called when it has ended and is reaped.

        Return False if it had already ended and only its children held its output: then `ended` has now been called.
        """
        if self._dead:
            self._finish()
            return False
        self._user = NoUser(then)
        for fd in list(self._open):
            self._close(fd)
        self._timer.cancel()
        return True

    # Events of the pipes

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
        """Remove and return the lines of the next write."""
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
        """Wait DEAF seconds for the end of the helper, which usually follows at once. Else the owner must end it."""
        self._user.leaving()
        if not self._dead:
            self._timer.cancel()
            self._timer = self._loop.after(DEAF, lambda: self._user.deaf(how))

    def _rest(self, fd: int, since: float) -> None:
        """Stop reading for a while from a helper that writes too much."""

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
        """End the rest of the process group after all is read, reap, and report."""
        for _ in range(LAST_READS):
            if self._errors in self._open:
                self._complaining(0)
        self._user.ended(self._give_back())

    def _give_back(self) -> int:
        """Release everything: processes of the group, descriptors, the zombie. Return the exit status."""
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
        """End the orphans until none is left. While the kernel holds one, this repeats every SWEEP seconds."""
        if orphans.end(self.pid, self._mark):
            self._loop.after(SWEEP, self._end_orphans)

    def _close(self, fd: int) -> None:
        if (pipe := self._open.pop(fd, None)) is not None:
            self._loop.forget(fd)
            pipe.close()
