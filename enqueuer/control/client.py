"""The commands' end of the way to a running engine: Run/control.sock, one JSON request a connection, one JSON answer."""

import contextlib
import json
import os
import select
import socket
import struct
import time
from pathlib import Path
from typing import Any

from enqueuer.queue.message.printable import printable

__all__ = ["CONTROL", "Answer", "NotRunning", "Peer", "ask"]

CONTROL = "Run/control.sock"
MAX_ANSWER = 16 << 20
"""Bytes of an answer that a command reads; the status of 256 processors and 1000 filters takes less than one MiB."""
SO_PEERPIDFD = 77
"""Linux 6.5; Python has no name for it yet."""
LOOK_EACH = 0.05
"""Seconds between two looks at the socket of an engine whose process cannot be seen."""
Answer = dict[str, Any]


class NotRunning(Exception):
    """No engine answers at this base directory; the text says so for people."""


def ask(base: Path, request: Answer, timeout: float = 5.0, *, here: Path | None = None) -> Answer:
    """Send one request to the engine that runs on `base` and return its answer, of printable text alone. Raises NotRunning.

    `here` is another name of `base`: a command is in that folder, and looks up no name twice.
    """
    until = time.monotonic() + timeout
    data = b""
    try:
        with _reach(base, timeout, here) as sock:
            sock.sendall(json.dumps(request).encode() + b"\n")
            while len(data) <= MAX_ANSWER and (chunk := sock.recv(1 << 16)):
                data += chunk
                sock.settimeout(max(0.001, until - time.monotonic()))
        answer = _plain(json.loads(data))
        if not isinstance(answer, dict):
            raise ValueError("no object")
    except ConnectionError:
        raise _nobody(base) from None
    except TimeoutError:
        raise NotRunning(f"the engine on {base} does not answer within {timeout:.0f} s") from None
    except (ValueError, RecursionError):
        raise NotRunning(f"the engine on {base} ended before it had answered") from None
    return answer


def _plain(found: Any) -> Any:
    """What was read, with each text printable: the engine of a base directory may be another's, and steers no terminal."""
    match found:
        case str():
            return printable(found)
        case list():
            return [_plain(each) for each in found]
        case dict():
            return {printable(key): _plain(value) for key, value in found.items()}
    return found


class Peer:
    """The process that answers at a base directory, by the kernel's word: its own number may be another one here."""

    def __init__(self, base: Path, here: Path | None = None) -> None:
        """`here`: see ask(). Raises NotRunning."""
        self._base = base
        self._here = here or base
        with _reach(base, 5.0, here) as sock:
            self._seen = self._socket()
            self._pidfd = _pidfd(sock)

    def ends_within(self, seconds: float) -> bool:
        """Wait until it has ended, without taking the lock from an engine that starts next. False: it has not."""
        if self._pidfd is not None:
            return bool(select.select([self._pidfd], [], [], seconds)[0])
        until = time.monotonic() + seconds
        while (here := self._is_here()) and time.monotonic() < until:
            time.sleep(LOOK_EACH)
        return not here

    def _is_here(self) -> bool:
        """A process that cannot be seen from here has ended when its socket is gone, another's, or served by no process."""
        if self._socket() != self._seen:
            return False
        try:
            _reach(self._base, 5.0, self._here).close()
        except NotRunning:
            return False
        except OSError:
            pass
        return True

    def _socket(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._here / CONTROL)
        except OSError:
            return None
        return found.st_dev, found.st_ino


def _pidfd(sock: socket.socket) -> int | None:
    """A descriptor for the process at the other end; None where the kernel is old and that process is in another namespace."""
    try:
        return sock.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError:
        pid, *_ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    with contextlib.suppress(OSError):
        return os.pidfd_open(pid) if pid > 0 else None
    return None


def _reach(base: Path, timeout: float, here: Path | None = None) -> socket.socket:
    try:
        return _connect(here or base, timeout)
    except (FileNotFoundError, ConnectionError, NotADirectoryError):
        raise _nobody(base) from None


def _nobody(base: Path) -> NotRunning:
    return NotRunning(f"no engine runs on {base}: start it with: enqueuer run --base {base}")


def _connect(base: Path, timeout: float) -> socket.socket:
    """By way of /proc/self/fd: a socket's path ends at 108 bytes, a base directory's does not. Without /proc it must be shorter."""
    folder = os.open(base / "Run", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(f"/proc/self/fd/{folder}/control.sock" if os.path.exists("/proc/self/fd") else str(base / CONTROL))
    except OSError:
        sock.close()
        raise
    finally:
        os.close(folder)
    return sock
