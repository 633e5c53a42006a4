"""End the processes that helpers leave behind: daemons in a separate session, which no signal to the helper's group reaches.

This process is a child subreaper: it becomes the parent of such a daemon when the daemon's own parent has ended. Each helper has a
mark that shows whose orphan a process is: the soft RLIMIT_LOCKS. Linux has ignored this limit since 2.4.25 (getrlimit(2)). Fork
and exec hand it on, even if environment, session or account change.
"""

import contextlib
import itertools
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

__all__ = ["bearers", "carry", "children", "daemons", "end", "expect", "new_mark", "reap"]

_RLIMIT_LOCKS = 10
_marks = itertools.count(1)
_expected: set[int] = set()


def new_mark() -> int:
    """Return the mark of the next helper. It differs from all marks of other engines, even of one that a helper runs."""
    return os.getpid() << 40 | next(_marks)


def carry(mark: int) -> None:
    """Set this mark in the new process, for itself and all that it starts. If a lower limit is in force, the process gets no mark."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(_RLIMIT_LOCKS, (mark, resource.getrlimit(_RLIMIT_LOCKS)[1]))


def expect(pid: int) -> None:
    """Leave this child, a helper, to its starter: reap() skips it until `end`."""
    _expected.add(pid)


def end(helper: int, mark: int) -> list[int]:
    """Kill all processes below us with the mark of a helper that has ended and was waited for. Return their pids.

    Call this until it returns an empty list: the children of killed processes become our children only then.
    """
    _expected.discard(helper)
    found = bearers(mark)
    for pid in found:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    reap()
    return found


def bearers(mark: int) -> list[int]:
    """Return the processes below us with this mark."""
    return [pid for pid in _below(os.getpid()) if _mark(pid) == mark]


def daemons(mark: int, group: int) -> list[int]:
    """Return the processes below us with this mark that have left the helper's process group."""
    found = []
    for pid in bearers(mark):
        with contextlib.suppress(OSError):
            if os.getpgid(pid) != group:
                found.append(pid)
    return found


def reap() -> None:
    """Reap our ended children, except helpers, for which their owners wait."""
    for pid in children(os.getpid()):
        if pid not in _expected:
            with contextlib.suppress(OSError):
                os.waitpid(pid, os.WNOHANG)


def _mark(pid: int) -> int:
    with contextlib.suppress(OSError):
        return resource.prlimit(pid, _RLIMIT_LOCKS)[0]
    return 0


def _below(pid: int) -> Iterator[int]:
    """Yield all processes below `pid`: its children first, then theirs."""
    generation = children(pid)
    while generation:
        yield from generation
        generation = [child for parent in generation for child in children(parent)]


def children(pid: int) -> list[int]:
    """Return every child of a process, including adopted ones; none if /proc does not show them."""
    with contextlib.suppress(OSError, ValueError):
        return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_bytes().split()]
    return []
