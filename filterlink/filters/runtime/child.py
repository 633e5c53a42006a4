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


def run_limited(arguments: Sequence[str], limits: ChildLimits) -> ChildExit:
    """Run a program to its end. Raises OSError if it cannot start, or its limits cannot be set."""
    nothing = os.memfd_create("nothing")  # there may be no /dev/null
    try:
        process = subprocess.Popen(
            arguments,
            stdin=nothing,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
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
    assert process.stdout
    out = process.stdout.fileno()
    exited = os.pidfd_open(process.pid)
    output = bytearray()
    poll = select.poll()
    poll.register(out, select.POLLIN)
    poll.register(exited, select.POLLIN)
    try:
        while ready := time.wait(poll):
            if out not in ready:
                return bytes(output), False
            data = os.read(out, 65536)
            output += data[: MAX_OUTPUT - len(output)]
            if not data:
                poll.unregister(out)
        return bytes(output), True
    finally:
        os.close(exited)
