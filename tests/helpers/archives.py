"""Make archives by hand, header by header, so that the headers of one member can contradict each other."""

import struct
import zlib
from collections.abc import Callable

__all__ = ["central", "deflated", "descriptor", "end", "extra", "gzipped", "local", "tarred", "unicode_path", "zipped"]


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _said(data: bytes, method: int, flags: int, said: dict[str, int]) -> tuple[bytes, tuple[int, ...]]:
    """Return the packed data, and flags, method, time, date, checksum and sizes. `said` replaces some of these values."""
    body = deflated(data) if method in (8, 77) else data
    told = {"flags": flags, "method": method, "crc": zlib.crc32(data), "packed": len(body), "size": len(data), **said}
    return body, (told["flags"], told["method"], 0, 0x21, told["crc"], told["packed"], told["size"])


def local(name: bytes, data: bytes, method: int = 8, flags: int = 0, field: bytes = b"", **said: int) -> bytes:
    """Make a local header and the packed data. `said`: wrong values of crc, packed or size for the header."""
    body, told = _said(data, method, flags, said)
    return struct.pack("<4s5H3I2H", b"PK\3\4", 20, *told, len(name), len(field)) + name + field + body


def central(name: bytes, data: bytes, at: int, method: int = 8, flags: int = 0, field: bytes = b"", **said: int) -> bytes:
    """Make an entry of the directory."""
    _, told = _said(data, method, flags, said)
    return (
        struct.pack("<4s6H", b"PK\1\2", 20, 20, *told[:4])
        + struct.pack("<3I5H2I", *told[4:], len(name), len(field), 0, 0, 0, 0, at)
        + name
        + field
    )


def end(count: int, size: int, at: int, comment: bytes = b"") -> bytes:
    return struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, size, at, len(comment)) + comment


def zipped(*members: tuple[bytes, Callable[[int], bytes] | None], begin: int = 0, comment: bytes = b"") -> bytes:
    """Make a zip. A member is its header with the data, and a function from its offset to its entry, or None.

    `begin`: the first offset.
    """
    data = b""
    entries = b""
    count = 0
    for header, entry in members:
        if entry:
            entries += entry(begin + len(data))
            count += 1
        data += header
    return data + entries + end(count, len(entries), begin + len(data), comment)


def extra(kind: int, field: bytes) -> bytes:
    return struct.pack("<HH", kind, len(field)) + field


def unicode_path(name: bytes, real: bytes) -> bytes:
    """Make the field with a name in UTF-8, valid for the name `real` in the header."""
    return extra(0x7075, struct.pack("<BI", 1, zlib.crc32(real)) + name)


def descriptor(data: bytes, method: int = 8) -> bytes:
    return struct.pack("<4s3I", b"PK\7\x08", zlib.crc32(data), len(deflated(data) if method else data), len(data))


def gzipped(data: bytes, flags: int = 0, head: bytes = b"", magic: bytes = b"\x1f\x8b\x08") -> bytes:
    """Make a gzip file. `head`: the optional fields after the fixed header, as `flags` announce them."""
    return magic + bytes([flags]) + bytes(6) + head + deflated(data) + struct.pack("<II", zlib.crc32(data), len(data))


def tarred(name: bytes, data: bytes, kind: bytes = b"0", magic: bytes = b"ustar\x0000", wrong: int = 0, signed: bool = False) -> bytes:
    """Make one member of a tar, without the end. `wrong`: error of its checksum; `signed`: checksum of signed bytes, as in old tars."""
    head = bytearray(name[:100].ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % len(data) + b"00000000000\0")
    head += (b" " * 8 + kind).ljust(101 + 8, b"\0") + magic
    head = head.ljust(512, b"\0")
    total = sum(head) - (256 * sum(byte > 127 for byte in head) if signed else 0)
    head[148:156] = b"%06o\0 " % (total + wrong)
    return bytes(head) + data + bytes(-len(data) % 512)
