"""Small servers on Unix sockets: what they do with a connection is a function that runs in a thread."""

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from filterlink.filters.runtime.finding import Policy
from filterlink.filters.runtime.verdict import Verdict, error
from filterlink.filters.servers import clamd, icap
from filterlink.filters.servers.answer import ServerAnswer
from filterlink.filters.servers.clamd import ClamdFilter
from filterlink.filters.servers.exchange import MAX_DEATHS, Exchange, Ping, Terms
from filterlink.filters.servers.icap import IcapFilter
from filterlink.filters.servers.milter import MilterFilter
from filterlink.filters.servers.rspamd import RspamdFilter
from filterlink.filters.servers.service import Address, Away, Unavailable
from filterlink.filters.servers.spamd import SpamdFilter

ANSWER = b"SPAMD/1.1 0 EX_OK\r\nContent-length: 2\r\n\r\n"
Serving = Callable[[Callable[[socket.socket], None]], Address]


def small() -> list[bytes]:
    return [b"message"]


def large() -> list[bytes]:
    return [b"m" * 1_000_000] * 5


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """Starts servers: serving(what)."""
    with contextlib.ExitStack() as stack:

        def start(what: Callable[[socket.socket], None]) -> Address:
            path = tmp_path / f"{time.monotonic_ns()}"
            listener = stack.enter_context(socket.create_server(str(path), family=socket.AF_UNIX))
            thread = threading.Thread(target=_serve, args=(listener, what))
            thread.start()
            stack.callback(thread.join)
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            return Address(str(path))

        yield start


def _serve(listener: socket.socket, what: Callable[[socket.socket], None]) -> None:
    with contextlib.suppress(OSError):
        while True:
            with listener.accept()[0] as sock, contextlib.suppress(OSError):
                sock.settimeout(20)
                what(sock)


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while piece := sock.recv(1 << 20):
        data += piece
    return data


def said(answer: ServerAnswer) -> Verdict:
    return error(answer.body.decode())


def asking(*addresses: Address, wait: float = 20, timeout: float = 20, half_close: bool = True) -> Exchange:
    return Exchange("server", addresses, Terms(wait, timeout), half_close, Ping(b"PING\r\n\r\n", (0,), 10.0))


def test_all_of_it_goes_and_the_answer_comes(serving: Serving) -> None:
    """Larger than any buffer, with our end closed behind it; the answer may come in pieces."""

    def count(sock: socket.socket) -> None:
        text = b"%08d" % len(read_all(sock))
        for piece in (b"SPAMD/1.1 0 EX_OK\r", b"\nContent-length: 8\r\n\r\n", text[:3], text[3:]):
            sock.sendall(piece)

    assert asking(serving(count)).ask(b"head", large, said) == error("05000004")


def test_our_end_stays_open_where_it_has_to(serving: Serving) -> None:
    """A proxy takes a closed end for a client that went away. The answer's length ends it, not the connection."""

    def answer(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(ANSWER + b"ok")
        read_all(sock)

    assert asking(serving(answer), half_close=False).ask(b"", small, said) == error("ok")


def test_an_answer_before_the_end_counts(serving: Serving) -> None:
    """A server that does not want the message says so, and reads no further."""

    def refuse(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.0 413 too large\r\nContent-Length: 0\r\n\r\n")

    assert asking(serving(refuse)).ask(b"", large, lambda answer: error(str(answer.code))) == error("413")


def test_another_one_is_asked_when_one_cannot_answer(serving: Serving) -> None:
    """Whether it says so, or only the function that judges does."""

    def die(sock: socket.socket) -> None:
        sock.recv(1)

    def busy(sock: socket.socket) -> None:
        read_all(sock)
        sock.sendall(b"SPAMD/1.1 75 EX_TEMPFAIL\r\n")

    def work(sock: socket.socket) -> None:
        read_all(sock)
        sock.sendall(ANSWER + b"ok")

    def judge(answer: ServerAnswer) -> Verdict:
        if answer.code:
            raise Unavailable("busy")
        return said(answer)

    assert asking(serving(die), serving(busy), serving(work), wait=0).ask(b"", small, judge) == error("ok")


def test_a_message_that_kills_is_given_up(serving: Serving) -> None:
    """After a few times, however long it might wait: the others want to be judged as well. It comes again later."""
    calls: list[int] = []

    def die(sock: socket.socket) -> None:
        calls.append(1)
        sock.recv(1)

    with pytest.raises(Away, match=r"3 times: the connection (was reset|ended)"):
        asking(serving(die)).ask(b"", small, said)
    assert len(calls) == MAX_DEATHS


@pytest.mark.parametrize("drip", [False, True])
def test_there_is_an_end_to_it(serving: Serving, drip: bool) -> None:
    """After the time-out, also where something comes all the time; the other servers cost nothing more."""

    def linger(sock: socket.socket) -> None:
        never = threading.Event()
        while drip and not never.wait(0.02):
            sock.sendall(b"S")
        read_all(sock)
        sock.recv(1)
        never.wait(0.8)

    began = time.monotonic()
    with pytest.raises(Away):
        asking(serving(linger), serving(linger), timeout=0.5).ask(b"", small, said)

    assert 0.5 <= time.monotonic() - began < 5


def test_an_outage_is_in_the_log(serving: Serving, capfd: pytest.CaptureFixture[str]) -> None:
    """When it begins, and when it ends, however many messages wait."""
    died: list[int] = []

    def die_twice(sock: socket.socket) -> None:
        read_all(sock)
        if len(died) == 2:
            sock.sendall(ANSWER + b"ok")
        else:
            died.append(1)

    address = serving(die_twice)
    exchange = asking(address)
    assert [exchange.ask(b"", small, said) for _ in range(2)] == [error("ok")] * 2

    outage = f"server at {address}: the connection ended without an answer"
    assert capfd.readouterr().err.splitlines() == [outage, f"server at {address}: answers again"]


def _dripping(begin: bytes, drop: bytes, done: list[str]) -> Callable[[socket.socket], None]:
    """A server that answers `begin`, then `drop` each 10 ms without end, until we let go of the connection."""

    def serve(sock: socket.socket) -> None:
        sock.sendall(begin)
        for _ in range(2000):
            select.select([], [], [], 0.01)
            if select.select([sock], [], [], 0)[0]:
                sock.recv(1 << 20)
            try:
                sock.sendall(drop)
            except OSError:
                done.append("let go")
                return
        done.append("has dripped for 20 s")

    return serve


OFFERED = struct.pack("!I", 13) + b"O" + struct.pack("!III", 6, 0, 0)
QUICK = Terms(wait=0, timeout=0.3)
DRIPPING: dict[str, tuple[bytes, bytes, Callable[[Address], Any]]] = {
    "clamd": (b"1: ", b"x", lambda address: ClamdFilter([address], clamd.ClamdSettings(wait=0, timeout=0.3))),
    "spamd": (b"SPAMD/1.1 0 EX_OK\r\nX: ", b"x", lambda address: SpamdFilter([address], terms=QUICK)),
    "rspamd": (b"HTTP/1.0 200 OK\r\nX: ", b"x", lambda address: RspamdFilter([address], terms=QUICK)),
    "icap": (b"ICAP/1.0 200 OK\r\nX: ", b"x", lambda address: IcapFilter([address], icap.IcapSettings("scan", wait=0, timeout=0.3))),
    "milter": (OFFERED, b"\0\0\0\1p", lambda address: MilterFilter([address], terms=QUICK)),
}


@pytest.mark.parametrize("name", DRIPPING)
def test_a_byte_now_and_then_is_no_answer(serving: Serving, queued: Callable[[bytes], str], name: str) -> None:
    """One time holds for the whole answer, and its message is deferred."""
    done: list[str] = []
    begin, drop, make = DRIPPING[name]
    verdict = make(serving(_dripping(begin, drop, done))).judge(queued(b"From: a@b\n\nhello\n"))

    assert (verdict.word, "time" in verdict.text) == ("REJECTED", True)
    for _ in range(2000):
        if done:
            break
        select.select([], [], [], 0.01)
    assert set(done) == {"let go"}


PASS = Policy(unscannable="pass")
PATIENT = Terms(unscannable="pass")
PROXIED: dict[str, Callable[[Address], Any]] = {
    "clamd": lambda address: ClamdFilter([address], clamd.ClamdSettings(PASS)),
    "spamd": lambda address: SpamdFilter([address], terms=PATIENT),
    "rspamd": lambda address: RspamdFilter([address], terms=PATIENT),
    "icap": lambda address: IcapFilter([address], icap.IcapSettings("scan", PASS)),
    "milter": lambda address: MilterFilter([address], terms=PATIENT),
}


@pytest.mark.parametrize("read", [False, True])
@pytest.mark.parametrize("name", PROXIED)
def test_a_proxy_without_a_server_passes_no_mail(serving: Serving, queued: Callable[[bytes], str], name: str, read: bool) -> None:
    """It takes connections and closes them: the message waits, whatever --unscannable says, as nothing says that it is to blame."""

    def close(sock: socket.socket) -> None:
        if read:
            sock.recv(4)

    verdict = PROXIED[name](serving(close)).judge(queued(b"From: a@b\n\nhello\n"))

    assert (verdict.word, "3 times" in verdict.text) == ("REJECTED", True)
