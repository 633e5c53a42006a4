"""Answer commands over Run/control.sock: one JSON request a connection, one JSON answer.

A stream socket, because the status of many processors does not fit into one record of the other links.
"""

import contextlib
import json
import os
import socket
from collections.abc import Callable
from typing import Annotated

import msgspec

from enqueuer.control.client import CONTROL, Answer
from filterlink.wire.loop import READ, WRITE, Loop

__all__ = ["MAX_OPEN", "MAX_REQUEST", "CommandRequest", "ControlServer", "Reply", "listen", "read_request"]

MAX_REQUEST = 4096
"""Bytes of a request, which is a few words. A caller that sends more is disconnected."""
REQUEST_WITHIN = 5.0
"""Seconds in which a caller must send its request, and seconds in which it must read the answer."""
MAX_OPEN = 128
"""Connections that may be open at once. One more closes the oldest without a request, else the oldest."""
Reply = Callable[[Answer], None]


class CommandRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The request of a command. An unknown key is refused: a typing error such as `nwo` must not mean the default of `now`."""

    command: str
    id: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 0
    """A message; 0 = no message, or all of them."""
    ids: Annotated[tuple[Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)], ...], msgspec.Meta(max_length=500)] = ()
    """The messages of `states`."""
    filter: str = ""
    """Of `retry`: the filter whose messages are meant."""
    now: bool = False
    until: Annotated[float, msgspec.Meta(ge=0, le=1e11)] = 0.0
    """Of `hold`: seconds since 1970; 0 = until it is released."""
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""
    """Of `hold`."""


def read_request(line: bytes) -> CommandRequest:
    """Decode a request. Raises ValueError with a description of a valid one."""
    try:
        return _decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ValueError(
            f"a request must be one JSON object on one line, with the keys command, id, ids, filter, now, until and reason: {error}"
        ) from None


_decode = msgspec.json.Decoder(CommandRequest).decode


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
    """Passes each request to `handle(request, reply)`, which calls reply once, now or later. It never blocks. serve() gives it a
    listener.
    """

    def __init__(self, loop: Loop, handle: Callable[[CommandRequest, Reply], None]) -> None:
        self._loop = loop
        self._handle = handle
        self._open: dict[_Connection, None] = {}  # the oldest first

    def accept(self, sock: socket.socket) -> None:
        if len(self._open) >= MAX_OPEN:
            next((each for each in self._open if not each.asked), next(iter(self._open))).close()
        self._open[_Connection(self._loop, sock, self._handle, self._open.pop)] = None

    def abandon(self) -> None:
        """Close in a child what the supervisor uses, without an answer to any caller."""
        for connection in self._open:
            connection.sock.close()


class _Connection:
    def __init__(
        self, loop: Loop, sock: socket.socket, handle: Callable[[CommandRequest, Reply], None], gone: "Callable[[_Connection], None]"
    ) -> None:
        self.sock = sock
        self.asked = False
        self._loop = loop
        self._handle = handle
        self._gone = gone
        self._read = b""
        self._unsent = b""
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
        """Return the request when it is complete, else None."""
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
