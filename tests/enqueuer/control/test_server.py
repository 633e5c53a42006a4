"""Demands on the control socket: every request gets one answer, whatever bytes it has, and no caller keeps others from theirs."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from enqueuer.control import client
from enqueuer.control import server as control
from enqueuer.lab.trial import Trial, wait
from filterlink.wire.link import serve
from filterlink.wire.loop import Loop

Config = Callable[..., str]
Trials = Callable[[str], Trial]
HOSTILE = {
    "brackets": b"[" * 60_000,
    "brackets in a key": b'{"command":"status","x":' + b"[" * 3000,
    "braces": b'{"a":' * 800,
    "id true": b'{"command":"retry","id":true}',
    "id over 64 bits": b'{"command":"release","id":99999999999999999999}',
    "where over 64 bits": b'{"command":"where","id":18446744073709551616}',
    "id of 63 bits and one": b'{"command":"where","id":9223372036854775808}',
    "id below 0": b'{"command":"delete","id":-1}',
    "id of -2^70": b'{"command":"where","id":-1180591620717411303424}',
    "id is text": b'{"command":"retry","id":"17"}',
    "id is 1e300": b'{"command":"retry","id":1e300}',
    "id is NaN": b'{"command":"retry","id":NaN}',
    "no id": b'{"command":"release"}',
    "id 0": b'{"command":"delete","id":0}',
    "command is a list": b'{"command":["status"]}',
    "command is null": b'{"command":null}',
    "no command": b"{}",
    "unknown command": b'{"command":"sing"}',
    "unknown key": b'{"command":"stop","nwo":true}',
    "now is 1": b'{"command":"stop","now":1}',
    "not UTF-8": b'{"command":"\xff\xfe"}',
    "half a surrogate": b'{"command":"\\ud800"}',
    "a number": b"1" * 4000,
    "nothing": b"",
    "zeros": b"\0" * 100,
    "too long": b'{"command":"' + b"x" * 70_000 + b'"}',
}


def _call(base: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(8)
    folder = os.open(base / "Run", os.O_PATH)
    try:
        sock.connect(f"/proc/self/fd/{folder}/control.sock")
    finally:
        os.close(folder)
    return sock


def _ask(base: Path, line: bytes) -> bytes:
    """What the engine answers; what it cuts off has no answer."""
    with _call(base) as sock:
        try:
            sock.sendall(line + b"\n")
            answer = b""
            while chunk := sock.recv(1 << 16):
                answer += chunk
        except (ConnectionResetError, BrokenPipeError):
            return b""
    return answer


def test_every_hostile_request_is_answered_and_ends_no_process(trials: Trials, config: Config) -> None:
    with trials(config(processors=2)) as trial:
        before = {title: trial.pids(title)[:1] for title in ("supervisor", "queue manager", "filterlink", "watcher", "logger", "door")}
        for name, line in HOSTILE.items():
            answer = _ask(trial.base, line)
            if answer:
                assert json.loads(answer)["ok"] is False, name
            assert answer or len(line) > control.MAX_REQUEST, name
            assert trial.status()["state"] == "running", name
        assert {title: trial.pids(title)[:1] for title in before} == before
        assert "fault in Enqueuer" not in trial.log()


def test_the_error_of_an_order_is_one_that_the_command_shows(trials: Trials, config: Config) -> None:
    """Whatever a command asks for, it prints `text` or `error`."""
    with trials(config(processors=1)) as trial:
        answer = json.loads(_ask(trial.base, b'{"command":"release","id":true}'))

    assert answer["text"] == answer["error"]
    assert "id" in answer["text"]


# The commands, and an engine that is another's

EVIL = "\x1b]0;x\x07\x9b31m\u202e\u2028\u200b[red]"
COMMANDS = (
    *(["status"], ["status", "--verbose"], ["status", "--json"], ["filters", "list"], ["reload"], ["queue", "show", "7"]),
    *(["queue", "retry", "7"], ["quarantine", "release", "7"], ["quarantine", "delete", "7"], ["submit", "a@a.example"]),
)


def _poisoned(found: Any) -> Any:
    """The same answer with evil in each text and each key that no command looks up."""
    if isinstance(found, dict):
        return {key: _poisoned(value) for key, value in found.items()} | {EVIL: EVIL}
    if isinstance(found, list):
        return [_poisoned(each) for each in found]
    return found + EVIL if isinstance(found, str) else found


@contextmanager
def _answering(base: Path, answers: dict[str, Any]) -> Iterator[None]:
    """Something that answers commands on a base directory."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        folder = os.open(base / "Run", os.O_PATH)
        listener.bind(f"/proc/self/fd/{folder}/control.sock")
        os.close(folder)
        listener.listen(8)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    with listener.accept()[0] as sock:
                        sock.sendall(json.dumps(answers[json.loads(sock.recv(4096))["command"]]).encode())

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_the_engine_of_another_steers_no_terminal(trials: Trials, config: Config) -> None:
    """Whatever it answers: no control character, no mark of direction, no markup reaches the output of a command."""
    with trials(config(processors=1)) as trial:
        answers = {"status": trial.status()}
        answers["where"] = json.loads(_ask(trial.base, b'{"command":"where","id":7}'))
        trial.stop()
    answers |= {verb: {"ok": False, "text": "no", "error": "no"} for verb in ("reload", "retry", "release", "delete")}
    answers["status"]["config"] |= {"error": "bad", "waiting": "wait"}
    with _answering(trial.base, _poisoned(answers)):
        for words in COMMANDS:
            command = [sys.executable, "-m", "enqueuer.cli.app", *words, "--base", str(trial.base)]
            done = subprocess.run(command, input=b"text", capture_output=True, timeout=20, check=False)
            out = (done.stdout + done.stderr).decode()

            assert out.replace("\n", "").isprintable(), words
            assert "internal error" not in out, words
            assert "x1b" in out or words[0] in ("submit", "queue"), words


def test_an_answer_without_an_end_is_not_waited_for(trials: Trials, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """What answers on a base directory may send for ever, fast or byte by byte."""
    trial = trials(config(processors=1))
    monkeypatch.setattr(client, "MAX_ANSWER", 1 << 20)
    for text in ("x" * (2 << 20), ["x"], "x"):
        with _answering(trial.base, {"status": text}), pytest.raises(client.NotRunning):
            client.ask(trial.base, {"command": "status"}, 5)
        (trial.base / client.CONTROL).unlink()


# The server alone, in a loop of the test's own


class Server:
    def __init__(self) -> None:
        self.loop = Loop()
        self.asked: list[Any] = []
        self.listener = control.listen()
        self.server = control.ControlServer(self.loop, self._handle)
        serve(self.loop, self.listener, self.server.accept)

    def _handle(self, request: Any, reply: control.Reply) -> None:
        self.asked.append(request)
        if request.command == "status":
            reply({"ok": True})

    def until(self, condition: Callable[[], object], seconds: float = 10) -> None:
        def turned() -> object:
            self.loop.turn(0.01)
            return condition()

        wait(turned, seconds, "the server has done it")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    (tmp_path / "Run").mkdir()
    monkeypatch.chdir(tmp_path)
    server = Server()
    yield server
    server.server.abandon()
    server.listener.close()
    server.loop.close()


def _closed(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return sock.recv(1 << 16) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_a_half_sent_request_has_a_deadline(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then does not put it off; who waits for a late answer is not cut off."""
    monkeypatch.setattr(control, "REQUEST_WITHIN", 0.3)
    with _call(tmp_path) as half, _call(tmp_path) as silent, _call(tmp_path) as waiting:
        waiting.sendall(b'{"command":"stop"}\n')
        end = time.monotonic() + 5

        def dripped() -> bool:
            half.send(b" ", socket.MSG_NOSIGNAL) if time.monotonic() < end and not server_closed else None
            server_closed[:] = [True] if _closed(half) else []
            return bool(server_closed)

        server_closed: list[bool] = []
        with suppress(BrokenPipeError):
            server.until(dripped, 5)
        server.until(lambda: _closed(silent), 5)
        assert not _closed(waiting)


def test_a_crowd_of_callers_keeps_no_other_from_its_answer(server: Server, tmp_path: Path) -> None:
    """The number of open connections has an end; the oldest that has asked nothing makes room."""
    with ExitStack() as crowd:
        callers = [crowd.enter_context(_call(tmp_path)) for _ in range(20)]
        for _ in range(10):
            callers += [crowd.enter_context(_call(tmp_path)) for _ in range(30)]
            server.until(lambda: True)
        asking = crowd.enter_context(_call(tmp_path))
        asking.sendall(b'{"command":"status"}\n')
        server.until(lambda: _closed(callers[0]))
        answer: list[bytes] = []
        asking.setblocking(False)

        def answered() -> bool:
            try:
                answer.append(asking.recv(1000))
            except BlockingIOError:
                return False
            return True

        server.until(answered)
        assert json.loads(answer[0]) == {"ok": True}
        assert sum(not _closed(each) for each in callers) <= control.MAX_OPEN
