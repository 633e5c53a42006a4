import os
import resource
import struct
import subprocess
import sys
import time
from typing import BinaryIO

import pytest

from filterlink.filters.content import office
from filterlink.filters.content.mime import parts
from filterlink.filters.content.office import Macros, is_office
from tests.helpers import hostile

CODE = b'Attribute VB_Name = "Module1"\r\nSub AutoOpen()\r\nShell "calc.exe"\r\nEnd Sub\r\n'


def vba(code: bytes) -> bytes:
    """Pack as MS-OVBA does, in chunks of literals; long enough for a stream of its own in an OLE file."""
    code += b"' filling\r\n" * 500
    return b"\1" + b"".join(chunk(code[at : at + 3600]) for at in range(0, len(code), 3600))


def chunk(code: bytes) -> bytes:
    body = b"".join(b"\0" + code[at : at + 8] for at in range(0, len(code), 8))
    return struct.pack("<H", 0xB000 | (len(body) - 1)) + body


def ole(stream: bytes) -> bytes:
    """An OLE file of one stream: header, one sector of the allocation table, one of the folder, data."""
    stream = stream.ljust(4096)
    data = stream.ljust(-(-len(stream) // 512) * 512)
    count = len(data) // 512
    table = [0xFFFFFFFD, 0xFFFFFFFE, *range(3, 2 + count), 0xFFFFFFFE]
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    head += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    head += struct.pack("<109I", 0, *[0xFFFFFFFF] * 108)
    folder = entry("Root Entry", 5, 1, 0xFFFFFFFE, 0) + entry("Macro", 2, 0xFFFFFFFF, 2, len(stream)) + bytes(256)
    return head + struct.pack("<128I", *table, *[0xFFFFFFFF] * (128 - len(table))) + folder + data


def entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
    text = name.encode("utf-16-le") + b"\0\0"
    return struct.pack("<64sHBBIII36xIQ", text, len(text), kind, 1, 0xFFFFFFFF, 0xFFFFFFFF, child, start, size)


def macros(data: bytes) -> bytes:
    return Macros().read(data).output


def test_macros_are_found() -> None:
    """As source, whatever packed them."""
    assert b'Shell "calc.exe"' in macros(ole(vba(CODE)))


def test_other_files_have_none() -> None:
    """An Office file without macros, and what is none."""
    assert macros(ole(b"just text" * 100)) == b""
    assert macros(b"Sub AutoOpen()") == b""
    assert is_office(b'<?xml version="1.0"?><w:x xmlns:w="http://schemas.microsoft.com/office/word/2003/wordml">')


def test_damaged_files_never_raise() -> None:
    """Cut anywhere, or with bytes changed; what olevba could not read is flagged."""
    data = ole(vba(CODE))
    flags = set()
    for at in range(8, 1700, 62):
        flags.add(Macros().read(data[:at]).flag)
        macros(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
    assert "broken" in flags


@pytest.mark.parametrize("name", ["word_2003", "ole_streams"])
def test_hostile_files_have_limits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gigabyte of macros, one stream 8,000 times: flagged, in bounded time, and this process stays small."""
    monkeypatch.setattr(office, "MAX_SECONDS", 1.0)
    found = [part for part in parts(hostile.MESSAGES[name]()) if is_office(part.data)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    reader = Macros()

    assert [reader.read(part.data).flag for part in found] == ["limit"]
    assert time.monotonic() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


def test_all_files_of_a_message_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is over, the rest is flagged; so are more macros than are kept."""
    monkeypatch.setattr(office, "MAX_CODE", 100)
    reader = Macros()
    assert reader.read(ole(vba(CODE))).flag == "limit"
    reader._left = 0.0
    assert reader.read(ole(vba(CODE))) == (b"", "limit")
    assert reader.read(b"no office file") == (b"", "")


def test_a_file_that_crashes_olevba_costs_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is flagged; what was read before counts."""

    def crash(_olevba: object, _data: bytes, file: BinaryIO) -> None:
        file.write(b"Sub AutoOpen()")
        os.kill(os.getpid(), 9)

    monkeypatch.setattr(office, "_read", crash)
    assert Macros().read(ole(vba(CODE))) == (b"Sub AutoOpen()", "limit")


def test_without_oletools(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no macros to be seen."""
    monkeypatch.setattr(office, "_olevba", lambda: None)
    assert macros(ole(vba(CODE))) == b""


def test_oletools_is_imported_only_when_needed() -> None:
    """Ordinary mail does not pay for it."""
    code = (
        "import sys; from filterlink.filters.content import office as o; o.Macros().read(b'x'); sys.exit('oletools.olevba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0
