"""What the drivers of the peers share: requirements, compilation, and servers that end with their benchmark.

Peers run from their Debian packages, with configurations of their own in a temporary folder, on Unix sockets and loopback ports. Nothing
that they get ever leaves the machine. The packages' own services are neither used nor started.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.harness import folder

__all__ = ["PATIENCE", "Missing", "compiled", "free_port", "listens", "need", "need_root", "public_folder", "running", "until"]

SOURCES = Path(__file__).parent
PLACES = ":".join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/lib/postfix/sbin"))
PATIENCE = 30.0
"""Seconds that a peer may take to start, to end, or for one round."""


class Missing(Exception):
    """A peer cannot run here. The text has the reason and the cure."""


def need(package: str, program: str) -> str:
    """Return the path of a program of a Debian package. Raises Missing."""
    if (found := shutil.which(program, path=PLACES)) is None:
        raise Missing(f"{program} is missing: apt install {package}")
    return found


def need_root(what: str) -> None:
    if os.geteuid() != 0:
        raise Missing(f"{what} can be started by root only")


def compiled(name: str, folder: Path) -> Path:
    """Compile bench/peers/NAME.c. Raises Missing if there is no compiler."""
    program = folder / name
    words = [need("gcc libc6-dev", "cc"), "-O2", "-D_GNU_SOURCE", "-o", str(program), str(SOURCES / f"{name}.c")]
    subprocess.run(words, check=True, timeout=PATIENCE)
    return program


@contextlib.contextmanager
def public_folder() -> Iterator[Path]:
    """Yield a new folder under $TMPDIR that other accounts may enter: peers run under them."""
    with folder() as path:
        path.chmod(0o755)
        yield path


@contextlib.contextmanager
def running(words: Sequence[str | Path], log: Path, *, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a process group of its own, which is ended as a whole."""
    with log.open("ab") as out:
        server = subprocess.Popen([*map(str, words)], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, process_group=0)
    try:
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def until(condition: Callable[[], bool], what: str, log: Path, look: float = 0.02) -> None:
    """Wait for a condition. Raises TimeoutError with the last words of the peer."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {PATIENCE:.0f} s: {what}\n{log.read_text()[-2000:] if log.exists() else ''}")
        time.sleep(look)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def free_port() -> int:
    """Return a port on loopback that no process uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
