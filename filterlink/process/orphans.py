"""Ends what helpers leave behind: daemons in a session of their own, which no signal to the helper's group reaches.

This process becomes their parent when their own has ended (it is a child subreaper). Each helper has a mark that fork and exec
hand on, whatever becomes of environment, session and account: the soft RLIMIT_LOCKS, which Linux has ignored since 2.4.25
(getrlimit(2)). So it is known whose orphan a process is.
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
    """The mark of the next helper. An engine that a helper of another engine runs has other ones."""
    return os.getpid() << 40 | next(_marks)


def carry(mark: int) -> None:
    """In the new process: bear this mark, and all that it starts. A lower limit that is in force leaves it without one."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(_RLIMIT_LOCKS, (mark, resource.getrlimit(_RLIMIT_LOCKS)[1]))


def expect(pid: int) -> None:
    """Leave this child, a helper, to who started it: until `end`, reap() passes it over."""
    _expected.add(pid)


def end(helper: int, mark: int) -> list[int]:
    """Kill all processes below us that bear the mark of a helper which has ended and was waited for. Return their pids.

    Call it until there are none: those whose parents it has killed become our children only then.
    """
    _expected.discard(helper)
    found = bearers(mark)
    for pid in found:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    reap()
    return found


def bearers(mark: int) -> list[int]:
    """The processes below us that bear it."""
    return [pid for pid in _below(os.getpid()) if _mark(pid) == mark]


def daemons(mark: int, group: int) -> list[int]:
    """Those of them that have left the helper's process group."""
    found = []
    for pid in bearers(mark):
        with contextlib.suppress(OSError):
            if os.getpgid(pid) != group:
                found.append(pid)
    return found


def reap() -> None:
    """Let no child of ours stay as a zombie that no helper's owner waits for."""
    for pid in children(os.getpid()):
        if pid not in _expected:
            with contextlib.suppress(OSError):
                os.waitpid(pid, os.WNOHANG)


def _mark(pid: int) -> int:
    with contextlib.suppress(OSError):
        return resource.prlimit(pid, _RLIMIT_LOCKS)[0]
    return 0


def _below(pid: int) -> Iterator[int]:
    """Children first, then theirs."""
    generation = children(pid)
    while generation:
        yield from generation
        generation = [child for parent in generation for child in children(parent)]


def children(pid: int) -> list[int]:
    """Every child of a process, also those whose own parent has ended; none where /proc does not say so."""
    with contextlib.suppress(OSError, ValueError):
        return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_bytes().split()]
    return []
