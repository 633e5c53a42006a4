"""`python -m bench.peers.load link|defang SOCKET CLIENTS REQUESTS`: the same as load.c, with clients in Python.

Each client is a process, as the processors of an engine are. Both kinds do only what their protocol requires. The first
encodes, sends, receives and decodes a frame as the engine's client does, on one link for all questions. The other connects for each
question, sends a line and reads until the multiplexor closes. The output is that of load.c.
"""

import mmap
import os
import socket
import struct
import sys
import time

import msgspec

from filterlink.wire.frames import AnswerKind, Ask, Hello, Park, VerdictFrame, encode
from filterlink.wire.link import connect

ROOM = 4096
TALLY = struct.Struct("qq")
"""How many of a client's questions were answered, and how many refused."""

_decode = msgspec.msgpack.Decoder(VerdictFrame | Park).decode


def ask_link(path: str, client: int, count: int) -> int:
    """Enqueuer: one connection for all questions. Return how many were answered."""
    answered = 0
    with connect(path) as link:
        link.send(encode(Hello("processor", client, 1, os.getpid())))
        for n in range(count):
            link.send(encode(Ask((client << 32) + n, 1, "F", False, 100, False)))
            verdict = _decode(link.recv(ROOM))
            answered += isinstance(verdict, VerdictFrame) and verdict.answer.kind is AnswerKind.OK
    return answered


def ask_defang(path: str, client: int, count: int) -> int:
    """MIMEDefang: a connection for each question. Return how many were answered."""
    answered = 0
    for n in range(count):
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(path)
            link.send(b"scan Q%d /tmp\n" % ((client << 32) + n))
            answer = b""
            while data := link.recv(ROOM):
                answer += data
        answered += answer.startswith(b"ok")
    return answered


KINDS = {"link": ask_link, "defang": ask_defang}


def main() -> int:
    kind = sys.argv[1]
    path = sys.argv[2]
    clients = int(sys.argv[3])
    requests = int(sys.argv[4])
    tally = mmap.mmap(-1, clients * TALLY.size)
    start, starter = os.pipe()
    for n in range(clients):
        if os.fork() == 0:
            os.close(starter)
            os.read(start, 1)  # the end of the pipe is the start signal
            answered = KINDS[kind](path, n + 1, requests // clients)
            TALLY.pack_into(tally, n * TALLY.size, answered, requests // clients - answered)
            os._exit(0)
    time.sleep(0.02)  # all of them wait for the signal
    since = time.monotonic()
    os.close(start)
    os.close(starter)
    failed = max(os.wait()[1] for _ in range(clients))
    seconds = time.monotonic() - since
    answered, refused = (sum(counts) for counts in zip(*TALLY.iter_unpack(tally), strict=True))
    print(f"{answered} {refused} {seconds:.6f}")
    return int(failed != 0)


if __name__ == "__main__":
    sys.exit(main())
