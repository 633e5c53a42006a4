"""Clients that misbehave at the milter door of a whole engine: others go on, nothing is left, the log has a line, memory stays flat."""

import contextlib
import os
import re
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial
from tests.helpers.doorcells import DOOR
from tests.helpers.mta import Mta, free_port, packet
from tests.helpers.paths import HELPERS

OFFER = packet(b"O", struct.pack("!III", 6, 0x1FF, 0x1FFFFF))
CONNECT = packet(b"C", b"mx.example\x004\x1f\x90192.0.2.1\0")
MAIL = packet(b"M", b"<a@b>\0")
RCPT = packet(b"R", b"<c@d>\0")
FIELD = packet(b"L", b"Subject\0 x\0")
SLOW = packet(b"L", b"X-Judge\0 30 OK\0")
END_OF_HEADER = packet(b"N")
BODY = packet(b"B", b"x" * 65535)
END = packet(b"E")
PHASES = (OFFER, CONNECT, MAIL, RCPT, SLOW, END_OF_HEADER, BODY, END)
MIB = 1 << 20


class Target:
    """An engine with a milter door, and a client that behaves."""

    def __init__(self, engine: Trial, port: int) -> None:
        self.engine = engine
        self.port = port
        self.good = Mta(port).greet()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 20)

    def memory(self) -> int:
        """Return the most memory that the door process has had, in bytes."""
        [pid] = self.engine.pids("door")
        return int(re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[0]) << 10

    def left(self) -> list[str]:
        return os.listdir(self.engine.base / "Asked")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    port = free_port()
    judge = f'program = "{sys.executable} {HELPERS / "judge.py"}"'
    config = f"""
[spool]
max_size = "128M"
[[filters]]
name = "Judge"
{judge}
max_in_flight = 50
[[rules]]
name = "scan everything"
actions = [["ExternalFilter", "Judge"]]
[[routes]]
recipient = "*"
to = "OUT"
{DOOR.format(name="mta", port=port, more="")}
"""
    with Trial(tmp_path_factory.mktemp("hostile") / "base", config) as engine:
        found = Target(engine, port)
        yield found
        found.good.sock.close()


@pytest.fixture(autouse=True)
def unharmed(target: Target) -> Iterator[None]:
    """Check after each test that a client from before it is served, and that nothing is left."""
    began = target.memory()
    pids = target.engine.pids("door")
    yield
    assert target.good.ask(b"Subject: x\n\nbody\n").letter == b"c"
    target.engine.wait(lambda: not target.left(), "nothing is left in Asked/")
    assert target.engine.pids("door") == pids
    assert target.memory() < began + 16 * MIB


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "an unknown command"),
        (os.urandom(100_000).replace(b"\0", b"x"), "an unknown command"),
        (b"\xff\xff\xff\xffO", "a packet O of 4294967295 bytes"),
        (OFFER + b"\0\0\0\0M", "a packet M of 0 bytes"),
        (OFFER + b"\x7f\xff\xff\xffB" + BODY * 10, "a packet B of 2147483647 bytes"),
        (END, "E before its options"),
        (OFFER + BODY, "B without MAIL"),
        (OFFER + MAIL + RCPT + FIELD + MAIL + END_OF_HEADER + RCPT, "a recipient after the header"),
        (OFFER + MAIL + RCPT + FIELD + END_OF_HEADER + FIELD, "a header field after the header"),
    ],
)
def test_nonsense(target: Target, data: bytes, text: str) -> None:
    with target.connect() as sock:
        with contextlib.suppress(OSError):
            sock.sendall(data)
        with contextlib.suppress(OSError):
            while sock.recv(65536):
                pass
    target.engine.wait(lambda: f"door mta: 127.0.0.1 sends {text}: the connection is closed" in target.engine.log(), "the log says it")


@pytest.mark.parametrize("count", range(1, len(PHASES) + 1))
@pytest.mark.parametrize("reset", [False, True])
def test_an_mta_that_dies_in_each_phase(target: Target, count: int, reset: bool) -> None:
    """By a closed connection, or by a reset; in the middle of a packet, too."""
    for cut in (0, 3):
        with target.connect() as sock:
            data = b"".join(PHASES[:count])
            sock.sendall(data[: len(data) - cut])
            if count > 6 and not cut:  # what is small is not on the disk yet
                target.engine.wait(lambda: bool(target.left()), "the message is there")
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    target.engine.wait(lambda: not target.left(), "nothing is left")


def test_many_idle_connections_and_slow_ones(target: Target) -> None:
    """200 that say nothing, 20 that say a byte now and then, 20 that wait for an answer."""
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(target.connect()) for _ in range(200)]
        slow = [stack.enter_context(target.connect()) for _ in range(20)]
        waiting = [stack.enter_context(target.connect()) for _ in range(20)]
        for sock in waiting:
            sock.sendall(b"".join(PHASES))
        target.engine.wait(lambda: len(target.left()) == 20, "20 wait")
        for byte in (OFFER + CONNECT + MAIL)[:30]:
            for sock in slow:
                sock.sendall(bytes((byte,)))
        began = time.monotonic()
        assert target.good.ask(b"Subject: x\n\nbody\n").letter == b"c"
        took = time.monotonic() - began
        shown = target.engine.wait(
            lambda: (doors := target.engine.status()["doors"])[0]["sessions"] == 241 and doors, "the status has them"
        )
        assert len(idle) == 200
    print(f"one message beside 240 sessions: {took:.3f} s; {shown}")
    assert took < 2


@pytest.mark.parametrize("field", [True, False])
def test_messages_that_are_too_large(target: Target, field: bool) -> None:
    """The end of a message with 8 MiB of header, or 160 MiB of body, is answered; the disk gets no more than is allowed."""
    most = 0
    with target.connect() as sock:
        sock.sendall(b"".join(PHASES[:4]))
        for number in range(80 if field else 1600):
            sock.sendall(packet(b"L", b"X-Large\0" + b"x" * 100_000 + b"\0") if field else packet(b"B", b"x" * 100_000))
            if not number % 20:
                with contextlib.suppress(FileNotFoundError):
                    most = max([most, *(path.stat().st_size for path in (target.engine.base / "Asked").iterdir())])
        sock.sendall(END)
        answer = b""
        while not answer.endswith(b"\0") or b"552 " not in answer:
            data = sock.recv(65536)
            assert data, answer
            answer += data

    assert b"552 5.3.4 the " in answer
    assert most <= (5 if field else 129) * MIB
    target.engine.wait(lambda: "a message of 127.0.0.1 is refused: 552 5.3.4 the " in target.engine.log(), "the log says it")


def test_a_large_message_streams(target: Target) -> None:
    """100 MiB, as one of ordinary size: memory of the door stays flat."""
    with target.connect() as sock:
        sock.sendall(b"".join((*PHASES[:4], FIELD, END_OF_HEADER)))
        for _ in range(100 * MIB // 65535):
            sock.sendall(BODY)
        sock.sendall(END)
        answer = b""
        while not answer.endswith(packet(b"c")):
            data = sock.recv(65536)
            assert data, answer
            answer += data


def test_recipients_without_an_end(target: Target) -> None:
    with target.connect() as sock:
        sock.sendall(b"".join(PHASES[:3]))
        for number in range(60_000):
            sock.sendall(packet(b"R", b"<user%d@example.com>\0" % number))
        sock.sendall(FIELD + END)
        answer = b""
        while b"452 4.5.3 more than 50000 recipients\0" not in answer:
            data = sock.recv(65536)
            assert data, answer
            answer += data
