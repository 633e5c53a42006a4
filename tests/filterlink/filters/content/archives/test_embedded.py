"""Archives in which others begin, opened by 7-Zip, unrar, unar or bsdtar."""

import bz2
import gzip
import lzma
import struct
import time
import zlib
from pathlib import Path

import pytest

from filterlink.filters.content.archive import is_archive, members
from filterlink.filters.content.archives import embedded, unpack
from filterlink.filters.content.archives.embedded import MAX_PREFIX, is_in
from tests.helpers.archives import central, local, tarred, zipped
from tests.helpers.wrappings.archives import MAKES
from tests.helpers.wrappings.base import PAYLOADS
from tests.helpers.wrappings.packing import makes_of_packed

CORPUS = Path("/usr/share/clamav-testfiles")
CPIO = b"070701" + b"%08x" * 13 % (1, 0o100644, 0, 0, 1, 0, 4, 0, 0, 0, 0, 12, 0) + b"invoice.exe\0".ljust(14, b"\0") + b"HARM"
PROGRAM = b"MZ" + b"some stub " * 2000


def seven(harm: bytes, called: str = "invoice.exe") -> bytes:
    """A 7z file of one stored member."""
    name = called.encode("utf-16-le") + b"\0\0"
    files = b"\5\1\x11" + bytes([len(name) + 1]) + b"\0" + name + b"\0"
    head = b"\1\4\6\0\1\x09" + bytes([len(harm)]) + b"\0\7\x0b\1\0\1\1\0\x0c" + bytes([len(harm)]) + b"\0\x08\0\0" + files + b"\0"
    start = struct.pack("<QQI", len(harm), len(head), zlib.crc32(head))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(start)) + start + harm + head


def test_behind_a_program() -> None:
    """Also behind anything else, and up to the limit."""
    assert [(one.name, one.data) for one in members(seven(b"HARM"))] == [("invoice.exe", b"HARM")]
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        assert [tuple(one) for one in members(PROGRAM + pack(b"HARM" * 99) + b"rubbish")] == [("unpacked", b"HARM" * 99, "")]
        assert {one.flag for one in members(PROGRAM + pack(b"HARM" * 99)[:-12])} <= {""}
    for prefix in (PROGRAM, b"x", b"a text about 7z: 7z\xbc\xaf\x27\x1c, and more", b"q" * (MAX_PREFIX - 100)):
        for data in (seven(b"HARM"), CPIO):
            assert is_archive(prefix + data)
            assert ("invoice.exe", b"HARM", "") in [tuple(one) for one in members(prefix + data)]


@pytest.mark.parametrize(
    ("kind", "name"), [("lzh", "stored"), ("lzh", "stored, lz4"), ("cpio", "binary"), ("cpio", "binary, turned around"), ("zst", "")]
)
def test_kinds_of_short_signature(kind: str, name: str) -> None:
    """7-Zip looks for these, too."""
    data = (MAKES | makes_of_packed())[kind][name](PAYLOADS[1])
    for prefix in (b"x", PROGRAM, b"of -lh5- and -lz- and \xc7\x71, \x71\xc7 and \x28\xb5\x2f\xfd"):
        assert is_archive(prefix + data)
        assert [(one.data, one.flag) for one in members(prefix + data)] == [(PAYLOADS[1].data, "")]


@pytest.mark.parametrize("name", ["clam.cab", "clam-v2.rar", "clam-v3.rar", "clam.7z"])
def test_real_archives(name: str) -> None:
    """Debian's containers behind a program."""
    if not (CORPUS / name).exists():
        pytest.skip("apt-get install clamav-testfiles")
    contained = (CORPUS / "clam.exe").read_bytes()

    assert contained in [one.data for one in members(PROGRAM + (CORPUS / name).read_bytes(), name)]


def test_a_file_that_is_several_archives() -> None:
    """All that fit are opened."""
    tar = tarred(b"a", b"one")
    end = zipped((local(b"b", b"two"), lambda at: central(b"b", b"two", at)))
    found = [(one.name, one.data) for one in members(tar + bytes(1024) + seven(b"six") + bytes(99) + end)]

    assert {("a", b"one"), ("b", b"two"), ("invoice.exe", b"six")} <= set(found)


@pytest.mark.parametrize(
    "data",
    [
        b"of 7z\xbc\xaf\x27\x1c and Rar!\x1a\x07\0 and MSCF\0\0\0\0 and xar! and 070701 and CD001 " * 9,
        PROGRAM + seven(b"HARM")[:40],
        b"x" + b"Rar!\x1a\x07\1" * 9,
        b"x" + b"070701" * 9,
        b"x" + b"\x1f\x8b\x08\0" * 99 + b"BZh9" * 99,
        b"x" + b"-lh5-\0" * 99 + b"-lh0-" + bytes(99),
        b"x" + b"\x28\xb5\x2f\xfd" * 99 + bytes(99) + b"\xc7\x71" * 99 + bytes(99) + b"\x71\xc7" * 99,
    ],
)
def test_an_accident_has_no_flag(data: bytes) -> None:
    """The words of a format in any file."""
    assert {one.flag for one in members(data)} <= {""}


def test_many_are_a_limit() -> None:
    """Whether they are false, or whole by their first header but cannot be opened; nothing of it takes long."""
    began = time.process_time()
    assert [one.flag for one in members(b"x" + b"7z\xbc\xaf\x27\x1c" * 100_000)] == ["limit"]
    start = struct.pack("<QQI", 0, 99, 7)
    false = b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(start)) + start
    assert [one.flag for one in members(b"x" + false * 100)] == ["limit"]
    assert time.process_time() - began < 1


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what Python unpacks is looked for."""
    monkeypatch.setattr(unpack, "_ffi", lambda: None)
    assert (is_in(PROGRAM + seven(b"HARM")), is_in(PROGRAM + gzip.compress(b"HARM"))) == (False, True)
    assert embedded.MAX_PREFIX == 4 << 20
