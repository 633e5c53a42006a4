"""The bare multiplexer: the most that a multiplexer in Python can reach here, as the bare loop is for the engine.

    python -m bench.limits.mux FOLDER PROGRAM

It speaks filterlink's frames with its clients on FOLDER/link and the helper protocol with one PROGRAM, all request lines of a turn
in one write, and nothing else. It has no lanes, slots, time-outs, restarts, log, suspects or status, it trusts every answer and knows
one verdict. The difference to filterlink is the cost of filterlink's duties; the difference to a multiplexer in C is the cost of Python.
"""

import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable

import msgspec

from filterlink.wire.link import listen

__all__: list[str] = []

ROOM = 1 << 16

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Bare:
    """The bare multiplexer's loop."""

    def __init__(self, listener: socket.socket, to_helper: int, from_helper: int) -> None:
        self._poll = select.epoll()
        self._listener = listener
        self._to_helper = to_helper
        self._from_helper = from_helper
        self._asked: dict[bytes, tuple[socket.socket, int, int]] = {}
        self._lines: list[bytes] = []
        self._number = 0
        self._tail = b""
        self._ready: dict[int, Callable[[], None]] = {}
        self._watch(listener.fileno(), self._accept)
        self._watch(from_helper, self._answered)

    def _watch(self, fd: int, ready: Callable[[], None]) -> None:
        self._ready[fd] = ready
        self._poll.register(fd, select.EPOLLIN)

    def run(self) -> None:
        """Serve without an end."""
        ready = self._ready
        while True:
            for fd, _ in self._poll.poll():
                ready[fd]()
            if self._lines:
                os.write(self._to_helper, b"".join(self._lines))
                self._lines.clear()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        fd = client.fileno()

        def take() -> None:
            data = client.recv(ROOM)
            if not data:
                self._poll.unregister(fd)
                client.close()
                return
            kind, id, n, *_ = _decode(data)
            if kind == "ask":
                self._number += 1
                number = b"%d" % self._number
                self._asked[number] = client, id, n
                self._lines.append(b"%b FILE Queue/%d.msg\n" % (number, id))

        self._watch(fd, take)

    def _answered(self) -> None:
        *lines, self._tail = (self._tail + os.read(self._from_helper, ROOM)).split(b"\n")
        for line in lines:
            client, id, n = self._asked.pop(line.partition(b" ")[0])
            client.send(_encode(("verdictframe", id, n, "F", ("ok",))))


def main() -> None:
    folder, program = sys.argv[1:]
    os.chdir(folder)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as helper:
        assert helper.stdin is not None
        assert helper.stdout is not None
        Bare(listen("link"), helper.stdin.fileno(), helper.stdout.fileno()).run()


if __name__ == "__main__":
    main()
