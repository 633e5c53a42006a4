"""Runs one program with limits, and leaves nothing of it behind. For a process with one thread: it forks.

The child has a session and a process group of its own; the whole group is killed when the program has ended, when its
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
"""Bytes that are kept of what it says; the rest is read and thrown away, so that it never waits for us."""


class ChildLimits(NamedTuple):
    """Seconds to run while we do not stand still, seconds of processor time (0: none of its own), bytes of memory (0: no limit).

    Where the process that starts it has smaller limits, those count.
    """

    time: float
    cpu: int = 0
    memory: int = 0


class ChildExit(NamedTuple):
    """How it ended: its exit code, or a signal as a negative number; `late` when we ended it."""

    code: int
    output: bytes
    late: bool


def run_limited(arguments: Sequence[str], limits: ChildLimits) -> ChildExit:
    """Run it to its end. Raises OSError where it cannot be started, or its limits cannot be set."""
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
        finally:  # before it is waited for, as its number stays its own until then
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
    return ChildExit(process.returncode, output, late)


def _confine(limits: ChildLimits, parent: int) -> None:
    """In the child, before the program."""
    die_with(parent)
    restrain(limits.cpu, limits.memory)


def _attend(process: subprocess.Popen[bytes], time: Awake) -> tuple[bytes, bool]:
    """Read what it says until it has ended; one of its own children that keeps the pipe open is not waited for."""
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
