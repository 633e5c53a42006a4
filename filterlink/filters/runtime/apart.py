"""Run a function of ours in a child process with limits, for a foreign parser that hostile files make slow, large or crash.

Only for a process with one thread, because it forks. The child shares its parent's memory until it writes to it, so data need not be
sent.
"""

import os
import resource
import select
import signal
from collections.abc import Callable
from typing import BinaryIO, NamedTuple, NoReturn

from filterlink.filters.runtime.child import ChildLimits
from filterlink.filters.runtime.standstill import Awake
from filterlink.process.forked import die_with, restrain

__all__ = ["ChildOutput", "apart"]

_BROKEN = 1
_NO_MEMORY = 3


class ChildOutput(NamedTuple):
    """What the child wrote until its end, and a flag: "", "broken" (it raised), "limit" (it reached a limit)."""

    output: bytes
    flag: str


def apart(work: Callable[[BinaryIO], None], limits: ChildLimits) -> ChildOutput:
    """Run `work`, which writes into a file. `limits.memory`: bytes that it may use more than we do. Raises OSError if it cannot start.

    A child that used more than half of that counts as having reached the limit: libraries swallow MemoryError and go on.
    """
    with os.fdopen(os.memfd_create("apart"), "w+b", buffering=0) as file:
        parent = os.getpid()
        used = _used() if limits.memory else 0
        pid = os.fork()
        if pid == 0:
            _be_child(work, file, limits, parent, used)
        try:
            _wait(pid, limits.time)
        finally:
            _end(pid)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        file.seek(0)
        return ChildOutput(file.read(), {0: "", _BROKEN: "broken"}.get(status, "limit"))


def _wait(pid: int, seconds: float) -> None:
    exited = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(exited, select.POLLIN)
        Awake(seconds).wait(poll)
    finally:
        os.close(exited)


def _end(pid: int) -> None:
    """Kill the child's group. Its pid stays its own until it is reaped. A process under sandbox.confine may signal only its own group."""
    try:
        os.kill(pid, signal.SIGKILL)
    except PermissionError:
        os.kill(0, signal.SIGTERM)


def _be_child(work: Callable[[BinaryIO], None], file: BinaryIO, limits: ChildLimits, parent: int, used: int) -> NoReturn:
    status = _BROKEN
    try:
        die_with(parent)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        restrain(limits.cpu, limits.memory + used if limits.memory else 0)
        before = _peak()
        work(file)
        status = _NO_MEMORY if limits.memory and _peak() - before > limits.memory // 2 else 0
    except MemoryError:
        status = _NO_MEMORY
    except BaseException:  # noqa: BLE001, S110 - a parser of what strangers sent ends with anything
        pass
    finally:
        os._exit(status)


def _peak() -> int:
    """Return the most bytes of memory that we have used."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _used() -> int:
    """Return the bytes of our address space."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
        return int(file.read().split()[0]) * resource.getpagesize()
