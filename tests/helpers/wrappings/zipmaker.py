"""Write zips in which every number and name can be wrong, and pack small data by methods that Python lacks."""

import bz2
import lzma
import struct
import zlib
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Entry", "Layout", "deflated", "imploded", "packed", "reduced", "shrunk", "unicode_path", "zipped", "zstd"]


@dataclass(frozen=True)
class Entry:
    """A member. A value of None means the true value."""

    name: bytes
    data: bytes
    method: int = 8
    central_name: bytes | None = None
    local_method: int | None = None
    central_method: int | None = None
    flags: int = 0
    central_flags: int | None = None
    crc: int | None = None
    packed_size: int | None = None
    size: int | None = None
    central_packed_size: int | None = None
    central_size: int | None = None
    extra: bytes = b""
    central_extra: bytes = b""
    descriptor: bytes = b""
    offset: int | None = None
    version: int = 20
    signature: bytes = b"PK\x03\x04"
    attributes: int = 0


class Layout(NamedTuple):
    """The layout of members, directory and end record."""

    prefix: bytes = b""
    shifted: bool = False
    """Offsets count from the begin of the file, prefix included."""
    between: bytes = b""
    directory: bool = True
    end: bool = True
    entries: int | None = None
    """The number of members in the end record."""
    moved: int = 0
    """The error in the offset of the directory."""
    comment: bytes = b""
    comment_length: int | None = None
    disk: int = 0
    zip64: bool = False
    tail: bytes = b""


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def zipped(*entries: Entry, layout: Layout = Layout()) -> bytes:  # noqa: B008 - it never changes
    """Write a zip."""
    out = bytearray(layout.prefix)
    central = bytearray()
    base = 0 if layout.shifted else len(layout.prefix)
    for entry in entries:
        at = len(out) - base if entry.offset is None else entry.offset
        out += _local(entry)
        central += _central(entry, at)
    out += layout.between
    start = len(out) - base + layout.moved
    out += central if layout.directory else b""
    if layout.end:
        count = len(entries) if layout.entries is None else layout.entries
        if layout.zip64:
            record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(central), start)
            locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(out) - base, 1)
            out += record + locator
            count = 0xFFFF
            start = 0xFFFFFFFF
            size = 0xFFFFFFFF
        else:
            size = len(central)
        length = len(layout.comment) if layout.comment_length is None else layout.comment_length
        out += struct.pack("<4sHHHHIIH", b"PK\x05\x06", layout.disk, layout.disk, count, count, size, start, length) + layout.comment
    return bytes(out) + layout.tail


def _local(entry: Entry) -> bytes:
    data = packed(entry.data, entry.method)
    method = entry.method if entry.local_method is None else entry.local_method
    sizes = (_or(entry.crc, zlib.crc32(entry.data)), _or(entry.packed_size, len(data)), _or(entry.size, len(entry.data)))
    fields = struct.pack("<HHHHHIIIHH", entry.version, entry.flags, method, 0, 0x21, *sizes, len(entry.name), len(entry.extra))
    return entry.signature + fields + entry.name + entry.extra + data + entry.descriptor


def _central(entry: Entry, at: int) -> bytes:
    data = packed(entry.data, entry.method)
    name = entry.name if entry.central_name is None else entry.central_name
    method = entry.method if entry.central_method is None else entry.central_method
    flags = entry.flags if entry.central_flags is None else entry.central_flags
    packed_size = _or(entry.central_packed_size, len(data))
    sizes = (_or(entry.crc, zlib.crc32(entry.data)), packed_size, _or(entry.central_size, len(entry.data)))
    fields = struct.pack("<HHHHHHIII", entry.version, entry.version, flags, method, 0, 0x21, *sizes)
    lengths = struct.pack("<HHHHHII", len(name), len(entry.central_extra), 0, 0, 0, entry.attributes, at)
    return b"PK\x01\x02" + fields + lengths + name + entry.central_extra


def _or(given: int | None, right: int) -> int:
    return right if given is None else given


def unicode_path(name: bytes, original: bytes) -> bytes:
    """Make the extra field with another name, and the checksum of the original name."""
    return struct.pack("<HHBI", 0x7075, 5 + len(name), 1, zlib.crc32(original)) + name


# Methods


def packed(data: bytes, method: int) -> bytes:
    """Pack by the number of the method; deflate without long matches is Deflate64 as well."""
    if method in (8, 9):
        return deflated(data)
    if method == 1:
        return shrunk(data)
    if method in (2, 3, 4, 5):
        return reduced(data)
    if method == 6:
        return imploded(data)
    if method == 12:
        return bz2.compress(data)
    if method == 14:
        return struct.pack("<BBH", 9, 4, 5) + b"\x5d" + struct.pack("<I", 1 << 16) + _lzma1(data)
    if method == 93:
        return zstd(data)
    return lzma.compress(data) if method == 95 else data


def _lzma1(data: bytes) -> bytes:
    return lzma.compress(data, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 3, "lp": 0, "pb": 2}])


def zstd(data: bytes) -> bytes:
    """Make a frame with one raw block and no checksum."""
    return b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(data)) + (len(data) << 3 | 1).to_bytes(3, "little") + data


class _Bits:
    """A writer of bits, the lowest bit of a byte first."""

    def __init__(self) -> None:
        self._value = self._count = 0

    def put(self, value: int, width: int) -> None:
        self._value |= value << self._count
        self._count += width

    def bytes(self) -> bytes:
        return self._value.to_bytes((self._count + 7) // 8, "little")


def shrunk(data: bytes) -> bytes:
    """Write each byte as a code of nine bits, which is enough for less than 256 bytes."""
    bits = _Bits()
    for byte in data:
        bits.put(byte, 9)
    return bits.bytes()


def reduced(data: bytes) -> bytes:
    """Write data in which no byte has followers."""
    bits = _Bits()
    for _ in range(256):
        bits.put(0, 6)
    for byte in data:
        bits.put(byte, 8)
        if byte == 144:
            bits.put(0, 8)
    return bits.bytes()


def imploded(data: bytes) -> bytes:
    """Write two trees of 64 codes with six bits each, and only literals."""
    bits = _Bits()
    for byte in data:
        bits.put(1, 1)
        bits.put(byte, 8)
    return b"\x03\xf5\xf5\xf5\xf5" * 2 + bits.bytes()
