"""Provide the parts of all wrappings: the three payloads, and a message or part around some bytes. Every payload is harmless."""

import base64
import binascii
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["HEAD", "PAYLOADS", "Build", "Payload", "Wrapping", "attached", "encoded", "hexed", "mixed", "named", "part", "uu", "variants"]

HEAD = b"From: ann@a.example\nTo: bob@b.example\nSubject: the file\nMIME-Version: 1.0\n"
TEXT = b"--b1\nContent-Type: text/plain\n\nsee the file\n"
_STUB = b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff\0\0\xb8" + bytes(43) + b"\x40\0\0\0PE\0\0" + bytes(60)
_EICAR = ("X5O!P%@AP[4\\PZX54(P^)", "7CC)7}$EICAR", "-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*")


@dataclass(frozen=True)
class Payload:
    """A file that the shipped rules stop: by its content, by its first bytes, or by its name."""

    label: str
    file: str
    data: bytes
    type: str = "application/octet-stream"

    @property
    def name(self) -> bytes:
        return self.file.encode()


PAYLOADS = (
    Payload("eicar", "readme.dat", "".join(_EICAR).encode()),
    Payload("program", "report.dat", _STUB),
    Payload("name", "invoice.exe", b"Dear customer, this is a harmless text.\n"),
)
Build = Callable[[Payload], bytes]


@dataclass(frozen=True)
class Wrapping:
    """A way to send a payload: `build` makes the whole message."""

    name: str
    kind: str
    build: Build


def encoded(payload: Payload) -> bytes:
    """Return the payload in base64, in lines as in mail."""
    return base64.encodebytes(payload.data)


def fields(payload: Payload, encoding: bytes = b"base64") -> bytes:
    """Return the three fields of an ordinary attachment."""
    return (
        b"Content-Type: %b; name=%b\n" % (payload.type.encode(), payload.name)
        + b"Content-Disposition: attachment; filename=%b\n" % payload.name
        + (b"Content-Transfer-Encoding: %b\n" % encoding if encoding else b"")
    )


def part(payload: Payload) -> bytes:
    """Return an ordinary attachment: header, empty line, body."""
    return fields(payload) + b"\n" + encoded(payload)


def mixed(*parts: bytes, type: bytes = b"multipart/mixed; boundary=b1", head: bytes = HEAD, text: bytes = TEXT) -> bytes:
    """Return a whole message with these parts."""
    return head + b"Content-Type: " + type + b"\n\n" + text + b"".join(b"--b1\n" + each for each in parts) + b"--b1--\n"


def named(data: bytes, file: str, type: str = "application/octet-stream") -> bytes:
    """Return a whole message with an attached file of this name, in an ordinary way."""
    return mixed(part(Payload("", file, data, type)))


def attached(file: str, make: Callable[[Payload], bytes], type: str = "application/octet-stream") -> Build:
    """Return a builder that attaches the output of `make` for the payload."""
    return lambda payload: named(make(payload), file, type)


def variants(kind: str, group: str, sources: dict[str, Build]) -> Iterator[Wrapping]:
    """Yield the wrappings of one group. Their names begin with the group's name."""
    for name, build in sources.items():
        yield Wrapping(f"{group}: {name}", kind, build)


def uu(data: bytes, name: bytes, mode: bytes = b"644", end: bytes = b"`\nend\n") -> bytes:
    lines = (binascii.b2a_uu(data[at : at + 45], backtick=True) for at in range(0, len(data), 45))
    return b"begin %b %b\n" % (mode, name) + b"".join(lines) + end


def hexed(data: bytes) -> bytes:
    """Encode in quoted-printable, with every byte in hex."""
    text = b"".join(b"=%02X" % byte for byte in data)
    return b"".join(text[at : at + 72] + b"=\n" for at in range(0, len(text), 72)) + b"\n"
