"""Run one program with limits, and leave none of its processes behind. For a process with one thread: it forks.

The child has its own session and process group. The whole group is killed when the program has ended, when its
time is over and, by the death signal, when we die.
"""

import contextlib
import errno
import functools
import os
import select
import signal
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from filterlink.filters.runtime.standstill import Awake
from filterlink.process.forked import die_with, restrain

__all__ = ["ChildExit", "ChildLimits", "run_limited"]

MAX_OUTPUT = 256 << 10
"""Bytes of output that are kept. The rest is read and dropped, so that the program never waits for us."""


class ChildLimits(NamedTuple):
    """Seconds to run, without those of a standstill; seconds of processor time (0: no own limit); bytes of memory (0: no limit).

    If the starting process has smaller limits, those apply.
    """

    time: float
    cpu: int = 0
    memory: int = 0


class ChildExit(NamedTuple):
    """How it ended: its exit code, or a signal as a negative number; `late` if we ended it."""

    code: int
    output: bytes
    late: bool


def run_limited(arguments: Sequence[str | bytes], limits: ChildLimits, *, stdin: int = -1, errors_only: bool = False) -> ChildExit:
    """Run a program to its end. Raises OSError if it cannot start, or its limits cannot be set.

    `stdin`: the file that it reads; -1 = an empty one. `errors_only`: only its standard error is kept; its standard output is dropped.
    """
    nothing = os.memfd_create("nothing")  # there may be no /dev/null
    try:
        process = subprocess.Popen(
            arguments,
            stdin=nothing if stdin < 0 else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if errors_only else subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=functools.partial(_confine, limits, os.getpid()),  # noqa: PLW1509 - one thread only
        )
    except subprocess.SubprocessError:
        raise OSError(errno.EINVAL, "its limits cannot be set") from None
    finally:
        os.close(nothing)
    with process:
        try:
            output, late = _attend(process, Awake(limits.time))
        finally:  # before it is reaped: until then its pid stays its own
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
    return ChildExit(process.returncode, output, late)


def _confine(limits: ChildLimits, parent: int) -> None:
    """Set the limits in the child, before the program starts."""
    die_with(parent)
    restrain(limits.cpu, limits.memory)


def _attend(process: subprocess.Popen[bytes], time: Awake) -> tuple[bytes, bool]:
    """Read its output until it has ended. Do not wait for a child of its own that keeps the pipe open."""
    kept = process.stderr or process.stdout
    assert kept
    pipes = [pipe.fileno() for pipe in (process.stdout, process.stderr) if pipe]
    exited = os.pidfd_open(process.pid)
    output = bytearray()
    poll = select.poll()
    for fd in (*pipes, exited):
        poll.register(fd, select.POLLIN)
    try:
        while ready := time.wait(poll):
            readable = [fd for fd in pipes if fd in ready]
            if not readable:
                return bytes(output), False
            for fd in readable:
                data = os.read(fd, 65536)
                if fd == kept.fileno():
                    output += data[: MAX_OUTPUT - len(output)]
                if not data:
                    poll.unregister(fd)
        return bytes(output), True
    finally:
        os.close(exited)
