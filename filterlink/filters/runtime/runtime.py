"""The base of every filter we ship: a helper of the CommuniGate External Filter protocol on stdin and stdout.

A filter is a function from the path of a queue file to a Verdict. `serve` does the rest: many requests at the same time
in a bounded number of workers, answers in any order, one write a line, QUIT and end of input. Large messages get
at most half of the workers, so that small ones never wait for them. It also works with commands typed by hand.
"""

import contextlib
import functools
import importlib.metadata
import os
import select
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from filterlink.filters.runtime import check
from filterlink.filters.runtime.lines import MAX_LINE, Lines
from filterlink.filters.runtime.queuefile import QueueFile, open_at_message, open_message
from filterlink.filters.runtime.verdict import Verdict, discard, error, header, ok, quote, rejected, reply
from filterlink.filters.runtime.workers import NO_BOUNDS, Judge, ScanBounds, ThreadWorker, Unreadable, WorkerProcess, internal

__all__ = [
    "Judge",
    "QueueFile",
    "ScanBounds",
    "Unreadable",
    "Verdict",
    "discard",
    "error",
    "header",
    "ok",
    "open_at_message",
    "open_message",
    "rejected",
    "say",
    "serve",
    "serve_threads",
]

VERSION = 4
"""The newest interface version that we speak."""
MAX_NUMBER = 64
MAX_WAITING = 1000
"""Requests taken but not begun. With more, the pipe is not read. A server sends its max_in_flight, some tens."""
LARGE = 1 << 20
"""Bytes; larger files share half of the workers."""
QUIT_GRACE = 10.0
"""Seconds between our answer to QUIT and our end, if the server does not close our standard input."""
_INTERNAL = reply(internal("")).rstrip(b'"')
_output = threading.Lock()
"""Held while a line is written to standard output, so that each line stays whole."""


class FilterRequest(NamedTuple):
    """A FILE command that waits for its verdict."""

    number: bytes
    path: bytes
    large: bool


def serve(name: str, judge: Judge, workers: int = 0, renewed: Callable[[], bool] = bool, bounds: ScanBounds = NO_BOUNDS) -> int:
    """Run the helper program `name` until standard input ends, with `workers` processes that scan (0 = by the processors).

    `bounds` limits each message.

    `renewed` is called before work is given out: if it returns True, `judge` is another one now, and new processes replace the
    old ones, which first give their answers. Return the exit code.
    """
    if check.only():
        return check.passed()
    return _serve(name, _Helper(judge, workers or max(4, os.cpu_count() or 1), functools.partial(WorkerProcess, bounds=bounds), renewed))


def serve_threads(name: str, judge: Judge, threads: int) -> int:
    """Run the helper program `name` in the same way with threads, for a `judge` that waits for a server."""
    if check.only():
        return check.passed()
    return _serve(name, _Helper(judge, threads, ThreadWorker))


def say(text: str) -> None:
    """Send the server's log a line that belongs to no request. For threads; a worker process uses stderr."""
    _write(b"* " + " ".join(text.split()).encode("utf-8", "replace")[:MAX_LINE])


def _serve(name: str, helper: "_Helper") -> int:
    with contextlib.suppress(ImportError):
        from setproctitle import setproctitle

        setproctitle(f"enqueuer: filter {name}")
    try:
        helper.run(f"enqueuer filter {name} {_version()} ready")
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return os.EX_IOERR  # the server does not read our answers any more
    finally:
        helper.close()
    return os.EX_OK


def _version() -> str:
    try:
        return importlib.metadata.version("enqueuer")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


class _Helper:
    """The loop between standard input, the workers and standard output."""

    def __init__(
        self, judge: Judge, most: int, hire: Callable[[Judge, list[WorkerProcess]], WorkerProcess], renewed: Callable[[], bool] = bool
    ) -> None:
        self._judge = judge
        self._most = most
        self._hire = hire
        self._renewed = renewed
        self._input = Lines()
        self._version = VERSION
        self._waiting: dict[bool, deque[tuple[int, FilterRequest]]] = {False: deque(), True: deque()}
        self._taken = 0
        self._faults = 0
        self._idle: list[WorkerProcess] = []
        self._busy: dict[WorkerProcess, FilterRequest] = {}
        self._old: set[WorkerProcess] = set()
        self._ready = selectors.PollSelector()  # epoll refuses a plain file as standard input
        self._reading = False
        self._quit: bytes | None = None
        self._end = float("inf")

    def run(self, greeting: str) -> None:
        _write(f"* {greeting}".encode())
        while not self._done():
            self._read_while_room()
            pause = self._end - time.monotonic()
            for key, _ in self._ready.select(None if pause == float("inf") else max(0.0, pause)):
                if key.fileobj == 0:
                    self._read()
                else:
                    self._finish(key.data)
            self._begin()

    def close(self) -> None:
        for worker in (*self._idle, *self._busy):
            worker.end()
        self._ready.close()

    def _waits(self) -> int:
        return len(self._waiting[False]) + len(self._waiting[True])

    def _done(self) -> bool:
        """Return whether it is time to end. Answer a QUIT as soon as no request is open."""
        if self._busy or self._waits():
            return False
        if self._quit is not None:
            _write(self._quit + b" OK")
            self._quit = None
            self._end = time.monotonic() + QUIT_GRACE
        return self._input.ended or time.monotonic() >= self._end

    # Standard input

    def _read_while_room(self) -> None:
        wanted = not self._input.ended and self._waits() < MAX_WAITING
        if wanted and not self._reading:
            self._ready.register(0, selectors.EVENT_READ)
        elif self._reading and not wanted:
            self._ready.unregister(0)
        self._reading = wanted

    def _read(self) -> None:
        try:
            data = os.read(0, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # a terminal that has gone
        for line in self._input.feed(data):
            self._command(line)

    def _command(self, line: bytes) -> None:
        number, verb, argument = (*line.split(None, 2), b"", b"", b"")[:3]
        if not number:
            return
        if not number.isdigit() or len(number) > MAX_NUMBER:
            _write(b'* not understood: commands look like "1 FILE mail.msg", "2 QUIT"')
        elif (verb := verb.upper()) == b"FILE" and argument.strip():
            self._take(number, argument.strip())
        elif verb == b"INTF":
            self._negotiate(number, argument)
        elif verb == b"KEY":
            _write(number + b" OK")
        elif verb == b"QUIT":
            self._quit = number
        else:
            _write(b"%b FAILURE %b" % (number, quote("unexpected command: " + (verb + b" " + argument).decode("utf-8", "replace"), 200)))

    def _negotiate(self, number: bytes, argument: bytes) -> None:
        asked = argument.strip()
        self._version = min(VERSION, int(asked)) if asked.isdigit() and len(asked) < 10 else VERSION
        _write(b"%b INTF %d" % (number, self._version))

    def _take(self, number: bytes, path: bytes) -> None:
        if len(path) > 2 and path[:1] == path[-1:] == b'"':
            path = path[1:-1]
        large = False
        with contextlib.suppress(OSError, ValueError):  # the worker will report the error
            large = os.stat(path).st_size > LARGE
        self._taken += 1
        self._waiting[large].append((self._taken, FilterRequest(number, path, large)))

    # The workers

    def _begin(self) -> None:
        """Give work to free workers: the oldest first, large ones only while half of the workers remain."""
        if self._waits() and self._renewed():
            self._retire()
        while len(self._busy) < self._most and (lane := self._next_lane()) is not None:
            try:
                worker = self._free()
            except (OSError, RuntimeError) as fault:
                if self._busy:
                    return  # one of these will become free
                self._answer(self._waiting[lane].popleft()[1], reply(internal(f"no worker can be started: {fault}")))
                continue
            request = self._waiting[lane].popleft()[1]
            try:
                worker.give(request.path)
            except Unreadable as fault:
                self._idle.append(worker)
                self._answer(request, reply(rejected(str(fault))))
                continue
            self._busy[worker] = request
            self._ready.register(worker, selectors.EVENT_READ, worker)

    def _free(self) -> WorkerProcess:
        """Return an idle worker, or a new one. An idle one with unexpected output is not used: that would be taken for its next answer.
        Raises OSError, RuntimeError.
        """
        while self._idle:
            worker = self._idle.pop()
            if not worker.speaks():
                return worker
            worker.end()
        return self._hire(self._judge, [*self._busy])

    def _retire(self) -> None:
        while self._idle:
            self._idle.pop().end()
        self._old = set(self._busy)

    def _next_lane(self) -> bool | None:
        large = sum(request.large for request in self._busy.values())
        open_lanes = [lane for lane in (False, True) if self._waiting[lane] and not (lane and large >= max(1, self._most // 2))]
        return min(open_lanes, key=lambda lane: self._waiting[lane][0][0], default=None)

    def _finish(self, worker: WorkerProcess) -> None:
        self._ready.unregister(worker)
        request = self._busy.pop(worker)
        said = worker.result()
        if said is None:
            said = reply(worker.lost())
        elif worker in self._old:
            worker.end()
        else:
            self._idle.append(worker)
        self._old.discard(worker)
        self._answer(request, said)

    def _answer(self, request: FilterRequest, said: bytes) -> None:
        if said.startswith(_INTERNAL):
            self._faults += 1
            said = b'%b (%d since the start)"' % (said[:-1], self._faults)
        if said.startswith(b"ADDHEADER") and self._version >= 4:
            said += b" OK"
        _write(request.number + b" " + said)


def _write(line: bytes) -> None:
    """Write one line to standard output with one call; the pipe may be non-blocking."""
    rest = line + b"\n"
    with _output:
        while rest:
            try:
                rest = rest[os.write(1, rest) :]
            except BlockingIOError:
                select.select([], [1], [])
