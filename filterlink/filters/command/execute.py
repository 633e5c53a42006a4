"""The hidden filters of the action Execute: each runs a program about a message, and answers OK if its exit code is 0.

All other ends are FAILURE with the reason. The engine asks these filters with failure_passes = false, so that on_failure of the rule
follows. The arguments are those of CommuniGate Pro. They are appended to the program's own, without a shell:

    program args -f Queue/1846258457.msg -p sender@example.org -r first@example.org second@example.org
"""

import os
import shutil
import sys
from collections.abc import Callable
from typing import NamedTuple

from filterlink.filters.runtime.child import ChildExit, ChildLimits, run_limited
from filterlink.filters.runtime.envelope import FilterEnvelope, read_envelope
from filterlink.filters.runtime.handover import Handover
from filterlink.filters.runtime.runtime import ScanBounds, Verdict, ok, serve
from filterlink.filters.runtime.verdict import failure
from filterlink.filters.runtime.workers import GRACE

__all__ = ["ExecuteFilter", "ExecuteSettings", "Unfit", "arguments", "run"]

MAX_ARGUMENTS = 128 << 10
"""Bytes of all arguments. Linux allows at least this much, whatever the limit of the stack is."""
MAX_LINE = 200
"""Characters of the line that the program wrote to its standard error."""
_LATE = "the program did not end within {:g} s"


class Unfit(Exception):
    """The program cannot be called about this message. The text has the reason."""


class ExecuteSettings(NamedTuple):
    """The program with its own arguments, what it gets, and its limits."""

    command: tuple[str, ...]
    stderr: bool = False
    """The first line of its standard error goes into the reason."""
    file: bool = False
    """It gets the name of the message file. Without it, it reads the message from its standard input."""
    retpath: bool = False
    rcpt: bool = False
    limits: ChildLimits = ChildLimits(110)


def run(settings: ExecuteSettings, processes: int) -> int:
    """Run the helper program; return the exit code."""
    if not shutil.which(settings.command[0]):
        print(f"enqueuer filter execute: {settings.command[0]}: no such program", file=sys.stderr)
        return os.EX_CONFIG
    bounds = ScanBounds(settings.limits.time + GRACE, failure(_LATE.format(settings.limits.time)))
    return serve("execute", ExecuteFilter(settings).judge, processes, bounds=bounds)


class ExecuteFilter:
    """Runs the program, once for each message."""

    def __init__(self, settings: ExecuteSettings, run: Callable[..., ChildExit] = run_limited) -> None:
        self._settings = settings
        self._run = run

    def judge(self, path: str) -> Verdict:
        """Run the program about one message file."""
        settings = self._settings
        with Handover(path) as message:
            try:
                words = arguments(settings, path, read_envelope(message.envelope()))
                ended = self._run(words, settings.limits, stdin=-1 if settings.file else _from_start(message), errors_only=settings.stderr)
            except Unfit as reason:
                return failure(str(reason))
            except OSError as fault:
                return failure(f"the program cannot be started: {fault.strerror or fault}")
        return ok() if (ended.code, ended.late) == (0, False) else failure(self._reason(ended))

    def _reason(self, ended: ChildExit) -> str:
        if ended.late:
            how = _LATE.format(self._settings.limits.time)
        else:
            how = f"signal {-ended.code} ended the program" if ended.code < 0 else f"the program ended with exit code {ended.code}"
        line = ended.output.strip().partition(b"\n")[0].decode("utf-8", "replace") if self._settings.stderr else ""
        shown = " ".join("".join(char if char.isprintable() else " " for char in line).split())
        return f"{how}: {shown[:MAX_LINE]}" if shown else how


def arguments(settings: ExecuteSettings, path: str, envelope: FilterEnvelope) -> list[str | bytes]:
    """Return the words of the command. Raises Unfit: an address must not look like an option, and all must fit."""
    words: list[str | bytes] = [*settings.command]
    if settings.file:
        words += ["-f", path]
    if settings.retpath:
        words += ["-p", _safe(envelope.sender or b"")]
    if settings.rcpt:
        words += ["-r", *map(_safe, envelope.recipients)]
    if (size := sum(len(os.fsencode(word)) + 1 for word in words)) > MAX_ARGUMENTS:
        raise Unfit(f"the arguments of the program take {size} bytes, with {len(envelope.recipients)} recipients: at most {MAX_ARGUMENTS}")
    return words


def _safe(address: bytes) -> bytes:
    if address.startswith(b"-"):
        raise Unfit("an address begins with - and would be an option of the program")
    return address


def _from_start(message: Handover) -> int:
    descriptor = message.descriptor()
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
