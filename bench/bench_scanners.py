"""Real scanners behind the drop folder: how much of what a scanner can do does the engine use?

The same messages are scanned for as many processors as the scanner has clients of its own. The clients speak the scanner's protocol on
its socket, one connection a message, as our filters do. A ratio near 1 says that the scanner is the limit, and that more processors or
another queue would bring nothing. clamd behind the milter door is measured in bench_doors.py.
"""

import contextlib
import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import Pile, config, engine
from bench.record import note, sample
from tests.filterlink.filters.daemons import Clamd, Daemon, mail, served
from tests.filterlink.filters.starters import make_rspamd, make_spamd

ROUNDS = 3
CLIENTS = 20
KIB = 64
PATIENCE = 120.0
Request = Callable[[bytes], bytes]


def of_clamd(data: bytes) -> bytes:
    return b"zINSTREAM\0" + len(data).to_bytes(4, "big") + data + bytes(4)


def of_spamd(data: bytes) -> bytes:
    return b"HEADERS SPAMC/1.5\r\nContent-length: %d\r\n\r\n" % len(data) + data


def of_rspamd(data: bytes) -> bytes:
    return b"POST /checkv2 HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(data) + data


def make_clamd(folder: Path) -> Daemon:
    return Clamd(folder, f"MaxThreads {CLIENTS}", "DisableCache yes")


SCANNERS: dict[str, tuple[Callable[..., Daemon], Request, int]] = {
    "clamd": (make_clamd, of_clamd, 400),
    "rspamd": (make_rspamd, of_rspamd, 1000),
    "spamd": (make_spamd, of_spamd, 100),
}
"""Name -> how it is started, its request, and the messages of a round."""


def asked(path: str, request: bytes, messages: int) -> float:
    """Return the messages/s that CLIENTS clients of the scanner get."""
    left = iter(range(messages))
    lock = threading.Lock()

    def client() -> None:
        while True:
            with lock:
                if next(left, None) is None:
                    return
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(PATIENCE)
                sock.connect(path)
                sock.sendall(request)
                answer = b""
                while piece := sock.recv(1 << 16):
                    answer += piece
                    if piece.endswith(b"\0"):
                        break
                if not answer:
                    raise RuntimeError("the scanner gave no answer")

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return messages / (time.monotonic() - begun)


@contextlib.contextmanager
def scanner(name: str) -> Iterator[Daemon]:
    try:
        with served(SCANNERS[name][0]) as daemon:
            daemon.start()
            yield daemon
    except pytest.skip.Exception as missing:
        pytest.skip(str(missing))


@pytest.mark.full
@pytest.mark.benchmark(group=f"real scanners behind the drop folder, {CLIENTS} processors")
@pytest.mark.parametrize("name", SCANNERS)
def test_drop_folder(benchmark: BenchmarkFixture, name: str) -> None:
    """Compare what the engine gets from a scanner with what the scanner's own clients get, in turns."""
    _, request, messages = SCANNERS[name]
    data = mail(os.urandom(KIB << 10))
    with scanner(name) as daemon:
        path = str(daemon.socket)
        program = f"{shlex.quote(sys.executable)} -m enqueuer.cli.app filter {name} --threads {CLIENTS} --socket {shlex.quote(path)}"
        with engine(config(CLIENTS, program, slots=CLIENTS)) as trial:
            asked(path, request(data), CLIENTS)
            Pile(trial, CLIENTS, data).run()

            def turn() -> None:
                theirs = asked(path, request(data), messages)
                pile = Pile(trial, messages, data)
                begun = time.monotonic()
                pile.run()
                ours = messages / (time.monotonic() - begun)
                sample(benchmark, {"by the engine/s": ours, "its own clients/s": theirs, "ratio": ours / theirs})

            note(benchmark, {"scanner": name}, plot=["by the engine/s", "its own clients/s"], judged=["ratio"])
            benchmark.pedantic(turn, rounds=ROUNDS)  # type: ignore[no-untyped-call]
