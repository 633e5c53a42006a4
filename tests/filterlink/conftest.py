"""A multiplexer on a loop of its own, with real helpers in a base directory, turned by the test itself."""

import itertools
import os
import select
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from filterlink.config.settings import Filter
from filterlink.config.units import Seconds
from filterlink.server import MultiplexerServer
from filterlink.wire.client import Client, _decode
from filterlink.wire.frames import Ask, FilterState, Guilty, Hello, Park, Renewed, VerdictFrame, Wake, encode
from filterlink.wire.link import Channel, connect, listen
from filterlink.wire.loop import Loop
from tests.helpers.paths import PROGRAMS

RUNNERS = {".sh": "/bin/sh", ".pl": "/usr/bin/perl", ".py": sys.executable}
DEADLINE = 20.0


def _settings(program: str, name: str = "Test", **values: Any) -> Filter:
    word = program.split()[0]
    if (PROGRAMS / word).exists():
        program = f"{RUNNERS[Path(word).suffix]} {PROGRAMS / program}"
    for key in ("timeout", "auto_restart", "slow_after", "max_age"):
        if key in values:
            values[key] = Seconds(values[key])
    values.setdefault("auto_restart", Seconds(0.05))
    return Filter(name=name, program=program, **values)


class _Asker:
    """A client that turns with the loop."""

    def __init__(self, loop: Loop, ids: Sequence[int], answers: dict[int, VerdictFrame]) -> None:
        self._loop = loop
        self._ids = iter(ids)
        self._answers = answers
        self._channel = Channel(connect("link"))
        self._channel.send(encode(Hello("processor", 0, 1, os.getpid())))
        loop.watch(self._channel.fileno(), self._answered)
        self._next()

    def close(self) -> None:
        self._loop.forget(self._channel.fileno())
        self._channel.close()

    def _next(self) -> None:
        if (id := next(self._ids, None)) is not None:
            self._channel.send(encode(Ask(id, 1, "Test", False, 100, False)))

    def _answered(self, _events: int) -> None:
        answer = _decode(self._channel.receive())
        assert isinstance(answer, VerdictFrame)
        assert answer.id not in self._answers
        self._answers[answer.id] = answer
        self._next()


class Rig:
    """One server, its clients, and all it told."""

    def __init__(self, *filters: Filter) -> None:
        self.loop = Loop()
        self.listener = listen("link")
        self.wakes: list[Wake] = []
        self.guilty: list[Guilty] = []
        self.renewed: list[Renewed] = []
        self.states: list[FilterState] = []
        self.clients: list[Client] = []
        self.ids = itertools.count(1)
        self._open(filters)

    def _open(self, filters: tuple[Filter, ...]) -> None:
        self.server = MultiplexerServer(self.loop, self.listener, filters, self._heard, self._published)
        self.server.start()

    def _heard(self, frame: Wake | Guilty | Renewed) -> None:
        match frame:
            case Wake():
                self.wakes.append(frame)
            case Guilty():
                self.guilty.append(frame)
            case Renewed():
                self.renewed.append(frame)

    def _published(self, states: list[FilterState]) -> None:
        self.states = states

    def until(self, condition: Callable[[], Any], seconds: float = DEADLINE) -> None:
        """Turn the loop until the condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s; last: {self.states}"
            self.loop.turn(0.02)

    def until_state(self, word: str, index: int = 0) -> FilterState:
        self.until(lambda: self.states and self.states[index].state == word)
        return self.states[index]

    def client(self) -> Client:
        self.clients.append(Client("link", Hello("processor", len(self.clients), 1, os.getpid())))
        return self.clients[-1]

    def ask(self, id: int, n: int = 1, park: bool = False, filter: str = "Test") -> VerdictFrame | Park:
        """One question by a client of its own."""
        return self.client().ask(Ask(id, n, filter, False, 100, park), self.wait)

    def send(self, client: Client, ask: Ask) -> Channel:
        """Ask and wait for nothing."""

        def later(_fd: int) -> None:
            raise InterruptedError

        with pytest.raises(InterruptedError):
            client.ask(ask, later)
        self.loop.turn(0.05)
        channel = client._channel
        assert isinstance(channel, Channel)
        return channel

    def answer(self, channel: Channel) -> VerdictFrame | Park:
        """What comes to somebody who asked by send()."""
        self.wait(channel.fileno())
        answer = _decode(channel.receive())
        assert isinstance(answer, VerdictFrame | Park)
        return answer

    def ask_many(self, ids: Sequence[int], clients: int, seconds: float = DEADLINE) -> dict[int, VerdictFrame]:
        """Questions of clients that ask at once, each one question after the other, and wait as long as it takes."""
        answers: dict[int, VerdictFrame] = {}
        askers = [_Asker(self.loop, ids[number::clients], answers) for number in range(clients)]
        self.until(lambda: len(answers) == len(ids), seconds)
        for asker in askers:
            asker.close()
        return answers

    def wait(self, fd: int) -> None:
        self.until(lambda: readable(fd))

    def stop(self) -> None:
        stopped: list[bool] = []
        self.server.stop(lambda: stopped.append(True))
        self.until(lambda: stopped)

    def close(self) -> None:
        self.stop()
        for client in self.clients:
            client.close()
        self.server.close()
        self.listener.close()
        self.loop.close()


def readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base directory that is the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Queue").mkdir()
    return tmp_path


@pytest.fixture
def settings() -> Callable[..., Filter]:
    """Makes filters: settings("ok.sh", timeout=1); the word of helpers/ is run by its interpreter."""
    return _settings


@pytest.fixture
def rig(base: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Rig]]:
    """Starts servers: rig("ok.sh", timeout=1) or rig(filter, filter). All are stopped at the end, in short steps."""
    for name in ("GENTLE", "HASTY"):
        steps = getattr(sys.modules["filterlink.helpers.lifecycle"], name)
        monkeypatch.setattr(f"filterlink.helpers.runner.{name}", tuple((step, 0.2) for step, _ in steps))
    rigs: list[Rig] = []

    def start(*filters: str | Filter, **values: Any) -> Rig:
        rigs.append(Rig(*(_settings(each, **values) if isinstance(each, str) else each for each in filters)))
        return rigs[-1]

    yield start
    for each in rigs:
        each.close()
    assert base.is_dir()
