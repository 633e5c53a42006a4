"""Ask the running engine about messages over Run/scan.sock, by a small HTTP client that loads in a few milliseconds.

Root may ask the engine of another account. So the client connects to the very socket that it has checked, and resolves its name once.
"""

import contextlib
import json
import os
import select
import socket
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from enqueuer.control.client import NotRunning

__all__ = ["RefusedScan", "ScanSocket"]

SOCKET = "Run/scan.sock"
MAX_ANSWER = 64 << 20
"""Bytes of an answer that are read."""
WITHIN = 300.0
"""Seconds without progress. A door answers within 250 s."""


class RefusedScan(Exception):
    """The engine made no decision. The text has the reason."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ScanSocket:
    """The door of an engine for `enqueuer scan`. Many threads may share it."""

    def __init__(self, base: Path) -> None:
        """Raises NotRunning, and OSError if this account may not ask."""
        self._absent = NotRunning(f"no engine runs on {base}: start it with `enqueuer run --base {base}`, or scan with --standalone")
        self._path = str(base / SOCKET)
        try:
            self._fd = os.open(self._path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise self._absent from None
        found = os.fstat(self._fd)
        self.owner = found.st_uid
        """The account of the engine."""
        if not stat.S_ISSOCK(found.st_mode) or self.owner != os.stat(base).st_uid:
            raise NotRunning(f"{self._path} is not the socket of the engine on {base}")
        if os.path.exists("/proc/self/fd"):
            self._path = f"/proc/self/fd/{self._fd}"
        self._connect().close()

    def ask(self, fields: bytes, pieces: Iterable[bytes]) -> dict[str, Any]:
        """Ask about one message. `fields`: header fields of the request, each with CRLF.

        Return the decision. Raises RefusedScan; NotRunning if the engine has ended; OSError if a piece cannot be read.
        """
        with self._connect() as sock:
            head = b"POST /scan HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n%s\r\n" % fields
            try:
                self._send(sock, head)
                for piece in pieces:
                    if select.select((sock,), (), (), 0)[0]:
                        break  # it has answered already
                    if piece:
                        self._send(sock, b"%x\r\n%s\r\n" % (len(piece), piece))
                else:
                    self._send(sock, b"0\r\n\r\n")
            except _Unsent:
                pass  # the answer says why
            return self._read(sock)

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(WITHIN)
            sock.connect(self._path)
        except (FileNotFoundError, ConnectionError):
            sock.close()
            raise self._absent from None
        except OSError:
            sock.close()
            raise
        return sock

    @staticmethod
    def _send(sock: socket.socket, data: bytes) -> None:
        try:
            sock.sendall(data)
        except OSError:
            raise _Unsent from None

    def _read(self, sock: socket.socket) -> dict[str, Any]:
        data = b""
        with contextlib.suppress(OSError):  # what has come counts
            while len(data) <= MAX_ANSWER and (piece := sock.recv(1 << 16)):
                data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        try:
            status = int(head.split(None, 2)[1])
            found = json.loads(body)
            if status == 200 and isinstance(found, dict):
                return found
            raise RefusedScan(status, str(found["error"]))
        except (ValueError, IndexError, KeyError, TypeError, RecursionError):
            raise NotRunning("the engine ended before it had answered") from None


class _Unsent(Exception):
    """The engine has stopped reading."""
