"""Real spam scanners for tests, each with a small configuration of its own in a folder that goes with the test, on loopback."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

GTUBE = "".join(("XJS*C4JDBQADN1.NSBN3*2IDNEN", "*GTUBE-STANDARD-", "ANTI-UBE-TEST-EMAIL*C.34X")).encode()
ENVELOPE = b"P I 01-01-2026 00:00:00 0000 ____ ____ <a@b>\nO L\nS <u@v> SMTP [192.0.2.1]\nR W x <c@d>\n\n"
CLEAN = b"Subject: hello\nMIME-Version: 1.0\nContent-Type: text/plain\n\nhow are you?\n"
SPAM = CLEAN + GTUBE + b"\n"
DEADLINE = 60.0


def needs(program: str, package: str) -> str:
    """The program's path; skips the test where it is not there."""
    found = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not found:
        pytest.skip(f"{program} is not there: apt-get install {package}")
    return found


class Daemon:
    """A server with a Unix socket and a port, and all its children in one process group."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.folder, self.command = folder, command
        self.socket = str(folder / "socket")
        self.log = folder / "log"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.ask: Callable[[], bool] = self.listens

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        self.launch()
        self.until(self.ask)
        return self

    def launch(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )

    def listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
            sock.connect(self.socket)
            return True
        return False

    def send(self, number: signal.Signals) -> None:
        """To all of it."""
        assert self.process
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                self.send(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def reload(self) -> None:
        """Have the main process read its configuration anew."""
        assert self.process
        self.process.send_signal(signal.SIGHUP)

    def said(self, text: bytes) -> int:
        """How often it is in its log."""
        return self.log.read_bytes().count(text)

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE
        never = threading.Event()
        while not condition():
            assert self.process is None or self.process.poll() is None, self.log.read_text(errors="replace")[-2000:]
            assert time.monotonic() < end, f"not within {DEADLINE} s"
            never.wait(0.03)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that a server without rights can enter; its path is short enough for a socket."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def queued(folder: Path, message: bytes, envelope: bytes = ENVELOPE) -> str:
    """Write a queue file with a name of its own."""
    with tempfile.NamedTemporaryFile("wb", suffix=".msg", dir=folder, delete=False) as file:
        file.write(envelope + message)
    return file.name
