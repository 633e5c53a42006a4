"""Run an engine for one `enqueuer scan --standalone`, with the same config, in a temporary folder below Run/."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from enqueuer import exits
from enqueuer.cli._common import enter, expect_safe_config, fail
from enqueuer.control.client import NotRunning
from enqueuer.lab.trial import TrialError
from enqueuer.queue.message.printable import printable_lines
from enqueuer.tune.rig import Stop, rig

__all__ = ["standalone"]


@contextlib.contextmanager
def standalone(base: str | None) -> Iterator[Path]:
    """Yield the base directory of an engine whose filters are ready. The engine ends when this command ends.

    The current directory is again the caller's: names of files are relative to it.
    """
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    where = enter(base)
    expect_safe_config(where)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        with rig(where, Stop()) as made:
            made.start(1, {})
            _go_back(here)
            yield made.trial.base
    except (TrialError, NotRunning) as error:
        fail(printable_lines(str(error)), exits.UNAVAILABLE)


def _go_back(folder: int) -> None:
    try:
        os.fchdir(folder)
    except PermissionError:
        fail("the engine's account may not enter the current directory: run the command in another one", exits.NOPERM)


def _end(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)
