"""Be an MTA that asks a milter door: one connection, packets by hand, blocking reads with a time-out."""

import random
import socket
import struct
from pathlib import Path
from typing import NamedTuple, Self

TIMEOUT = 20.0


class Reply(NamedTuple):
    """What the milter answered at the end of a message: the final letter with its data, and the changes before it."""

    letter: bytes
    text: str
    changes: tuple[tuple[bytes, bytes], ...]
    progress: int


class Mta:
    def __init__(self, where: int | Path, timeout: float = TIMEOUT) -> None:
        """`where`: a port on loopback, or the path of a unix socket."""
        if isinstance(where, Path):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(str(where))
        else:
            self.sock = socket.create_connection(("127.0.0.1", where), timeout)
        self._data = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def say(self, letter: bytes, data: bytes = b"") -> None:
        self.sock.sendall(packet(letter, data))

    def hear(self) -> tuple[bytes, bytes]:
        """Return the next packet. Raises EOFError at the end of the connection."""
        while len(self._data) < 4 or len(self._data) < 4 + struct.unpack_from("!I", self._data)[0]:
            if not (piece := self.sock.recv(65536)):
                raise EOFError
            self._data += piece
        size = struct.unpack_from("!I", self._data)[0]
        letter = self._data[4:5]
        data = self._data[5 : 4 + size]
        self._data = self._data[4 + size :]
        return letter, data

    def greet(self, client: str = "192.0.2.7", helo: str = "mx.example") -> Self:
        self.say(b"O", struct.pack("!III", 6, 0x1FF, 0x1FFFFF))
        assert self.hear()[0] == b"O"
        self.say(b"C", b"mx.example\x004" + struct.pack("!H", 25) + client.encode() + b"\0")
        self.say(b"H", helo.encode() + b"\0")
        return self

    def message(self, data: bytes, sender: str = "ann@a.example", to: tuple[str, ...] = ("bob@b.example",), id: str = "4F2K1") -> None:
        """Say all of a message up to its end (lines with LF), and do not wait for the answer."""
        header, _, body = data.partition(b"\n\n")
        said = [packet(b"M", f"<{sender}>".encode() + b"\0"), *(packet(b"R", f"<{each}>".encode() + b"\0") for each in to)]
        said += [packet(b"D", b"Ti\0" + id.encode() + b"\0"), packet(b"T")]
        for field in header.replace(b"\n ", b"\0 ").replace(b"\n\t", b"\0\t").split(b"\n"):
            name, _, value = field.replace(b"\0", b"\n").partition(b":")
            said.append(packet(b"L", name + b"\0" + value + b"\0"))
        said.append(packet(b"N"))
        wire = body.replace(b"\n", b"\r\n")
        said += [packet(b"B", wire[at : at + 65535]) for at in range(0, len(wire), 65535)]
        self.sock.sendall(b"".join(said) + packet(b"E"))

    def reply(self) -> Reply:
        """Wait for the answer to a message."""
        changes = []
        progress = 0
        while True:
            letter, data = self.hear()
            if letter == b"p":
                progress += 1
            elif letter in b"hi+-eqb":
                changes.append((letter, data))
            else:
                return Reply(letter, data.rstrip(b"\0").decode(), tuple(changes), progress)

    def ask(self, data: bytes, **about: object) -> Reply:
        self.message(data, **about)  # type: ignore[arg-type]
        return self.reply()


def packet(letter: bytes, data: bytes = b"") -> bytes:
    return struct.pack("!I", len(data) + 1) + letter + data


def free_port() -> int:
    """Return a port that no program uses, below those that Linux gives to outgoing connections: it stays free until it is bound."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, max(first, 11_000))
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port


_given: set[int] = set()
"""Ports that this process gave to its tests."""
