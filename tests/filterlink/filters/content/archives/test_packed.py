import lzma
import subprocess
import sys
import zlib

from inflate64 import Deflater

from filterlink.filters.content.archives.packed import unpacked
from filterlink.filters.content.archives.streams import PIECE_64, Inflate64, ZipLzma, rest_64
from filterlink.filters.content.limits.member import Budget

TEXT = b"some text, " * 2000


def packed_64(data: bytes) -> bytes:
    packer = Deflater()
    return bytes(packer.deflate(data) + packer.flush())


def test_deflate64_in_pieces() -> None:
    """A piece of the largest bomb is some megabytes, and what is before a fault in a piece is rescued."""
    bomb = packed_64(bytes(100 << 20))
    unpacker = Inflate64()
    sizes = [len(unpacker.decompress(bomb[at : at + PIECE_64], 0)) for at in range(0, len(bomb), PIECE_64)]
    assert (sum(sizes), max(sizes) < 4 << 20, unpacker.eof) == (100 << 20, True, True)
    stored = b"\0\x06\0\xf9\xffhidden" * 20 + b"\7" * 40  # each block has 11 bytes; a piece begins at 128, in the twelfth
    assert rest_64(stored, 0, 128) == (b"hidden" * 20)[6 * 11 + 2 :]


def test_deflate64_is_imported_at_the_first_such_file() -> None:
    """Also by a confined process."""
    code = (
        "import sys; from filterlink.process import sandbox; from filterlink.filters.content import yara\n"
        "from filterlink.filters.content.archives import streams\n"
        "assert 'inflate64' not in sys.modules and 'libarchive' not in sys.modules\n"
        "sandbox.confine(sandbox.interpreter())\n"
        "print(streams.Inflate64().decompress(bytes.fromhex(sys.argv[1]), 0) == b'some text, ' * 2000)"
    )
    done = subprocess.run([sys.executable, "-c", code, packed_64(TEXT).hex()], capture_output=True, timeout=20, check=True)
    assert done.stdout == b"True\n"


def test_names_of_all_streams() -> None:
    """And what is cut."""
    one = b"\x1f\x8b\x08\x08" + bytes(6) + b"a.exe\0" + b"\x03\0" + bytes(8)
    (found,) = unpacked(one + one.replace(b"a.exe", b"b.exe")[:20], "gzip", Budget(99))
    assert (found.names, found.flag) == (("a.exe", "b.exe"), "")


def test_what_gunzip_goes_on_with() -> None:
    """A stream that repeats what was before its begin."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=b"before it begins")
    data = packer.compress(b"before it begins, and HARM") + packer.flush()
    (found,) = unpacked(b"\x1f\x8b\x08" + bytes(7) + data + bytes(8), "gzip", Budget(99))
    assert (found.data[-10:], found.flag) == (b", and HARM", "")


def test_lzma_in_a_zip() -> None:
    """Ended by a mark or by its size, in pieces of one byte, cut."""
    packed = lzma.compress(TEXT, lzma.FORMAT_ALONE)
    body = b"\x09\x14\x05\0" + packed[:5] + packed[13:]
    unpacker = ZipLzma(-1)
    out = b""
    for at in range(len(body)):
        out += unpacker.decompress(body[at : at + 1], -1)
    assert (out, unpacker.eof) == (TEXT, True)
    unpacker = ZipLzma(len(TEXT))
    assert (bool(unpacker.decompress(body[:-20], 9000)), unpacker.eof) == (True, False)
    assert not ZipLzma(-1).decompress(body[:7], 9)


def test_the_last_byte_before_a_wrong_footer_is_taken() -> None:
    """liblzma finds the footer wrong in the call that gives the last byte."""
    text = bytes(range(256)) * 9
    data = bytearray(lzma.compress(text))
    data[-3] ^= 1
    (found,) = unpacked(bytes(data), "xz", Budget(9999))

    assert (found.data, found.flag) == (text, "broken")
