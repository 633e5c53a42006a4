"""Real servers for tests, each with a small configuration of its own in a folder that goes with the test, on loopback.

What is not installed skips the test.
"""

import base64
import contextlib
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest

EICAR = "".join((r"X5O!P%@AP[4\PZX54(P^)", "7CC)7}$EICAR", "-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*")).encode()
GTUBE = "".join(("XJS*C4JDBQADN1.NSBN3*2IDNEN", "*GTUBE-STANDARD-", "ANTI-UBE-TEST-EMAIL*C.34X")).encode()
ENVELOPE = b"P I 01-01-2026 00:00:00 0000 ____ ____ <a@b>\nO L\nS <u@v> SMTP [192.0.2.1]\nR W x <c@d>\n\n"
CLEAN = b"Subject: hello\nMIME-Version: 1.0\nContent-Type: text/plain\n\nhow are you?\n"
SPAM = CLEAN + GTUBE + b"\n"
CORPUS = Path("/usr/share/clamav-testfiles")
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
        self.folder = folder
        self.command = command
        self.socket = str(folder / "socket")
        self.log = folder / "log"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        self.launch()
        self.until(self.listens)
        return self

    def launch(self) -> None:
        Path(self.socket).unlink(missing_ok=True)  # some do not start where a killed one left it
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

    def signal(self, number: signal.Signals) -> None:
        """To its main process alone."""
        assert self.process
        self.process.send_signal(number)

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


class TcpDaemon(Daemon):
    """It listens on its port alone."""

    def listens(self) -> bool:
        return listens(self.port)


class Clamd(Daemon):
    """On a Unix socket and on a port, with signatures made by hand."""

    def __init__(self, folder: Path, *lines: str) -> None:
        super().__init__(folder, needs("clamd", "clamav-daemon"), "-c", str(folder / "clamd.conf"))
        self.database = signatures(folder / "signatures")
        settings = [f"LocalSocket {self.socket}", "TCPAddr 127.0.0.1", f"TCPSocket {self.port}", "Foreground yes", *lines]
        (folder / "clamd.conf").write_text("\n".join([*settings, f"DatabaseDirectory {self.database}", ""]))

    def listens(self) -> bool:
        return self.ask("PING") == b"PONG\0"

    def ask(self, command: str) -> bytes:
        """What it answers to one command; b"" while it is away."""
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.connect(self.socket)
            except OSError:
                return b""
            sock.sendall(b"z%b\0" % command.encode())
            return sock.recv(4096)

    def learn(self, marker: bytes) -> None:
        """Have it load one signature more, for these bytes: Test.Marker."""
        (self.database / "more.ndb").write_text(f"Test.Marker:0:*:{marker.hex()}\n")
        assert self.ask("RELOAD") == b"RELOADING\0"


def signatures(folder: Path) -> Path:
    """A database folder that knows EICAR, and what Debian's containers hold."""
    folder.mkdir()
    (folder / "hand.ndb").write_text(f"Test.Eicar:0:*:{EICAR.hex()}\n")
    contained = CORPUS / "clam.exe"
    if contained.exists():
        data = contained.read_bytes()
        (folder / "hand.hdb").write_text(f"{hashlib.md5(data).hexdigest()}:{len(data)}:ClamAV-Test-File\n")
    return folder


def mail(attachment: bytes = b"", first: bytes = b"X-Unusual: field") -> bytes:
    """A message with an attachment in base64; its first field is none by which ClamAV would know mail."""
    head = first + b'\nContent-Type: multipart/mixed; boundary="limit"\n\n'
    part = b"Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(attachment)
    return head + b"--limit\n\nhello\n--limit\n" + part + b"--limit--\n"


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


AnyDaemon = TypeVar("AnyDaemon", bound=Daemon)


PORTS = range(10_000, 32_768)
"""Below those that the kernel gives to whoever connects: none of these is taken between being found free and being bound."""


def free_port() -> int:
    """A port of PORTS, by chance, so that others who look for one at this moment find another."""
    while True:
        port = random.choice(PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that a server without rights can enter; its path is short enough for a socket."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextlib.contextmanager
def served(make: Callable[..., AnyDaemon], *words: Any, **options: Any) -> Iterator[AnyDaemon]:
    """A server made by make(folder, ...), not started yet; it is ended afterwards."""
    with open_folder() as folder:
        server = make(folder, *words, **options)
        try:
            yield server
        finally:
            server.kill()


def queued(folder: Path, message: bytes, envelope: bytes = ENVELOPE) -> str:
    """Write a queue file with a name of its own."""
    with tempfile.NamedTemporaryFile("wb", suffix=".msg", dir=folder, delete=False) as file:
        file.write(envelope + message)
    return file.name
