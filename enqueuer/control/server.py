"""The commands' way to a running engine: Run/control.sock, one JSON request a connection, one JSON answer.

A stream socket, since a status of many processors does not fit into one record of the other links.
"""

import contextlib
import json
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec

from enqueuer.queue.message.printable import printable
from filterlink.wire.loop import READ, WRITE, Loop

__all__ = ["CONTROL", "MAX_OPEN", "MAX_REQUEST", "ControlServer", "NotRunning", "Peer", "Reply", "Request", "ask", "listen", "read_request"]

CONTROL = "Run/control.sock"
MAX_REQUEST = 4096
"""Bytes of a request, which is a few words; a caller that sends more is cut off."""
REQUEST_WITHIN = 5.0
"""Seconds in which a caller must have sent its request, and in which it must have taken its answer."""
MAX_OPEN = 128
"""Connections that are open at once. One more costs the oldest that has asked nothing, else the oldest."""
MAX_ANSWER = 16 << 20
"""Bytes of an answer that a command reads; the status of 256 processors and 1000 filters takes less than one MiB."""

SO_PEERPIDFD = 77
"""Linux 6.5; Python has no name for it yet."""
LOOK_EACH = 0.05
"""Seconds between two looks at the socket of an engine whose process cannot be seen."""
Answer = dict[str, Any]
Reply = Callable[[Answer], None]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a command asks for. An unknown key is refused: `nwo` must not mean its default."""

    command: str
    id: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 0
    """A message; 0 = no message, or all of them."""
    now: bool = False


_decode = msgspec.json.Decoder(Request).decode


def read_request(line: bytes) -> Request:
    """Raises ValueError with what a request is."""
    try:
        return _decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ValueError(f"a request is one JSON object on one line, with the keys command, id and now: {error}") from None


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
        self._base, self._here = base, here or base
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


def listen(path: str = CONTROL) -> socket.socket:
    """Bind the control socket below the current directory, for the engine's own user only."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.chmod(path, 0o600)
    listener.listen(64)
    listener.setblocking(False)
    return listener


class ControlServer:
    """Hands each request to `handle(request, reply)`, which calls reply once, now or later. Never blocks. It serves no listener yet."""

    def __init__(self, loop: Loop, handle: Callable[[Request, Reply], None]) -> None:
        self._loop, self._handle = loop, handle
        self._open: dict[_Connection, None] = {}  # the oldest first

    def accept(self, sock: socket.socket) -> None:
        if len(self._open) >= MAX_OPEN:
            next((each for each in self._open if not each.asked), next(iter(self._open))).close()
        self._open[_Connection(self._loop, sock, self._handle, self._open.pop)] = None

    def abandon(self) -> None:
        """In a child: close what the supervisor talks over, without a word."""
        for connection in self._open:
            connection.sock.close()


class _Connection:
    def __init__(
        self, loop: Loop, sock: socket.socket, handle: Callable[[Request, Reply], None], gone: "Callable[[_Connection], None]"
    ) -> None:
        self.sock = sock
        self.asked = False
        self._loop, self._handle, self._gone = loop, handle, gone
        self._read, self._unsent = b"", b""
        self._closed = False
        sock.setblocking(False)
        loop.watch(sock.fileno(), self._ready)
        self._deadline = loop.after(REQUEST_WITHIN, self.close)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._deadline.cancel()
            self._loop.forget(self.sock.fileno())
            self.sock.close()
            self._gone(self)

    def _ready(self, events: int) -> None:
        line = None
        try:
            if self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
                if not self._unsent:
                    self.close()
            elif events & READ:
                line = self._receive()
            else:
                self.close()
        except BlockingIOError:
            pass
        except OSError:
            self.close()
        if line is not None:
            self._dispatch(line)

    def _receive(self) -> bytes | None:
        """The request, once it is there to its end."""
        data = self.sock.recv(MAX_REQUEST)
        self._read += data
        line, newline, _ = self._read.partition(b"\n")
        if not data or len(line) > MAX_REQUEST:
            self.close()
        elif newline and not self.asked:
            self.asked = True
            self._deadline.cancel()
            self._loop.modify(self.sock.fileno(), 0)
            return line
        return None

    def _dispatch(self, line: bytes) -> None:
        try:
            request = read_request(line)
        except ValueError as error:
            self._reply({"ok": False, "error": str(error), "text": str(error)})
        else:
            self._handle(request, self._reply)

    def _reply(self, answer: Answer) -> None:
        if not self._closed:
            self._unsent = json.dumps(answer).encode() + b"\n"
            self._deadline = self._loop.after(REQUEST_WITHIN, self.close)
            self._loop.modify(self.sock.fileno(), WRITE)
