"""Wrap payloads in rare archives: cab, rar, arj, lha, ar and cpio by hand, 7z and others by libarchive if that is installed."""

import struct
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from tests.helpers.wrappings.base import Payload, Wrapping, attached, variants
from tests.helpers.wrappings.packing import gz

__all__ = ["MAKES", "library", "wrappings"]

Make = Callable[[Payload], bytes]


def wrappings() -> Iterator[Wrapping]:
    """Yield all wrappings of this module; those of libarchive only if it is installed."""
    for kind, makes in MAKES.items():
        yield from variants("archives", kind, {name: attached(f"files.{kind}", make) for name, make in makes.items()})
    try:
        import_module("libarchive")
    except Exception:  # noqa: BLE001 - without the library, importing it fails with an error of ctypes
        return
    for kind, forms in _FORMATS.items():
        yield from variants("archives", kind, {f"by libarchive, {form}": attached(f"files.{kind}", _by(form)) for form in forms})


_FORMATS = {
    "7z": ("7zip",),
    "cpio": ("cpio", "cpio_newc"),
    "xar": ("xar",),
    "ar": ("ar_bsd", "ar_svr4"),
    "zip": ("zip",),
    "tar": ("gnutar", "pax", "ustar", "v7tar"),
    "warc": ("warc",),
}


def _by(form: str) -> Make:
    return lambda payload: library(form, {"clean.txt": b"a clean text\n", payload.file: payload.data})


def library(form: str, files: dict[str, bytes], options: str = "") -> bytes:
    """Write an archive with libarchive."""
    out = bytearray()
    libarchive: Any = import_module("libarchive")

    def take(data: bytes) -> int:
        out.extend(data)
        return len(data)

    with libarchive.custom_writer(take, form, options=options) as archive:
        for name, data in files.items():
            archive.add_file_from_memory(name, len(data), data)
    return bytes(out)


# By hand


def _cab(payload: Payload, flags: int = 0, method: int = 0) -> bytes:
    file = struct.pack("<IIHHHH", len(payload.data), 0, 0, 0x5A21, 0, 0x20) + payload.name + b"\0"
    start = 36 + 8 + len(file)
    data = struct.pack("<IHH", 0, len(payload.data), len(payload.data)) + payload.data
    head = struct.pack("<4sIIIIIBBHHHHH", b"MSCF", 0, start + len(data), 0, 44, 0, 3, 1, 1, 1, flags, 0, 0)
    return head + struct.pack("<IHH", start, 1, method) + file + data


def _rar(payload: Payload, flags: int = 0x8000, method: int = 0x30) -> bytes:
    def block(kind: int, flags: int, fields: bytes) -> bytes:
        body = struct.pack("<BHH", kind, flags, 7 + len(fields)) + fields
        return struct.pack("<H", zlib.crc32(body) & 0xFFFF) + body

    size = len(payload.data)
    fields = struct.pack("<IIBIIBBHI", size, size, 2, zlib.crc32(payload.data), 0x5A210000, 29, method, len(payload.name), 0x20)
    file = block(0x74, flags, fields + payload.name)
    return b"Rar!\x1a\7\0" + block(0x73, 0, bytes(6)) + file + payload.data + block(0x7B, 0x4000, b"")


def _number(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _rar5(payload: Payload) -> bytes:
    def block(fields: bytes) -> bytes:
        body = _number(len(fields)) + fields
        return struct.pack("<I", zlib.crc32(body)) + body

    size = _number(len(payload.data))
    name = payload.name
    main = block(_number(1) + _number(0) + _number(0))
    told = _number(4) + size + _number(0x20) + struct.pack("<I", zlib.crc32(payload.data)) + _number(0) + _number(1)
    file = block(_number(2) + _number(2) + size + told + _number(len(name)) + name)
    return b"Rar!\x1a\7\1\0" + main + file + payload.data + block(_number(5) + _number(0) + _number(0))


def _arj(payload: Payload) -> bytes:
    def header(fields: bytes, name: bytes) -> bytes:
        body = fields + name + b"\0\0"
        return b"\x60\xea" + struct.pack("<H", len(body)) + body + struct.pack("<IH", zlib.crc32(body), 0)

    size = len(payload.data)
    fixed = struct.pack("<BBBBBBBBIIIIHHH", 30, 11, 1, 0, 0, 0, 2, 0, 0x5A210000, 0x5A210000, 0, 0, 0, 0, 0)
    file = struct.pack("<BBBBBBBBIIIIHHH", 30, 11, 1, 0, 0, 0, 0, 0, 0x5A210000, size, size, zlib.crc32(payload.data), 0, 0x20, 0)
    return header(fixed, b"a.arj") + header(file, payload.name) + payload.data + b"\x60\xea\0\0"


def _crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def _lha(payload: Payload, method: bytes = b"-lh0-") -> bytes:
    size = len(payload.data)
    head = method + struct.pack("<IIIBB", size, size, 0x5A210000, 0x20, 0) + bytes([len(payload.name)]) + payload.name
    head += struct.pack("<H", _crc16(payload.data))
    return bytes([len(head), sum(head) & 0xFF]) + head + payload.data + b"\0"


def _ar(payload: Payload) -> bytes:
    head = b"%-16b%-12d%-6d%-6d%-8o%-10d`\n" % (payload.name + b"/", 0, 0, 0, 0o644, len(payload.data))
    return b"!<arch>\n" + head + payload.data + b"\n" * (len(payload.data) % 2)


def _newc(payload: Payload, magic: bytes = b"070701") -> bytes:
    def entry(name: bytes, data: bytes) -> bytes:
        check = sum(data) if magic == b"070702" else 0
        numbers = (1, 0o100644, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, check)
        head = magic + b"".join(b"%08X" % number for number in numbers) + name + b"\0"
        return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)

    return entry(payload.name, payload.data) + entry(b"TRAILER!!!", b"")


def _binary_cpio(payload: Payload, order: str = "<") -> bytes:
    def entry(name: bytes, data: bytes) -> bytes:
        numbers = (0o70707, 1, 1, 0o100644, 0, 0, 1, 0, 0, 0, len(name) + 1, 0, len(data))
        head = struct.pack(f"{order}13H", *numbers) + name + b"\0"
        return head + bytes(len(head) % 2) + data + bytes(len(data) % 2)

    return entry(payload.name, payload.data) + entry(b"TRAILER!!!", b"")


MAKES: dict[str, dict[str, Make]] = {
    "cab": {
        "stored": _cab,
        "junk before": lambda p: b"junk" * 20 + _cab(p),
        "reserve flags": lambda p: _cab(p, 0x8),
        "MSZIP that is none": lambda p: _cab(p, 0, 1),
    },
    "rar": {
        "stored": _rar,
        "junk before": lambda p: b"junk" * 20 + _rar(p),
        "encrypted flag": lambda p: _rar(p, 0x8004),
        "unknown method": lambda p: _rar(p, 0x8000, 0x39),
        "RAR 5, stored": _rar5,
        "RAR 5, junk before": lambda p: b"junk" * 20 + _rar5(p),
    },
    "arj": {"stored": _arj, "junk before": lambda p: b"junk" * 20 + _arj(p)},
    "lzh": {"stored": _lha, "stored, lz4": lambda p: _lha(p, b"-lz4-"), "junk before": lambda p: b"junk" * 20 + _lha(p)},
    "ar": {"ordinary": _ar, "junk before": lambda p: b"junk" * 20 + _ar(p)},
    "cpio": {
        "newc": _newc,
        "newc with checksums": lambda p: _newc(p, b"070702"),
        "binary": _binary_cpio,
        "binary, turned around": lambda p: _binary_cpio(p, ">"),
        "in gzip": lambda p: gz(_newc(p)),
        "junk before": lambda p: b"junk" * 20 + _newc(p),
    },
}
