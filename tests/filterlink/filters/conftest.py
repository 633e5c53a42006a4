"""Real servers for the filters that ask one: started by the test in its own folder, on loopback, without network.

A test that uses one is marked `server`, and is skipped where the Debian package is not installed.
"""

import base64
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

EICAR = "".join((r"X5O!P%@AP[4\PZX54(P^)", "7CC)7}$EICAR", "-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*")).encode()
ENVELOPE = b"P I 01-01-2026 00:00:00 0000 ____ ____ <a@b>\nO L\nR W x <c@d>\n\n"
CORPUS = Path("/usr/share/clamav-testfiles")
DEADLINE = 30.0


def needs(program: str, package: str) -> str:
    """The program's path; skips the test where it is not there."""
    found = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not found:
        pytest.skip(f"{program} is not there: apt-get install {package}")
    return found


def signatures(folder: Path) -> Path:
    """A database folder that knows EICAR, and what Debian's containers hold."""
    folder.mkdir()
    (folder / "hand.ndb").write_text(f"Test.Eicar:0:*:{EICAR.hex()}\n")
    contained = CORPUS / "clam.exe"
    if contained.exists():
        data = contained.read_bytes()
        (folder / "hand.hdb").write_text(f"{hashlib.md5(data).hexdigest()}:{len(data)}:ClamAV-Test-File\n")
    return folder


class Clamd:
    """A clamd on a Unix socket and on a port, in a folder of its own."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.program = needs("clamd", "clamav-daemon")
        self.folder, self.database = folder, signatures(folder / "signatures")
        self.socket = str(folder / "clamd.socket")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        settings = [f"LocalSocket {self.socket}", "TCPAddr 127.0.0.1", f"TCPSocket {self.port}", "Foreground yes", *lines]
        (folder / "clamd.conf").write_text("\n".join([*settings, f"DatabaseDirectory {self.database}", ""]))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Clamd":
        """Start it, and wait until it answers."""
        self.launch()
        self.until(lambda: self.ask("PING") == b"PONG\0")
        return self

    def launch(self) -> None:
        arguments = [self.program, "-c", str(self.folder / "clamd.conf")]
        self.process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(self, command: str) -> bytes:
        """What it answers to one command; b"" while it is away."""
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.connect(self.socket)
            except OSError:
                return b""
            sock.sendall(b"z%b\0" % command.encode())
            return sock.recv(4096)

    def send(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE
        while not condition():
            assert self.process is None or self.process.poll() is None, "clamd has ended"
            assert time.monotonic() < end, f"not within {DEADLINE} s"
            select_nothing(0.05)


def select_nothing(seconds: float) -> None:
    """Give the processor to others for a moment between two looks at a condition."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nobody:
        nobody.settimeout(seconds)
        try:
            nobody.recv(1)
        except TimeoutError:
            return


@pytest.fixture
def clamds(tmp_path: Path) -> Iterator[Callable[..., Clamd]]:
    """Makes clamds, not started yet: clamds("StreamMaxLength 1M"). All are ended with the test."""
    made: list[Clamd] = []

    def make(*lines: str) -> Clamd:
        folder = tmp_path / f"clamd{len(made)}"
        folder.mkdir()
        made.append(Clamd(folder, *lines))
        return made[-1]

    yield make
    for each in made:
        each.kill()


def _mail(attachment: bytes = b"", first: bytes = b"X-Unusual: field") -> bytes:
    """A message with an attachment in base64; its first field is none by which ClamAV would know mail."""
    head = first + b'\nContent-Type: multipart/mixed; boundary="limit"\n\n'
    part = b"Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(attachment)
    return head + b"--limit\n\nhello\n--limit\n" + part + b"--limit--\n"


@pytest.fixture
def mail() -> Callable[..., bytes]:
    return _mail


@pytest.fixture
def queued(tmp_path: Path) -> Callable[[bytes], str]:
    """Writes a message into a queue file, and gives its path."""
    numbers = iter(range(1, 1_000_000))

    def write(message: bytes) -> str:
        path = tmp_path / f"{next(numbers)}.msg"
        path.write_bytes(ENVELOPE + message)
        return str(path)

    return write


@pytest.fixture
def programs() -> Callable[[str, str], str]:
    """Gives the path of a program of a Debian package, or skips the test."""
    return needs


@pytest.fixture
def eicar() -> bytes:
    return EICAR


@pytest.fixture
def corpus() -> dict[str, bytes]:
    """Debian's containers, each with ClamAV's harmless test file in it."""
    if not CORPUS.exists():
        pytest.skip("no test files: apt-get install clamav-testfiles")
    return {path.name: path.read_bytes() for path in sorted(CORPUS.iterdir())}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return signatures(tmp_path / "database")
