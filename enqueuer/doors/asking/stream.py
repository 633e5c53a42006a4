"""A stream socket in the loop. It reads bounded pieces, sends without blocking, and reports once that the peer has left."""

import contextlib
import select
import socket
from collections.abc import Callable

from filterlink.wire.loop import READ, WRITE, Loop

__all__ = ["PIECE", "SessionStream"]

PIECE = 64 << 10
"""Bytes that are read at a time: the most that a session keeps of its input."""
MAX_UNSENT = 1 << 20
"""Bytes kept for a peer that does not read. With more the peer counts as gone."""
FLUSH_WITHIN = 30.0
"""Seconds for which a closed stream waits until the peer has read our answers."""
QUICKACK = getattr(socket, "TCP_QUICKACK", 12)
_room = memoryview(bytearray(PIECE))
"""The buffer for reading. All streams of a process share it, because they are in one thread."""


class SessionStream:
    """Calls `received(data)` with each piece, and `ended()` once when the peer has left or does not read our answers."""

    def __init__(self, loop: Loop, sock: socket.socket, received: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        sock.setblocking(False)
        self._loop = loop
        self._sock = sock
        self._received = received
        self._ended = ended
        self._unsent = bytearray()
        self._reading = True
        self._closing = False
        self.closed = False
        self._tcp = sock.family in (socket.AF_INET, socket.AF_INET6)
        if self._tcp:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.watch(sock.fileno(), self._ready)

    def send(self, data: bytes) -> None:
        """Send now, or as soon as the peer reads."""
        if self.closed or self._closing:
            return
        if not self._unsent:
            try:
                data = data[self._sock.send(data, socket.MSG_NOSIGNAL) :]
            except BlockingIOError:
                pass
            except OSError:
                return  # the peer has left: its end is read next
        if data:
            self._unsent += data
            self._watch()
            if len(self._unsent) > MAX_UNSENT:
                self._end()

    def read(self, on: bool) -> None:
        """Read on, or stop reading, so that full buffers of the kernel slow the peer down. The peer's end is noticed in both cases."""
        if self._reading != on:
            self._reading = on
            if not self.closed:
                self._watch()

    def close(self, *, flush: bool = False) -> None:
        """Close without a call of ended(). `flush`: stop reading, and send the unsent bytes first."""
        if self.closed:
            return
        if flush and self._unsent:
            self._closing = True
            self._reading = False
            self._watch()
            self._loop.after(FLUSH_WITHIN, self.close)
            return
        self.closed = True
        self._loop.forget(self._sock.fileno())
        with contextlib.suppress(OSError):
            self._sock.close()

    def _watch(self) -> None:
        self._loop.modify(self._sock.fileno(), (READ if self._reading else 0) | (WRITE if self._unsent else 0) | select.EPOLLRDHUP)

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if self.closed:
            return
        if events & READ and self._reading:
            self._read()
        elif events & ~(READ | WRITE):  # a hang-up or an error while we do not read
            self._end()

    def _read(self) -> None:
        try:
            size = self._sock.recv_into(_room)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self._end()
            return
        if self._tcp:  # a peer that sends in many small pieces would wait 40 ms for our delayed ACK
            self._sock.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
        self._received(bytes(_room[:size]))

    def _flush(self) -> None:
        try:
            del self._unsent[: self._sock.send(self._unsent, socket.MSG_NOSIGNAL)]
        except BlockingIOError:
            return
        except OSError:
            self._end()
            return
        if not self._unsent:
            if self._closing:
                self.close()
            else:
                self._watch()

    def _end(self) -> None:
        closing = self._closing
        self.close()
        if not closing:
            self._ended()
