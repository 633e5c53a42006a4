"""Demands on what systemd is told: nothing where it does not ask, and never a wait."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from enqueuer.supervisor.notify import Notifier


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """systemd's end, named in the environment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        yield sock


def test_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    assert Notifier.from_environment() is None


def test_one_datagram_a_message(listener: socket.socket) -> None:
    """The lines of one message travel together, and the variables are gone: helpers are not to speak for us."""
    notifier = Notifier.from_environment()
    assert notifier is not None
    notifier.say("READY=1", "STATUS=all is well")

    assert listener.recv(4096) == b"READY=1\nSTATUS=all is well"
    assert notifier.watchdog == 30.0
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys()


def test_an_abstract_address() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0enqueuer-test-{os.getpid()}")
        Notifier(f"@enqueuer-test-{os.getpid()}", None).say("STOPPING=1")

        assert sock.recv(4096) == b"STOPPING=1"


def test_the_watchdog_of_another_process_is_not_ours(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_PID", "1")
    notifier = Notifier.from_environment()

    assert notifier is not None
    assert notifier.watchdog is None


def test_a_manager_that_does_not_read_stops_nothing(listener: socket.socket) -> None:
    """Its buffer is full, then it is gone: neither blocks nor raises."""
    notifier = Notifier.from_environment()
    assert notifier is not None
    for _ in range(2000):
        notifier.say("STATUS=" + "x" * 1000)
    listener.close()
    notifier.say("WATCHDOG=1")
