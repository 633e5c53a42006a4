import base64
import bz2
import gzip
import io
import lzma
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from filterlink.filters.content.archive import is_archive, members
from filterlink.filters.content.archives import streams, unpack
from filterlink.filters.content.archives.unpack import library_format, stream, stream_kind, unopened
from filterlink.filters.content.limits.member import Budget, Member
from tests.helpers.archives import gzipped
from tests.helpers.wrappings.archives import MAKES
from tests.helpers.wrappings.base import PAYLOADS

CORPUS = Path("/usr/share/clamav-testfiles")
TEXT = b"some text, " * 1000
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zlib": zlib.compress,
}


def unpacked(data: bytes, name: str = "a.gz") -> list[Member]:
    return list(stream(data, stream_kind(data), name, Budget(len(data))))


@pytest.mark.parametrize("kind", PACKERS)
def test_packed_files(kind: str) -> None:
    """One, several behind each other, with filling, cut short, damaged."""
    data = PACKERS[kind](TEXT)

    assert (stream_kind(data), unpacked(data)) == (kind, [Member("a", TEXT)])
    assert unpacked(data + b"\0" * 512) == [Member("a", TEXT)]
    if kind not in ("lzma", "zlib"):
        assert unpacked(data + data) == [Member("a", TEXT + TEXT)]
        assert [one.flag for one in unpacked(data[:-12])] == ["broken"]
    for at in range(0, len(data), 7):
        unpacked(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]) if at else None


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_a_wrong_checksum_hides_nothing(kind: str) -> None:
    """Nor does a wrong size at the end: unpackers warn, and leave the file."""
    data = PACKERS[kind](TEXT)
    if kind == "gzip":
        for at in (-8, -4):
            assert unpacked(data[:at] + b"\1" + data[at + 1 :])[0].data == TEXT
        assert unpacked(data[:-8])[0].data == TEXT
    else:
        at = 10 if kind == "bzip2" else data.index(b"YZ") - 28 - 12  # the checksum of the block
        damaged = [unpacked(data[:n] + bytes([data[n] ^ 1]) + data[n + 1 :]) for n in ({10} if kind == "bzip2" else range(at, at + 12))]
        assert (TEXT[:-1], "broken") in [(one[0].data[: len(TEXT) - 1], one[0].flag) for one in damaged]


def test_what_needs_too_much_memory_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be whole, so it is not said to be broken, which the rules in the box let pass."""
    monkeypatch.setattr(streams, "MAX_MEMORY", 1 << 20)
    assert unpacked(lzma.compress(TEXT, preset=6)) == [Member("a", b"", "limit")]


def test_what_is_before_a_fault_is_unpacked() -> None:
    """In a gzip file and in a zip, to the last byte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    broken = packer.compress(b"hidden") + packer.flush(zlib.Z_SYNC_FLUSH) + b"\7" * 40  # a block of a kind that is not there
    assert unpacked(b"\x1f\x8b\x08" + bytes(7) + broken) == [Member("a", b"hidden", "broken")]
    head = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(broken), 6, 1, 0) + b"a"
    assert Member("a", b"hidden", "broken") in list(members(head + broken))


def test_a_thousand_skippable_frames_are_a_limit() -> None:
    """What stands behind them is not forgotten."""
    assert [one.flag for one in members(b"\x50\x2a\x4d\x18\0\0\0\0" * 200_000 + LAYERS["zstd"][0])] == ["limit"]


def test_the_names_of_a_packed_file() -> None:
    """That of the file without its suffix, and the one that a gzip header gives."""
    target = io.BytesIO()
    with gzip.GzipFile("evil.exe", "wb", fileobj=target) as file:
        file.write(b"x")

    assert unpacked(target.getvalue(), "b.tgz") == [Member("b.tar", b"x"), Member("evil.exe", b"")]
    assert unpacked(target.getvalue(), "part 2") == [Member("unpacked", b"x"), Member("evil.exe", b"")]


@pytest.mark.parametrize("kind", PACKERS)
def test_a_packed_bomb_is_stopped(kind: str) -> None:
    """At the ratio, long before it is unpacked."""
    found = unpacked(PACKERS[kind](bytes(100 << 20)))

    assert (found[0].flag, len(found[0].data) <= 24 << 20) == ("bomb", True)


def test_millions_of_empty_streams_take_no_time() -> None:
    """They unpack to nothing, so bytes do not stop them."""
    data = gzip.compress(b"") * 1_000_000
    began = time.process_time()

    assert unpacked(data)[0].flag == "limit"
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    "name", ["clam.7z", "clam.bin-be.cpio", "clam.bin-le.cpio", "clam.cab", "clam.newc.cpio", "clam.odc.cpio", "clam.tar.gz"]
)
def test_real_archives(name: str) -> None:
    """Debian's containers hold clam.exe."""
    if not (CORPUS / name).exists():
        pytest.skip("apt-get install clamav-testfiles")
    contained = (CORPUS / "clam.exe").read_bytes()

    assert contained in [one.data for one in members((CORPUS / name).read_bytes(), name)]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_tar(form: int) -> None:
    """In every dialect, also without its magic; damaged, it never raises."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as file:
        info = tarfile.TarInfo("d/ä.txt")
        info.size = len(TEXT)
        file.addfile(info, io.BytesIO(TEXT))
    data = target.getvalue()

    assert [one.data for one in members(data) if one.data] == [TEXT]
    for at in range(0, 2000, 3):
        list(members(data[:at]))
        list(members(data[:at] + b"\xff" + data[at + 1 :]))


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its formats are no archives to us; packed files are."""
    data = b"7z\xbc\xaf\x27\x1c" + bytes(40)
    assert (library_format(data), is_archive(data)) == ("7zip", True)
    monkeypatch.setattr(unpack, "_ffi", lambda: None)
    assert (library_format(data), is_archive(data), unopened(data)) == ("", False, "7zip")
    assert (is_archive(LAYERS["zstd"][0]), unopened(LAYERS["zstd"][0])) == (False, "zstd")
    assert is_archive(gzip.compress(b"x"))


def lzip(data: bytes) -> bytes:
    stream = lzma.compress(data, lzma.FORMAT_ALONE, preset=6)[13:]
    size = 6 + len(stream) + 20
    return b"LZIP\x01\x17" + stream + struct.pack("<IQQ", zlib.crc32(data), len(data), size)


def lzw(data: bytes, first: tuple[int, ...] = ()) -> bytes:
    """As compress writes it; `first`: codes before its own. At most a few hundred bytes: all codes have nine bits."""
    table = {bytes([n]): n for n in range(256)}
    codes = list(first)
    word = b""
    for at in range(len(data)):
        longer = word + data[at : at + 1]
        if longer in table:
            word = longer
            continue
        codes.append(table[word])
        table[longer] = len(table) + 1  # 256 begins anew
        word = data[at : at + 1]
    codes.append(table[word])
    assert len(codes) < 255
    bits = sum(code << 9 * at for at, code in enumerate(codes))
    return b"\x1f\x9d\x90" + bits.to_bytes((9 * len(codes) + 7) // 8, "little")


LAYERS = {
    "compress": (lzw(TEXT[:1100]), TEXT[:1100]),
    "zstd": (base64.b64decode("KLUv/QRonQAAWHNvbWUgdGV4dCwgAQDqynzxAvNTK10="), TEXT[:11000]),
    "lz4": (
        base64.b64decode(
            "BCJNGGRAp0AAAAC/c29tZSB0ZXh0LCALAP////////////////////////////////////////////////////////8AUGV4dCwgAAAAADJnGGM="
        ),
        TEXT,
    ),
    "lz4, old": (
        base64.b64decode("AiFMGEAAAAC/c29tZSB0ZXh0LCALAP////////////////////////////////////////////////////////8AUGV4dCwg"),
        TEXT,
    ),
    "lzip": (lzip(TEXT), TEXT),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_layers_by_the_library(kind: str) -> None:
    """One, two behind each other, cut short, damaged: there is always some answer, and the data where it is whole."""
    data, text = LAYERS[kind]

    assert stream_kind(data) == kind.partition(",")[0]
    assert unpacked(data, "a.zst") == [Member("a", text)]
    if kind in ("zstd", "lz4", "lzip"):
        assert unpacked(data + data) == [Member("a", text + text)]
        assert {one.flag for one in unpacked(data[:-5])} == {"broken"}
    for at in range(len(data)):
        list(members(data[:at]))
        list(members(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]))


@pytest.mark.parametrize("data", [lzw(lzw(TEXT[:200])), lzw(lzw(TEXT[:200]), (256,)), b"\x1f\x9d", b"\x1f\x9d\x90"])
def test_what_is_compressed_twice_is_not_opened(data: bytes) -> None:
    """libarchive would open both at once, and nobody would count what is in the middle."""
    assert unpacked(data, "a.Z") == [Member("a", b"", "unopened")]


def test_a_bomb_of_compress() -> None:
    """Each code stands for one byte more than the last: 2 GB in 120 KB, of which no more is unpacked than harms nobody."""
    out = bytearray(b"\x1f\x9d\x90")
    number = 0
    used = 0
    width = 9
    for at, code in enumerate([0, *range(257, 65536)]):
        if at + 256 > (1 << width) - 1 and width < 16:
            used += -(used // width) % 8 * width  # a group has eight codes of one width
            width += 1
            out += number.to_bytes((used + 7) // 8, "little")
            number = used = 0
        number |= code << used
        used += width
    out += number.to_bytes((used + 7) // 8, "little")

    (found,) = unpacked(bytes(out), "a.Z")
    assert (found.flag, len(found.data) <= 24 << 20) == ("bomb", True)


@pytest.mark.parametrize("kind", ["zstd", "lz4"])
def test_frames_that_are_skipped_hide_nothing(kind: str) -> None:
    """They may stand before the data, and unpackers pass over them; a length that leads beyond the end is no trap."""
    data, text = LAYERS[kind]
    skipped = b"\x5a\x2a\x4d\x18\x03\0\0\0abc"

    assert unpacked(skipped * 3 + data) == [Member("a", text)]
    assert stream_kind(b"\x50\x2a\x4d\x18\xff\xff\xff\xff") == ""


def test_layers_are_taken_off_one_at_a_time() -> None:
    """A bomb of 100 MB in 70 bytes: the layer in the middle counts, and the last one ends at the ratio."""
    bomb = base64.b64decode("KLUv/QRotQEAlAIotS/9BGhMAAAIAAEA/P85EAICABAARAAAAAEA/f/MCxADABAAkNO+BQIAg1Ag+1591W0C9Z0C2g==")
    found = list(members(bomb, "a.zst"))

    assert [one.flag for one in found] == ["", "bomb"]
    assert len(found[1].data) <= 24 << 20


ARJ = b"\x60\xea\x1e\0\x1e\x0b\1\0" + bytes(40)


@pytest.mark.parametrize("data", [ARJ, bytes(7) + b"**ACE**" + bytes(9), b"\x89LZO\0\r\n\x1a\n", b"LRZI", b"ALZ\1"])
def test_what_nobody_opens_is_known(data: bytes) -> None:
    """By its content; alone it is no archive to us, in one its member says it."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        file.writestr("a.bin", data)

    assert (bool(unopened(data)), is_archive(data)) == (True, False)
    assert list(members(target.getvalue())) == [Member("a.bin", data, "unopened")]


def test_what_is_no_archive_at_all() -> None:
    """Text and such."""
    assert [unopened(data) for data in (b"", b"x", b"\x60\xea", b"\x60\xea\xff\xff", gzip.compress(b"x"), b"LRZ")] == [""] * 6


def test_streams_behind_something_else() -> None:
    """Zeros are filling; what is behind rubbish some look for, and all names are there."""
    for kind, pack in PACKERS.items():
        one = pack(b"harmless")
        two = pack(b"HARM")
        if kind != "zlib":
            assert [one.data for one in unpacked(one + two)] == [b"harmlessHARM"], kind
        if kind not in ("lzma", "zlib"):
            assert [one.data for one in unpacked(one + bytes(64) + two)] == [b"harmlessHARM"], kind
            assert unpacked(one + b"rubbish" + two) == [Member("a", b"harmless"), Member("a", b"HARM", "ambiguous")], kind
        assert unpacked(one + b"rubbish" * 99) == [Member("a", b"harmless")], kind
    named = gzipped(b"1", 8, b"good.txt\0") + gzipped(b"2", 8, b"invoice.exe\0")
    assert [one.name for one in unpacked(named)] == ["a", "good.txt", "invoice.exe"]


@pytest.mark.parametrize(
    "data", [gzipped(b"HARM", 0xE0), gzipped(b"HARM", 2, b"xx"), gzipped(b"HARM", 4, b"\3\0abc"), gzipped(b"HARM", magic=b"\x1f\x9e\x08")]
)
def test_odd_headers_of_gzip(data: bytes) -> None:
    """Flags that are not there, a wrong checksum of the header, an extra field, the old magic."""
    assert unpacked(data) == [Member("a", b"HARM")]


@pytest.mark.parametrize(("lc", "lp", "pb", "size"), [(3, 0, 2, 1 << 16), (0, 0, 0, 1 << 16), (1, 2, 1, 3 << 20), (3, 0, 2, 4096)])
def test_lzma_of_other_properties(lc: int, lp: int, pb: int, size: int) -> None:
    """With its size and without."""
    data = lzma.compress(TEXT, lzma.FORMAT_ALONE, filters=[{"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": size}])
    assert unpacked(data) == unpacked(data[:5] + struct.pack("<Q", len(TEXT)) + data[13:]) == [Member("a", TEXT)]


def test_what_only_begins_like_a_packed_file() -> None:
    """A text, zeros, numbers."""
    assert [
        stream_kind(data) for data in (b"BZh is short for it", bytes(99), b"\5\0\1\0\0" + bytes(99), b"a text, " * 9, b"x^7 is zero")
    ] == [""] * 5
    assert {one.flag for one in members(b"x^2 is nine", "a.txt")} <= {""}


def test_a_reader_that_has_failed_is_asked_no_more() -> None:
    """libarchive's of cab would crash: a checksum is wrong, and a block is missing."""
    entry = struct.pack("<IIHHHH", 20, 0, 0, 0, 0, 0x20) + b"a.exe\0"
    data = struct.pack("<IHH", 1, 20, 20) + b"x" * 20
    head = b"MSCF" + struct.pack("<IIIIIBBHHHHH", 0, 44 + len(entry + data), 0, 44, 0, 3, 1, 1, 1, 0, 0, 0)
    cab = head + struct.pack("<IHH", 44 + len(entry), 2, 0) + entry + data

    assert [(one.name, one.flag) for one in members(cab)] == [("a.exe", "broken")]


def test_names_in_any_locale() -> None:
    """libarchive gives none that the locale cannot express, of a 7z file at least."""
    code = (
        "from filterlink.filters.content.archive import members\n"
        "from tests.filterlink.filters.content.archives.test_embedded import seven\n"
        "print([ascii(one.name) for one in members(seven(b'HARM', 'a\\u202efdp.exe'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=20, check=True, env={"LC_ALL": "C", "PYTHONPATH": "."})
    assert done.stdout == b"[\"'a\\\\u202efdp.exe'\"]\n"


def lzipped(data: bytes) -> bytes:
    """Without its last 20 bytes: checksum and sizes."""
    raw = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 3, "lp": 0, "pb": 2}]
    return b"LZIP\1\x10" + lzma.compress(data, lzma.FORMAT_RAW, filters=raw)


@pytest.mark.skipif(not unpack.available(), reason="without libarchive it is not opened")
def test_what_is_before_the_fault_of_a_lzip_or_lha_file_is_taken() -> None:
    """Their ends are cut, and libarchive gives nothing of them."""
    lha = MAKES["lzh"]["stored"](PAYLOADS[1])

    assert Member("a", TEXT, "broken") in unpacked(lzipped(TEXT), "a.lz")
    assert [one.flag for one in members(lha[:-9], "a.lzh")] == ["broken"]
    assert next(one.data for one in members(lha[:-9], "a.lzh")) == PAYLOADS[1].data[:-8].rstrip(b"\0")
