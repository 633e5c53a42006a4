"""HTTP clients that mean no good, and doors that die, in a running engine. What a session does alone is in http/test_session.py."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial, wait
from tests.enqueuer.doors.http.test_session import BAD
from tests.helpers.mta import free_port

DOOR = '[[doors]]\nname = "web"\nkind = "http"\nlisten = "inet:127.0.0.1:{port}"\nmax_sessions = 300\n'


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def engine(config: Callable[..., str], trials: Callable[[str], Trial], port: int) -> Iterator[Trial]:
    trial = trials(config(processors=1, more=DOOR.format(port=port)))
    trial.start()
    yield trial
    trial.wait(lambda: not asked(trial), "no message is left in Asked/")


def asked(trial: Trial) -> list[Path]:
    return list((trial.base / "Asked").rglob("*.msg"))


def ask(port: int, message: bytes, path: str = "/scan") -> tuple[int, dict[str, object]]:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(link):
        link.request("POST", path, message)
        answer = link.getresponse()
        return answer.status, json.loads(answer.read())


def memory(trial: Trial, what: str) -> int:
    """Return the KiB of a door process: VmRSS now, VmHWM at most so far."""
    (pid,) = trial.pids("door")
    found = re.search(rf"{what}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def send(port: int, length: int) -> bytes:
    """Send a message of this length, as far as the door takes it; return the answer."""
    piece = b"a" * (1 << 20)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(b"POST /scan HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(length >> 20):
                sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            sock.sendall(b"0\r\n\r\n")
        return sock.recv(65536)


def test_large_messages_take_no_memory(engine: Trial, port: int, mail: Callable[..., bytes]) -> None:
    assert ask(port, mail("1"))[0] == 200
    before = memory(engine, "VmRSS")
    engine.configure((engine.base / "Settings/enqueuer.toml").read_text() + '\n[spool]\nmax_size = "128M"\n')
    engine.wait(lambda: "configuration 2 accepted" in engine.log(), "the new limit")
    assert send(port, 100 << 20).startswith(b"HTTP/1.1 200 ")
    assert send(port, 1 << 30).startswith(b"HTTP/1.1 413 ")
    assert memory(engine, "VmHWM") - before < 16 << 10
    assert ask(port, mail("2"))[0] == 200


def test_bad_requests_end_their_own_connection(engine: Trial, port: int, mail: Callable[..., bytes]) -> None:
    (pid,) = engine.pids("door")
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    slow = socket.create_connection(("127.0.0.1", port))
    slow.sendall(b"POST /scan HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\na")
    for request in BAD.values():
        with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
            sock.sendall(request)
            assert re.match(rb"HTTP/1.1 [45]", sock.recv(65536))
    assert ask(port, mail("1"))[1]["outcome"] == "enqueued"
    lines = engine.wait(
        lambda: [line for line in engine.log().splitlines() if "DOOR door web: a request of 127.0.0.1 is refused: 4" in line], "lines"
    )
    assert "refused: 400 this is not an HTTP request: conflicting Content-Length headers" in "\n".join(lines)
    for sock in (*idle, slow):
        sock.close()
    assert engine.pids("door") == [pid]
    engine.wait(lambda: {each["name"]: each for each in engine.status()["doors"]}["web"]["sessions"] == 0, "all sessions have ended")


def test_a_session_too_many_is_503(engine: Trial, port: int, mail: Callable[..., bytes]) -> None:
    open = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
    engine.wait(lambda: {each["name"]: each for each in engine.status()["doors"]}["web"]["sessions"] == 300, "300 sessions")
    status, document = ask(port, mail("1"))
    assert (status, document["error"]) == (503, "too many sessions, try again later")
    status, document = ask(port, mail("1"), "/checkv2")
    assert (status, document["action"]) == (503, "soft reject")
    for sock in open:
        sock.close()
    wait(lambda: ask(port, mail("2"))[0] == 200, 20, "room again")


def test_a_client_that_leaves_is_in_the_log(engine: Trial, port: int, mail: Callable[..., bytes]) -> None:
    message = mail("slow", judge="60 OK")
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"POST /scan HTTP/1.1\r\nHost: localhost\r\nX-Id: 4F2K1\r\nContent-Length: %d\r\n\r\n%s" % (len(message), message))
        engine.wait(lambda: asked(engine), "a scan")
    line = engine.wait(lambda: [line for line in engine.log().splitlines() if "web cancelled" in line], "the line")[0]
    assert "queue-id=4F2K1" in line
    engine.wait(lambda: {each["name"]: each for each in engine.status()["doors"]}["web"]["cancelled"] == 1, "the total")


def test_a_door_that_is_killed_gives_no_answer_and_the_next_one_serves(engine: Trial, port: int, mail: Callable[..., bytes]) -> None:
    message = mail("slow", judge="60 OK")
    (pid,) = engine.pids("door")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(b"POST /scan HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(message), message))
        engine.wait(lambda: asked(engine), "a scan")
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(100) == b""
    assert ask(port, mail("1"))[1]["outcome"] == "enqueued"


def test_a_stop_answers_what_is_open(engine: Trial, port: int, mail: Callable[..., bytes]) -> None:
    message = mail("slow", judge="1 OK")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(b"POST /scan HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(message), message))
        engine.wait(lambda: asked(engine), "a scan")
        assert engine.stop() == 0
        assert b'"outcome":"enqueued"' in sock.recv(65536)


ATTACHMENTS = """
[[rules]]
name = "executables"
priority = 9
scope = "recipient"
when = 'any attachment_name is "*.exe" and any attachment_type is "application/x-dosexec" and not any recipient is "lab@b.example"'
actions = [["Reject with", "no programs: ^S"]]
[[rules]]
name = "archive"
priority = 8
when = 'subject is "*archive*"'
on_failure = "quarantine"
actions = [["Execute", "[STDERR] [FILE] [RCPT] {script} own"]]
[[routes]]
recipient = "*"
to = "OUT"
"""


def test_rules_about_attachments_and_programs(trials: Callable[[str], Trial], port: int, tmp_path: Path) -> None:
    """The engine asks its hidden filters about a message of a door, and the client gets the outcome of each recipient."""
    script = tmp_path / "script"
    script.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/seen\ngrep -q bad "$3" || exit 0\necho it is bad >&2\nexit 3\n')
    script.chmod(0o755)
    engine = trials(ATTACHMENTS.format(script=script) + DOOR.format(port=port))
    engine.start()
    message = EmailMessage()
    message["Subject"] = "tools"
    message.set_content("see the file")
    message.add_attachment(b"MZ\x90\0\3" + bytes(60), "application", "octet-stream", filename="a.exe")
    found = ask(port, message.as_bytes(), "/scan?rcpt=bob@b.example&rcpt=lab@b.example")[1]
    assert found["outcome"] == "rejected"
    assert [(each["recipients"], each["outcome"]) for each in found["outcomes"]] == [  # type: ignore[attr-defined]
        (["bob@b.example"], "rejected"),
        (["lab@b.example"], "enqueued"),
    ]
    assert str(found["text"]).startswith("no programs: tools (id 1")
    assert 'rule "executables": met for bob@b.example' in found["trail"]  # type: ignore[operator]
    assert found["fields"] == []

    good = ask(port, b"Subject: archive\n\ntext\n", "/scan?rcpt=bob@b.example")[1]
    assert good["outcome"] == "enqueued"
    assert re.fullmatch(r"own -f Asked/1\d{17}\.msg -r bob@b\.example\n", (tmp_path / "seen").read_text())
    bad = ask(port, b"Subject: archive\n\nbad\n", "/scan?rcpt=bob@b.example")[1]
    assert bad["outcome"] == "quarantined"
    assert any("exit code 3: it is bad" in str(each) for each in bad["filters"])  # type: ignore[attr-defined]
