"""MTAs that only ask: clients of a milter (milterload.c) and of clamd (clamdload.c), with many connections at once; MIMEDefang as a milter.

MIMEDefang runs with its own worker without any filter, or with one in C that does the least: it writes an empty list of results. Its own
worker is a Perl program that takes each message apart.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.peers.parts import PATIENCE, compiled, need, running, until

__all__ = ["MilterTally", "ask_clamd", "ask_milter", "mimedefang_milter"]

FOR_EVER = "1000000000"
ACCOUNT = "postfix"
"""MIMEDefang does not run as root; Postfix connects to its socket."""


class MilterTally(NamedTuple):
    """What clients saw. The milliseconds are those from the end of a message to its answer."""

    rate: float
    p50: float
    p99: float


def ask_milter(folder: Path, address: str, connections: int, messages: int, mail: Path) -> MilterTally:
    """Send a message again and again. `address`: unix:PATH or inet:PORT. Raises RuntimeError if one is refused."""
    return _ask(_program("milterload", folder), address, connections, messages, mail)


def ask_clamd(folder: Path, socket: str, connections: int, messages: int, mail: Path) -> MilterTally:
    """Have clamd scan a file again and again. Raises RuntimeError if it is not clean."""
    return _ask(_program("clamdload", folder), socket, connections, messages, mail)


def _program(name: str, folder: Path) -> Path:
    return folder / name if (folder / name).exists() else compiled(name, folder)


def _ask(program: Path, address: str, connections: int, messages: int, mail: Path) -> MilterTally:
    words = [str(program), address, str(connections), str(messages), str(mail)]
    done = subprocess.run(words, check=True, capture_output=True, timeout=10 * PATIENCE)
    answered, refused, seconds, p50, p99 = done.stdout.split()
    if int(refused):
        raise RuntimeError(f"{int(refused)} of {messages} messages were refused")
    return MilterTally(int(answered) / float(seconds), float(p50), float(p99))


@contextlib.contextmanager
def mimedefang_milter(folder: Path, workers: int, *, in_c: bool = False) -> Iterator[str]:
    """Run MIMEDefang of the Debian package; yield its address for Postfix. `in_c`: the worker is in C. Raises Missing."""
    milter = need("mimedefang", "mimedefang")
    multiplexor = need("mimedefang", "mimedefang-multiplexor")
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    worker = ["-f", compiled("defangworker", folder)] if in_c else ["-F", "/dev/null"]
    inner = folder / "multiplexor"
    socket = folder / "milter"
    pool = ["-m", str(workers), "-x", str(workers), "-w", "1", "-i", "3600", "-r", FOR_EVER, "-I", "1024"]
    with (
        running([multiplexor, "-D", "-U", ACCOUNT, *pool, "-z", folder, "-s", inner, *worker], folder / "log"),
        running([milter, "-D", "-U", ACCOUNT, "-q", "-X", "-z", folder, "-m", inner, "-p", socket], folder / "log"),
    ):
        until(inner.exists, "the multiplexor's socket", folder / "log")
        until(socket.exists, "MIMEDefang's socket", folder / "log")
        yield f"unix:{socket}"
