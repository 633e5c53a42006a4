"""The multiplexer alone: how many questions a second does it answer for many clients, with no files and no engine?

The answer shows whether filterlink, or one helper behind it, is ever the bottleneck. Each client is a process that asks, waits for
its verdict, and asks again, as a processor does; one helper process answers at once. With `pipelining = true` several questions
are in the helper's pipe. Without it (the default, for helpers that read one line a wake-up) there is one. Clients and helper are
Python on the same cores, and with few clients their wake-ups dominate.
"""

import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import HELPER, folder
from bench.record import note
from filterlink.config.settings import Filter
from filterlink.server import MultiplexerServer
from filterlink.wire.client import Client
from filterlink.wire.frames import Ask, Hello
from filterlink.wire.link import listen
from filterlink.wire.loop import Loop

QUESTIONS = 16_000
PROGRAM = f"{shlex.quote(sys.executable)} {shlex.quote(str(HELPER))} noop"


def counts() -> list[object]:
    return [8, *(pytest.param(n, marks=pytest.mark.full) for n in (1, 2, 4, 16, 64, 160))]


class Crowd:
    """Connected clients that wait for a start signal; `run` is timed."""

    def __init__(self, clients: int, questions: int) -> None:
        self._starting, starter = os.pipe()
        self._ready, readies = os.pipe()
        self._starter = starter
        self._pids = [self._fork(n, questions, readies) for n in range(clients)]
        for _ in self._pids:
            os.read(self._ready, 1)
        os.close(readies)

    def run(self) -> None:
        """Let all ask, and wait until all have their last verdict. Raises RuntimeError if one has none."""
        os.close(self._starter)
        failed = [pid for pid in self._pids if os.waitpid(pid, 0)[1]]
        os.close(self._starting)
        os.close(self._ready)
        if failed:
            raise RuntimeError(f"{len(failed)} clients had no answer")

    def _fork(self, number: int, questions: int, readies: int) -> int:
        if pid := os.fork():
            return pid
        code = 1
        try:
            os.close(self._starter)
            client = Client("link", Hello("processor", number, 1, os.getpid()))
            client.ask(Ask(number, 0, "F", False, 100, False))
            os.write(readies, b".")
            os.read(self._starting, 1)  # ends when the starter is closed
            for n in range(questions):
                client.ask(Ask(number, n + 1, "F", False, 100, False))
            code = 0
        finally:
            os._exit(code)


@pytest.mark.benchmark(group="the multiplexer alone, one helper that answers at once")
@pytest.mark.parametrize("clients", counts())
@pytest.mark.parametrize("pipelining", [True, pytest.param(False, marks=pytest.mark.full)])
def test_multiplexer(benchmark: BenchmarkFixture, clients: int, pipelining: bool) -> None:
    """Let all clients ask as fast as they get answers."""
    note(benchmark, {"clients": clients}, messages=QUESTIONS, series="pipelining" if pipelining else "one line at a time")
    with multiplexer(pipelining):

        def setup() -> tuple[tuple[Crowd], dict[str, object]]:
            return (Crowd(clients, QUESTIONS // clients),), {}

        benchmark.pedantic(Crowd.run, setup=setup, rounds=3)  # type: ignore[no-untyped-call]


@contextmanager
def multiplexer(pipelining: bool) -> Iterator[None]:
    """Run a server in a process of its own, in a base directory that is the current one meanwhile."""
    back = os.getcwd()
    with folder() as path:
        os.chdir(path)
        (path / "Queue").mkdir()
        listener = listen("link")
        pid = os.fork()
        if pid == 0:
            _serve(listener, pipelining)
        try:
            Crowd(1, 10).run()  # the helper is ready
            yield
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            listener.close()
            os.chdir(back)


def _serve(listener: socket.socket, pipelining: bool) -> None:
    code = 1
    try:
        loop = Loop()
        settings = Filter(name="F", program=PROGRAM, max_in_flight=200, pipelining=pipelining)
        MultiplexerServer(loop, listener, [settings], lambda _frame: None, lambda _states: None).start()
        loop.run()
        code = 0
    finally:
        os._exit(code)
