"""filterlink, the bare multiplexer (bench/limits/mux.py) and MIMEDefang's, all with one helper in C that answers at once (noop.c).

The clients are in C (load.c) or in Python (load.py), the same for all of them.

MIMEDefang's protocol takes a new connection for each question, and it gives each worker one question at a time. It gets as many workers
as there are clients, its best. With fewer, some questions stay in its queue for seconds while all workers are idle (seen with 8 workers
and 9 clients), or are refused if it has no queue.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.peers.parts import PATIENCE, SOURCES, compiled, need, running, until

__all__ = ["Asked", "Programs", "bare", "filterlink", "mimedefang"]

NOBODY = "nobody"
FOR_EVER = "1000000000"
"""Requests after which a worker is replaced: so many that none is."""
BACKLOG = "1024"
ROOT = SOURCES.parent.parent


class Programs(NamedTuple):
    """The programs beside a multiplexer."""

    noop: Path
    load: tuple[str, ...]
    """The command of the clients."""
    before: tuple[str, ...]
    """Words before each command: where it is to run."""

    @classmethod
    def in_folder(cls, folder: Path, core: int | None, *, python: bool = False) -> "Programs":
        """Return the programs. `core`: the only one that all may use. `python`: the clients are in Python, as our processors are."""
        before = () if core is None else (need("util-linux", "taskset"), "--cpu-list", str(core))
        load = (sys.executable, "-m", "bench.peers.load") if python else (str(compiled("load", folder)),)
        return cls(compiled("noop", folder), load, before)


class Asked(NamedTuple):
    """A running multiplexer, as clients see it."""

    programs: Programs
    kind: str
    socket: Path

    def rate(self, clients: int, requests: int) -> float:
        """Return the answers/s of this many clients at the same time, each with one question after the other."""
        words = [*self.programs.before, *self.programs.load, self.kind, str(self.socket), str(clients), str(requests)]
        done = subprocess.run(words, check=True, capture_output=True, timeout=PATIENCE, cwd=ROOT)
        answered, refused, seconds = done.stdout.split()
        if int(refused):
            raise RuntimeError(f"{self.kind} refused {int(refused)} of {requests} questions")
        return int(answered) / float(seconds)


def filterlink(programs: Programs, folder: Path, *, pipelining: bool) -> contextlib.AbstractContextManager[Asked]:
    """Run Enqueuer's multiplexer by itself."""
    return _links(programs, folder, "bench.peers.filterlink", str(int(pipelining)))


def bare(programs: Programs, folder: Path) -> contextlib.AbstractContextManager[Asked]:
    """Run the bare multiplexer, for the same clients and helper."""
    return _links(programs, folder, "bench.limits.mux")


@contextlib.contextmanager
def _links(programs: Programs, folder: Path, module: str, *words: str) -> Iterator[Asked]:
    """Run a multiplexer with links, as a process of its own."""
    folder.mkdir()
    with running([*programs.before, sys.executable, "-m", module, folder, programs.noop, *words], folder / "log", cwd=ROOT):
        until((folder / "link").exists, "the multiplexer's socket", folder / "log")
        asked = Asked(programs, "link", folder / "link")
        asked.rate(1, 100)  # waits for the helper
        yield asked


@contextlib.contextmanager
def mimedefang(programs: Programs, folder: Path, workers: int) -> Iterator[Asked]:
    """Run mimedefang-multiplexor of the Debian package, in the foreground."""
    program = need("mimedefang", "mimedefang-multiplexor")
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    socket = folder / "socket"
    pool = ["-m", str(workers), "-x", str(workers), "-w", "1", "-i", "3600", "-r", FOR_EVER, "-I", BACKLOG]
    with running([*programs.before, program, "-D", "-U", NOBODY, *pool, "-z", folder, "-s", socket, "-f", programs.noop], folder / "log"):
        until(socket.exists, "the multiplexor's socket", folder / "log")
        asked = Asked(programs, "defang", socket)
        asked.rate(workers, 100 * workers)  # starts all workers
        yield asked
