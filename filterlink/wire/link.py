"""Link the processes: AF_UNIX SOCK_SEQPACKET, one frame a record, read to the end.

Each link is a connection to a listener that outlives the process which serves it. So a caller whose peer was killed
connects again, and waits in the backlog for the next process. After a peer's SIGKILL the first recv can fail with ECONNRESET,
and only *then* return the peer's last frames: both classes read on until the end is certain.
"""

import contextlib
import errno
import logging
import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from filterlink.wire.frames import MAX_FRAME
from filterlink.wire.loop import READ, WRITE, Loop

__all__ = ["GARBAGE", "Accept", "Channel", "Link", "connect", "listen", "serve", "serve_instead"]

log = logging.getLogger("LINK")

BACKLOG = 1024
"""Connections that can wait while the serving process is being replaced; more than the highest number of processors."""
MAX_UNSENT = 10_000
"""Frames kept for a peer that does not read. With more the peer counts as gone."""
ACCEPT_PAUSE = 1.0
"""Seconds without accept when no descriptor or memory is left. The caller goes on waiting, and the loop must not spin."""
LINES_A_SECOND = 3
"""Log lines a second about closed links."""
Accept = Callable[[socket.socket], None]
"""Called with each connection that a listener accepts."""
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_room = memoryview(bytearray(MAX_FRAME + 4096))
"""Buffer for the frame that is being read. All links of a process are in one thread, and a new buffer would cost more than a frame."""
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ESHUTDOWN)
GARBAGE = (msgspec.MsgspecError, ValueError, RecursionError)
"""The exceptions that a decoder raises for bytes that are not a frame."""


def listen(path: str) -> socket.socket:
    """Bind a listener at `path` (relative, at most 107 bytes), replacing a stale one."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    os.chmod(path, 0o600)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def connect(path: str) -> socket.socket:
    """Connect to a listener. Raises OSError if no process has bound it."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


class Channel:
    """A link for a process that waits for one thing at a time: send and receive block."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def fileno(self) -> int:
        return self.sock.fileno()

    def send(self, frame: bytes) -> bool:
        """Send one frame; return False if the peer is gone."""
        try:
            self.sock.send(frame, socket.MSG_NOSIGNAL)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return False
        return True

    def receive(self) -> bytes:
        """Return the next frame; b"" at the end of the link."""
        while True:
            try:
                return self.sock.recv(MAX_FRAME + 4096)
            except ConnectionResetError:  # not the end
                continue

    def close(self) -> None:
        self.sock.close()


class Link:
    """A link in a loop: it calls back with each frame, never blocks in send, and reports its end once.

    `on_frame(link, frame)` gets the decoded record. A record that cannot be decoded and a socket that fails are the peer's
    fault: the link closes, logs a line, and calls `on_end`. With `vital` it raises instead, because this process is useless
    without that peer.
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        decode: Callable[[memoryview], Any],
        on_frame: Callable[["Link", Any], None],
        on_end: Callable[["Link"], None],
        *,
        vital: bool = False,
    ) -> None:
        sock.setblocking(False)
        self.peer: Any = None  # the Hello of the peer, or the owner's own note about it
        self._loop = loop
        self._sock = sock
        self._decode = decode
        self._on_frame = on_frame
        self._on_end = on_end
        self._unsent: deque[bytes] = deque()
        self._vital = vital
        self.burst = 1
        """Frames that are read in one turn of the loop. Most peers ask one thing at a time."""
        self.most_unsent = MAX_UNSENT
        self.closed = False
        loop.watch(sock.fileno(), self._ready)

    def send(self, frame: bytes) -> None:
        """Send now, or as soon as the peer reads. Do nothing if the link has ended."""
        if self.closed:
            return
        if self._unsent or not self._send_now(frame):
            self._unsent.append(frame)
            self._loop.modify(self._sock.fileno(), READ | WRITE)
            if len(self._unsent) > self.most_unsent:
                self._end()

    def handle(self, on_frame: Callable[["Link", Any], None], on_end: Callable[["Link"], None]) -> None:
        """Call these functions instead, from the next frame on: the first frame has named the peer."""
        self._on_frame = on_frame
        self._on_end = on_end

    @property
    def caller(self) -> int:
        """Return the pid of the process that connected, as the kernel reports it (SO_PEERCRED)."""
        pid, *_ = struct.unpack("3i", self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        return int(pid)

    def read_to_end(self) -> None:
        """Read all frames that are there now: for a peer that is known to be dead."""
        while not self.closed and self._read_one():
            pass

    def close(self) -> None:
        """Close without a call of on_end."""
        if not self.closed:
            self.closed = True
            self._loop.forget(self._sock.fileno())
            self._sock.close()

    def abandon(self) -> None:
        """Close the parent's link in a forked child, without touching the loop: parent and child share its epoll."""
        self.closed = True
        self._sock.close()

    def _send_now(self, frame: bytes) -> bool:
        try:
            self._sock.send(frame, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _GONE:
                self._give_up(error)
        return True  # sent, or the peer is gone: then its end is read after its last frames

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if events & ~WRITE:
            for _ in range(self.burst):  # no peer may keep the loop from the others
                if self.closed or not self._read_one():
                    break

    def _read_one(self) -> bool:
        """Read one frame; return False if there is none now."""
        try:
            size = self._sock.recv_into(_room)
            frame = self._decode(_room[:size]) if size else None
        except BlockingIOError:
            return False
        except ConnectionResetError:  # not the end
            return True
        except (OSError, *GARBAGE) as error:
            self._give_up(error)
            return False
        if not size:  # the end
            self._end()
            return False
        self._on_frame(self, frame)
        return True

    def _flush(self) -> None:
        while self._unsent and not self.closed and self._send_now(self._unsent[0]):
            self._unsent.popleft()
        if not self._unsent and not self.closed:
            self._loop.modify(self._sock.fileno(), READ)

    def _give_up(self, error: Exception) -> None:
        """Close the link to a peer that sends garbage or cannot be reached. Raises `error` if the link is vital."""
        if self._vital:
            raise error
        _complain(f"a link to {self.peer or 'another process'} is closed: {type(error).__name__}: {error}")
        self.close()
        self._loop.soon(lambda: self._on_end(self))  # not now: the owner may be in the middle of a change

    def _end(self) -> None:
        self.close()
        self._on_end(self)


_complaints = [0, 0]
"""The second of the last complaints, and their number in that second."""


def _complain(text: str) -> None:
    """Log at most LINES_A_SECOND lines a second: a caller may send garbage as fast as it can."""
    second = int(time.monotonic())
    count = _complaints[1]
    if second != _complaints[0]:
        if count > LINES_A_SECOND:
            log.error("%d more links were closed", count - LINES_A_SECOND)
        _complaints[:] = second, 0
    _complaints[1] += 1
    if _complaints[1] <= LINES_A_SECOND:
        log.error("%.300s", text)


def serve(loop: Loop, listener: socket.socket, accepted: Accept) -> None:
    """Call `accepted` with each connection that the listener gets."""

    def ready(_events: int) -> None:
        try:
            while True:
                accepted(listener.accept()[0])
        except (BlockingIOError, ConnectionAbortedError):
            pass
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            loop.modify(listener.fileno(), 0)
            loop.after(ACCEPT_PAUSE, again)

    def again() -> None:
        with contextlib.suppress(OSError):  # meanwhile the listener may have been closed or forgotten
            loop.modify(listener.fileno(), select.EPOLLIN)

    loop.watch(listener.fileno(), ready, select.EPOLLIN)


def serve_instead(loop: Loop, old: socket.socket, new: socket.socket, accepted: Accept) -> None:
    """Serve a listener that was bound again. Serve the old one for ACCEPT_PAUSE more, for callers that had connected to it."""

    def close() -> None:
        loop.forget(old.fileno())
        old.close()

    serve(loop, new, accepted)
    loop.after(ACCEPT_PAUSE, close)
