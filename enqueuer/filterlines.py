"""Check the command lines of our own filters in a config file: with the filter's own parser, in a process of its own.

A program line that begins with `enqueuer filter` is given to `enqueuer filter --check NAME ...`. That command also reads the
rules and makes the folders that the options name. The caller imports nothing of a filter, and waits for a bounded time.
"""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from enqueuer import exits
from enqueuer.config.schema import Config, ConfigError
from filterlink.config.settings import Filter
from filterlink.filters.runtime.check import PASSED
from filterlink.helpers.spawn import environment
from filterlink.process.forked import die_with

__all__ = ["LineCheck", "check", "expect_parsed"]

REFUSED = (exits.USAGE, exits.CANTCREAT, exits.CONFIG)
"""Exit codes of a filter whose command line is wrong. With any other one it is unknown whether the line is right."""
ENDS = "enqueuer filter {}: it would end at once instead of scanning; leave out --help and the like"
NAMELESS = "enqueuer filter: it names no filter; write e.g. enqueuer filter yara"
MOST = 10_000
"""Bytes of a check's output that are read."""


class LineCheck(NamedTuple):
    """The result for one filter."""

    filter: Filter
    fault: str | None
    """Why this line cannot run, with the cure."""
    doubts: tuple[str, ...] = ()
    """What the line names and this machine lacks now."""
    certain: bool = True
    """Whether the check came to an end."""


def check(filters: Sequence[Filter], within: float) -> list[LineCheck]:
    """Check all enabled filters of our own at once, for at most this many seconds. Filters are relative to the current directory."""
    ours = [each for each in filters if each.enabled and _is_ours(each.words())]
    deadline = time.monotonic() + within
    started = [(each, _start(each)) for each in ours]
    return [_finished(filter, process, deadline) for filter, process in started]


def expect_parsed(config: Config, file: str, within: float, known: Sequence[Filter] = ()) -> list[str]:
    """Check the filters that differ from the `known` ones; return the doubts, each with its filter. Raises ConfigError with file, key and
    cure. A check that does not end in time refuses nothing.
    """
    accepted = {_decisive(each) for each in known}
    doubts = []
    for each in check([each for each in config.filters if _decisive(each) not in accepted], within):
        name = each.filter.name
        if each.fault is not None:
            at = config.filters.index(each.filter)
            raise ConfigError(f'{file}: filters[{at}].program of filter "{name}": {each.fault}')
        doubts += [f'filter "{name}": {doubt}' for doubt in each.doubts]
    return doubts


def _is_ours(words: Sequence[str]) -> bool:
    return len(words) > 1 and words[0].rpartition("/")[2] == "enqueuer" and words[1] == "filter"


def _decisive(filter: Filter) -> tuple[object, ...]:
    """Return the settings that decide about its line."""
    return filter.program, filter.environment, filter.enabled


def _start(filter: Filter) -> "subprocess.Popen[bytes] | None":
    """Start the check of one line. None: it cannot be started here, or need not be."""
    if len(filter.words()) == 2:
        return None
    # -P: no module of the current directory, which is the base directory
    command = [sys.executable, "-P", "-m", "enqueuer.cli.app", "filter", "--check", *filter.words()[2:]]
    variables = {**os.environ, **environment(os.environ, filter.environment), "NO_COLOR": "1"}
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=variables,
            start_new_session=True,
            preexec_fn=functools.partial(die_with, os.getpid()),  # noqa: PLW1509 (neither the supervisor nor the command has threads)
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _finished(filter: Filter, process: "subprocess.Popen[bytes] | None", deadline: float) -> LineCheck:
    """Wait for the end of a check. A process that is late is killed, with all that it has started."""
    if process is None:
        nameless = len(filter.words()) == 2
        return LineCheck(filter, NAMELESS if nameless else None, certain=nameless)
    try:
        out, err = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return LineCheck(filter, None, certain=False)
    said = tuple(filter_line for line in err[-MOST:].decode("utf-8", "replace").splitlines() if (filter_line := line.strip()))
    if process.returncode in REFUSED and said:
        return LineCheck(filter, said[-1])
    if process.returncode == exits.OK and PASSED.encode() not in out[-MOST:]:
        return LineCheck(filter, ENDS.format(filter.words()[2]))
    return LineCheck(filter, None, said, process.returncode == exits.OK)
