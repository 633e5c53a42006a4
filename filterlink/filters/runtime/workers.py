"""The workers of a helper program: processes or threads, made on demand, with one message at a time each.

Processes and not threads, because a YARA scan, a base64 decoding and all of Python's own work hold the interpreter's
lock. With threads one large message stops all the small ones beside it (measured: during a scan of 60 MB no other
thread runs). A process also may crash without the others. The helper's own process stays single-threaded, so that it
may fork at any time.

Threads for the filters that only wait for another server: sixteen of them cost nothing, and share its sessions.
"""

import contextlib
import mmap
import os
import select
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from typing import NamedTuple, NoReturn

from filterlink.filters.runtime.standstill import STOOD_STILL, stood_still, used
from filterlink.filters.runtime.verdict import MAX_REPLY, Verdict, is_reply, rejected, reply
from filterlink.process import sandbox
from filterlink.process.forked import die_with, restrain

__all__ = ["GRACE", "Handed", "Judge", "ScanBounds", "ThreadWorker", "Unreadable", "WorkerProcess", "internal", "judged"]

MAX_RECORD = 16 << 10
"""Bytes. A path has at most 4096, and most replies as well."""
MAX_FAULT = 500
"""Characters of an error's text: the answer has room for them and for the count of errors."""
GRACE = 5.0
"""Seconds from a filter's own time limit to the alarm: the filter may be in code that reads no clock."""
_BUSY = struct.Struct("d")
"""The processor time that a worker and its children had used before its message, in memory that its helper can read."""
_ALARM = f"signal {int(signal.SIGALRM)}"

Judge = Callable[[str], Verdict]


class Unreadable(Exception):
    """The queue file cannot be read, so there is no verdict on the message."""


class Handed(str):
    """The path of a queue file that the helper has opened for a worker which may open none itself."""

    descriptor: int

    def __new__(cls, path: str, descriptor: int) -> "Handed":
        new = super().__new__(cls, path)
        new.descriptor = descriptor
        return new


class ScanBounds(NamedTuple):
    """Limits of one message in a process: seconds (0: no limit), the verdict after them, bytes of memory (0: no limit).

    If the process stood still for most of these seconds, the verdict is STOOD_STILL.
    The alarm is for code that reads no clock; it ends the process. A filter that reads one gives its verdict earlier.

    `confined`: it may open only the interpreter's files, and gets its message as a Handed path (sandbox.confine).

    `reply`: bytes of the longest answer.
    """

    seconds: float = 0.0
    late: Verdict = rejected("internal error: too slow")
    memory: int = 0
    confined: bool = False
    reply: int = MAX_REPLY


NO_BOUNDS = ScanBounds()


def judged(judge: Judge, path: str) -> Verdict:
    """Scan one file. Every error is a verdict as well.

    It is REJECTED, so that the message waits: for a file that cannot be read, and for every error of the filter itself. The
    traceback of an error goes to stderr in one line.
    """
    try:
        return judge(path)
    except Unreadable as fault:
        return rejected(str(fault))
    except Exception as fault:  # noqa: BLE001 - the boundary: a filter's bug costs one verdict, never the helper
        print(" | ".join(traceback.format_exc().splitlines()), file=sys.stderr, flush=True)
        return internal(f"{type(fault).__name__}: {fault}")


def internal(text: str) -> Verdict:
    """Defer the message for a fault of ours. The helper's process adds how many there were."""
    return rejected(f"internal error: {text[:MAX_FAULT]}")


class WorkerProcess:
    """One process, as the helper sees it: give it a path, and its socket becomes readable with the reply."""

    def __init__(self, judge: Judge, others: Iterable["WorkerProcess"], bounds: ScanBounds = NO_BOUNDS) -> None:
        """Fork. The child closes the sockets of `others`. Raises OSError or RuntimeError if that is impossible."""
        self._bounds = bounds
        self._busy = mmap.mmap(-1, _BUSY.size)
        self._used = 0.0
        self._odd = False
        self.sock, childs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self.pid = self._start(childs, judge, [self, *others])
        except (OSError, RuntimeError):
            self.sock.close()
            childs.close()
            raise

    def _start(self, childs: socket.socket, judge: Judge, foreign: list["WorkerProcess"]) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _work(childs, judge, parent, foreign, self._bounds, self._busy)
        childs.close()
        return pid

    def fileno(self) -> int:
        return self.sock.fileno()

    def give(self, path: bytes) -> None:
        """Give it `path` to scan. If it has died, result() reports it. Raises Unreadable."""
        files = [_open(path)] if self._bounds.confined else []
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                socket.send_fds(self.sock, [path], files)
        finally:
            for file in files:
                os.close(file)

    def result(self) -> bytes | None:
        """Return the reply; None if the worker has ended, or sent what is not a reply: hostile data may have taken it over."""
        try:
            said = self.sock.recv(max(MAX_RECORD, self._bounds.reply + 1))
        except ConnectionResetError:
            return None
        self._odd = bool(said) and not is_reply(said, self._bounds.reply)
        return None if self._odd else said or None

    def speaks(self) -> bool:
        """Return whether it has sent something, or has ended."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))

    def lost(self) -> Verdict:
        """End a worker that gave no reply; return the verdict for its message."""
        how = self.end()
        if self._odd:
            return internal("the process of this message sent an answer that is not a verdict")
        if how != _ALARM:
            return internal(f"the process of this message ended with {how}")
        return STOOD_STILL if stood_still(self._used - _BUSY.unpack(self._busy)[0], self._bounds.seconds) else self._bounds.late

    def end(self) -> str:
        """End it; return how it ended. The forks of a confined worker are in its group, and end with it."""
        self.sock.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        _, status, usage = os.wait4(self.pid, 0)
        self._used = usage.ru_utime + usage.ru_stime
        code = os.waitstatus_to_exitcode(status)
        return f"signal {-code}" if code < 0 else f"exit code {code}"


class ThreadWorker(WorkerProcess):
    """The same with a thread. It cannot be killed: one that waits ends with the helper."""

    def _start(self, childs: socket.socket, judge: Judge, foreign: list[WorkerProcess]) -> int:  # noqa: ARG002 - nothing is inherited
        threading.Thread(target=_wait, args=(childs, judge), daemon=True).start()
        return 0

    def end(self) -> str:
        self.sock.close()
        return "an error"


def _open(path: bytes) -> int:
    """Open a file, and never wait, whatever kind it is."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as fault:
        raise Unreadable(f"cannot open {os.fsdecode(path)}: {getattr(fault, 'strerror', None) or fault}") from None


def _wait(sock: socket.socket, judge: Judge) -> None:
    """Run a thread that scans until the helper closes the socket."""
    with sock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while path := sock.recv(MAX_RECORD):
            sock.send(reply(judged(judge, os.fsdecode(path))))


def _work(sock: socket.socket, judge: Judge, parent: int, foreign: list[WorkerProcess], bounds: ScanBounds, busy: mmap.mmap) -> NoReturn:
    """Run a worker until the helper closes the socket or ends."""
    status = 1
    try:
        _settle(parent, foreign, busy)
        restrain(memory=bounds.memory)
        if bounds.confined:
            sandbox.confine(sandbox.interpreter())
        while path := _given(sock):
            _BUSY.pack_into(busy, 0, used())
            signal.setitimer(signal.ITIMER_REAL, bounds.seconds)
            said = reply(judged(judge, path), bounds.reply)
            signal.setitimer(signal.ITIMER_REAL, 0)
            sock.send(said)
        status = 0
    except BaseException as fault:  # noqa: BLE001 - e.g. a panic in native code: the parent answers for this process
        print(f"worker ends: {type(fault).__name__}: {fault}".replace("\n", " | "), file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def _given(sock: socket.socket) -> str:
    """Return the next path; empty when the helper has ended. The judge closes the descriptor of a Handed path."""
    path, files, _, _ = socket.recv_fds(sock, MAX_RECORD, 1)
    return Handed(os.fsdecode(path), files[0]) if files else os.fsdecode(path)


def _settle(parent: int, foreign: list[WorkerProcess], busy: mmap.mmap) -> None:
    """Die with the helper, close all that is its own, and never write to its standard output."""
    die_with(parent)
    for number in (signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # apart() sends it to our group; we end with the helper
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    for worker in foreign:
        worker.sock.close()
        if worker._busy is not busy:
            worker._busy.close()
    nothing = os.memfd_create("nothing")  # there may be no /dev/null
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
