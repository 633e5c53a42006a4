"""Runs a function of ours in a child process with limits: a parser of others that hostile files make slow, large or crash.

For a process with one thread: it forks. The child shares the memory of its parent until it writes to it, so data need not be sent.
"""

import ctypes
import os
import resource
import select
import signal
from collections.abc import Callable
from typing import BinaryIO, NamedTuple, NoReturn

from filterlink.filters.child import Limits
from filterlink.filters.standstill import Awake
from filterlink.rlimits import lower

__all__ = ["Done", "apart"]

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_BROKEN, _NO_MEMORY = 1, 3


class Done(NamedTuple):
    """What it had written when it ended, and the flag: "", "broken" (it raised), "limit" (it met one of its limits)."""

    output: bytes
    flag: str


def apart(work: Callable[[BinaryIO], None], limits: Limits) -> Done:
    """Have `work` write into a file. `limits.memory` is what it may use more than we do. Raises OSError where it cannot be started.

    One that used more than half of that has met the limit: libraries swallow MemoryError, and go on as if nothing were there.
    """
    with os.fdopen(os.memfd_create("apart"), "w+b", buffering=0) as file:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _be_child(work, file, limits, parent)
        try:
            _wait(pid, limits.time)
        finally:
            os.kill(pid, signal.SIGKILL)  # its number stays its own until it is waited for
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        file.seek(0)
        return Done(file.read(), {0: "", _BROKEN: "broken"}.get(status, "limit"))


def _wait(pid: int, seconds: float) -> None:
    exited = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(exited, select.POLLIN)
        Awake(seconds).wait(poll)
    finally:
        os.close(exited)


def _be_child(work: Callable[[BinaryIO], None], file: BinaryIO, limits: Limits, parent: int) -> NoReturn:
    status = _BROKEN
    try:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            _confine(limits)
            before = _peak()
            work(file)
            status = _NO_MEMORY if limits.memory and _peak() - before > limits.memory // 2 else 0
    except MemoryError:
        status = _NO_MEMORY
    except BaseException:  # noqa: BLE001, S110 - a parser of what strangers sent ends with anything
        pass
    finally:
        os._exit(status)


def _confine(limits: Limits) -> None:
    lower(resource.RLIMIT_CORE, 0, 0)
    if limits.cpu:
        lower(resource.RLIMIT_CPU, limits.cpu, limits.cpu + 1)
    if limits.memory:
        most = limits.memory + _used()
        lower(resource.RLIMIT_AS, most, most)


def _peak() -> int:
    """Bytes of memory that we had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _used() -> int:
    """Bytes of our address space."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
        return int(file.read().split()[0]) * resource.getpagesize()
