"""The client of Run/scan.sock, with doors that are not what they should be."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from enqueuer.control.client import NotRunning
from enqueuer.control.scanclient import RefusedScan, ScanSocket
from tests.helpers.httpdoor import decision, served


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "Run").mkdir()
    return tmp_path


def test_it_asks_and_reads_the_decision(base: Path) -> None:
    with served(base / "Run/scan.sock") as (door, _):
        found = ScanSocket(base).ask(b"X-From: a@b.example\r\n", [b"Subject: a\r", b"\n", b"", b"\nhi"])
        assert found["outcome"] == "enqueued"
        assert (bytes(door.mails[0].data), door.mails[0].mail.sender) == (b"Subject: a\n\nhi", b"a@b.example")


def test_a_refusal_ends_the_sending(base: Path) -> None:
    with served(base / "Run/scan.sock") as (door, _):
        sent = 0

        def pieces() -> Iterator[bytes]:
            nonlocal sent
            for _ in range(10_000):
                sent += 1
                yield b"a" * 65536

        with pytest.raises(RefusedScan, match="at most 1048576 bytes"):
            ScanSocket(base).ask(b"", pieces())
        assert sent < 1000
        door.full = "the disk is full"
        with pytest.raises(RefusedScan, match="the disk is full") as refused:
            ScanSocket(base).ask(b"", [b"a"])
        assert refused.value.status == 503


def test_a_piece_that_cannot_be_read_cancels_the_message(base: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"a"
        raise OSError(5, "Input/output error")

    with served(base / "Run/scan.sock") as (door, _):
        with pytest.raises(OSError, match="Input/output error"):
            ScanSocket(base).ask(b"", pieces())
        door.decide = lambda _: decision()
        assert ScanSocket(base).ask(b"", [b"b"])["outcome"] == "enqueued"
        assert not door.mails[0].submitted


def test_no_engine(base: Path) -> None:
    with pytest.raises(NotRunning, match=r"no engine runs on .* --standalone"):
        ScanSocket(base)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(base / "Run/scan.sock"))
    with pytest.raises(NotRunning, match="no engine runs on"):
        ScanSocket(base)


def test_what_is_no_socket_of_the_engine_is_not_asked(base: Path) -> None:
    with served(base / "other.sock") as (door, _):
        (base / "Run/scan.sock").symlink_to(base / "other.sock")
        with pytest.raises(NotRunning, match="is not the socket of the engine"):
            ScanSocket(base)
        assert not door.mails


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n{", b"HTTP/1.1 200 OK\r\n\r\n[]", b"nonsense", b"HTTP/1.1 500 x\r\n\r\n{}", b"[" * 100_000]
)
def test_nonsense_is_no_decision(base: Path, answer: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(base / "Run/scan.sock"))
        listener.listen()

        def serve() -> None:
            listener.accept()[0].close()  # the probe
            sock, _ = listener.accept()
            with sock:
                while not sock.recv(65536).endswith(b"0\r\n\r\n"):
                    pass
                sock.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(NotRunning):
            ScanSocket(base).ask(b"", [b"a"])
        thread.join()
