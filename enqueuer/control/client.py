"""Ask a running engine over Run/control.sock: one JSON request a connection, one JSON answer."""

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
"""Bytes of an answer that a command reads. The status of 256 processors and 1000 filters takes less than one MiB."""
SO_PEERPIDFD = 77
"""Linux 6.5; Python has no name for it yet."""
LOOK_EACH = 0.05
"""Seconds between two looks at the socket of an engine whose process is not visible from here."""
Answer = dict[str, Any]


class NotRunning(Exception):
    """No engine answers at this base directory. The text says so for people."""


def ask(base: Path, request: Answer, timeout: float = 5.0, *, here: Path | None = None) -> Answer:
    """Send one request to the engine that runs on `base`; return its answer, with printable text only. Raises NotRunning.

    `here`: another name of `base`, for a command whose current directory it is. Then the path is not resolved twice.
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
    """Make each text in an answer printable: another account's engine must not control our terminal."""
    match found:
        case str():
            return printable(found)
        case list():
            return [_plain(each) for each in found]
        case dict():
            return {printable(key): _plain(value) for key, value in found.items()}
    return found


class Peer:
    """The process that answers at a base directory, as the kernel knows it: its pid may be another one in our namespace."""

    def __init__(self, base: Path, here: Path | None = None) -> None:
        """`here`: see ask(). Raises NotRunning."""
        self._base = base
        self._here = here or base
        with _reach(base, 5.0, here) as sock:
            self._seen = self._socket()
            self._pidfd = _pidfd(sock)

    def ends_within(self, seconds: float) -> bool:
        """Wait until the process has ended, without taking the lock from an engine that starts next. False: it still runs."""
        if self._pidfd is not None:
            return bool(select.select([self._pidfd], [], [], seconds)[0])
        until = time.monotonic() + seconds
        while (here := self._is_here()) and time.monotonic() < until:
            time.sleep(LOOK_EACH)
        return not here

    def _is_here(self) -> bool:
        """Return whether a process that is not visible from here runs. It has ended when its socket is gone, replaced, or not served."""
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
    """Return a descriptor for the process at the other end; None if the kernel is old and that process is in another namespace."""
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
    """Connect over /proc/self/fd: a socket's path has at most 108 bytes, and a base directory's may have more. Without /proc it must be
    shorter.
    """
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
