"""Wrap payloads in packed single files, tar, and other archives that can be written by hand."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator

from tests.helpers.wrappings.base import Payload, Wrapping, attached, variants
from tests.helpers.wrappings.zipmaker import Entry, zipped, zstd

__all__ = ["gz", "makes_of_packed", "tarred", "wrappings"]

Make = Callable[[Payload], bytes]


def wrappings() -> Iterator[Wrapping]:
    """Yield all wrappings of the kind archives in this module."""
    yield from variants("archives", "gzip", {name: attached("files.gz", make) for name, make in _GZIPS.items()})
    yield from variants("archives", "gzip", _named_by_file())
    yield from variants("archives", "bzip2", {name: attached("files.bz2", make) for name, make in _BZIP2.items()})
    yield from variants("archives", "xz", {name: attached("files.xz", make) for name, make in _XZ.items()})
    yield from variants("archives", "packed", {name: attached(f"files.{name}", make) for name, make in _PACKED.items()})
    yield from variants("archives", "tar", {name: attached("files.tar", make) for name, make in _TARS.items()})
    yield from variants("archives", "tar packed", {name: attached(f"files.tar.{name}", make) for name, make in _PACKED_TARS.items()})


def makes_of_packed() -> dict[str, dict[str, Make]]:
    """Return all ways to pack a file, by the suffix of the packed file."""
    tars = {f"tar.{suffix}": {"": make} for suffix, make in _PACKED_TARS.items()}
    return {"gz": _GZIPS, "bz2": _BZIP2, "xz": _XZ, "tar": _TARS} | {suffix: {"": make} for suffix, make in _PACKED.items()} | tars


def gz(data: bytes, flags: int = 0, fields: bytes = b"", crc: int | None = None, size: int | None = None, method: int = 8) -> bytes:
    """Write a gzip member. `fields`: the bytes after the fixed header."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(data) + packer.flush()
    trailer = struct.pack("<II", zlib.crc32(data) if crc is None else crc, len(data) if size is None else size)
    return b"\x1f\x8b" + bytes([method, flags]) + bytes(4) + b"\0\xff" + fields + body + trailer


_TEXT = b"a clean text\n" * 10
_GZIPS: dict[str, Make] = {
    "ordinary": lambda p: gz(p.data),
    "wrong checksum": lambda p: gz(p.data, crc=1),
    "wrong size": lambda p: gz(p.data, size=1),
    "no trailer": lambda p: gz(p.data)[:-8],
    "cut in the trailer": lambda p: gz(p.data)[:-3],
    "cut in the data": lambda p: gz(p.data + bytes(range(256)) * 4)[:-200],
    "name in the header": lambda p: gz(p.data, 8, p.name + b"\0"),
    "path in the header": lambda p: gz(p.data, 8, b"a/b/" + p.name + b"\0"),
    "path of Windows in the header": lambda p: gz(p.data, 8, b"a\\b\\" + p.name + b"\0"),
    "empty name in the header": lambda p: gz(p.data, 8, b"\0"),
    "extra field": lambda p: gz(p.data, 4, b"\5\0hello"),
    "extra field and name": lambda p: gz(p.data, 12, b"\5\0hello" + p.name + b"\0"),
    "comment": lambda p: gz(p.data, 16, b"comment\0"),
    "name and comment": lambda p: gz(p.data, 24, p.name + b"\0comment\0"),
    "header checksum": lambda p: gz(p.data, 2, b"\0\0"),
    "text flag": lambda p: gz(p.data, 1),
    "reserved flags": lambda p: gz(p.data, 0xE0),
    "encrypted flag": lambda p: gz(p.data, 0x20),
    "unknown method": lambda p: gz(p.data, method=7),
    "two members, the second": lambda p: gz(_TEXT) + gz(p.data),
    "two members, the payload split": lambda p: gz(p.data[:20]) + gz(p.data[20:]),
    "two members, name in the second": lambda p: gz(_TEXT, 8, b"a.txt\0") + gz(p.data, 8, p.name + b"\0"),
    "two members, wrong checksum in the first": lambda p: gz(_TEXT, crc=5) + gz(p.data),
    "two members with zeros between": lambda p: gz(_TEXT) + bytes(100) + gz(p.data),
    "two members with junk between": lambda p: gz(_TEXT) + b"junk" * 9 + gz(p.data),
    "members, 50 of them": lambda p: gz(_TEXT) * 50 + gz(p.data),
    "an empty member before": lambda p: gz(b"") + gz(p.data),
    "junk behind": lambda p: gz(p.data) + b"junk" * 50,
    "zeros behind": lambda p: gz(p.data) + bytes(512),
    "junk before": lambda p: b"junk" * 9 + gz(p.data),
    "gzip in gzip": lambda p: gz(gz(p.data)),
    "gzip in gzip, five": lambda p: gz(gz(gz(gz(gz(p.data))))),
    "a zip in it": lambda p: gz(zipped(Entry(p.name, p.data))),
    "as Python writes it": lambda p: gzip.compress(p.data),
}


def _named_by_file() -> dict[str, Callable[[Payload], bytes]]:
    """Return wrappings in a gzip whose own name gives unpackers the name of the file."""
    names = {"called as the payload": "{}.gz", "called as the payload, upper case": "{}.GZ", "called as the payload, blank": "{}.gz "}
    return {name: lambda p, form=form: attached(form.format(p.file), lambda p: gz(p.data))(p) for name, form in names.items()}  # type: ignore[misc]


_BZIP2: dict[str, Make] = {
    "ordinary": lambda p: bz2.compress(p.data),
    "two streams, the second": lambda p: bz2.compress(_TEXT) + bz2.compress(p.data),
    "two streams, the payload split": lambda p: bz2.compress(p.data[:20]) + bz2.compress(p.data[20:]),
    "two streams with junk between": lambda p: bz2.compress(_TEXT) + b"junk" + bz2.compress(p.data),
    "wrong checksum": lambda p: _changed(bz2.compress(p.data), 10),
    "wrong checksum of the whole": lambda p: _changed(bz2.compress(p.data), -3),
    "cut": lambda p: bz2.compress(p.data)[:-4],
    "junk behind": lambda p: bz2.compress(p.data) + b"junk" * 5,
    "an empty stream before": lambda p: bz2.compress(b"") + bz2.compress(p.data),
}


def _changed(data: bytes, at: int) -> bytes:
    out = bytearray(data)
    out[at] ^= 0x55
    return bytes(out)


_XZ: dict[str, Make] = {
    "ordinary": lambda p: lzma.compress(p.data),
    "two streams, the second": lambda p: lzma.compress(_TEXT) + lzma.compress(p.data),
    "two streams with padding between": lambda p: lzma.compress(_TEXT) + bytes(8) + lzma.compress(p.data),
    "two streams with junk between": lambda p: lzma.compress(_TEXT) + b"junk" + lzma.compress(p.data),
    "no check": lambda p: lzma.compress(p.data, check=lzma.CHECK_NONE),
    "wrong check": lambda p: _changed(lzma.compress(p.data), -40),
    "wrong footer": lambda p: _changed(lzma.compress(p.data), -3),
    "cut": lambda p: lzma.compress(p.data)[:-20],
    "junk behind": lambda p: lzma.compress(p.data) + b"junk" * 5,
    "lzma alone": lambda p: lzma.compress(p.data, lzma.FORMAT_ALONE),
    "lzma alone, another property": lambda p: lzma.compress(
        p.data, lzma.FORMAT_ALONE, filters=[{"id": lzma.FILTER_LZMA1, "lc": 0, "lp": 2, "dict_size": 1 << 20}]
    ),
}


def _compress(data: bytes) -> bytes:
    """Write a .Z as `compress` does: each byte as a code of nine bits, which is enough for less than 256 bytes."""
    value = sum(byte << 9 * number for number, byte in enumerate(data))
    return b"\x1f\x9d\x90" + value.to_bytes((9 * len(data) + 7) // 8, "little")


def _lzip(data: bytes) -> bytes:
    body = lzma.compress(data, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16}])
    return b"LZIP\1\x10" + body + struct.pack("<IQQ", zlib.crc32(data), len(data), len(body) + 26)


_PACKED: dict[str, Make] = {
    "Z": lambda p: _compress(p.data),
    "zst": lambda p: zstd(p.data),
    "lz4": lambda p: b"\x04\x22\x4d\x18\x60\x40\x82" + struct.pack("<I", len(p.data) | 1 << 31) + p.data + bytes(4),
    "lz": lambda p: _lzip(p.data),
    "zz": lambda p: zlib.compress(p.data),
    "skippable.zst": lambda p: b"\x50\x2a\x4d\x18\4\0\0\0junk" + zstd(p.data),
}


# tar


def tarred(payload: Payload, form: int = tarfile.USTAR_FORMAT, name: str = "") -> bytes:
    """Write a tar with a clean text and the payload."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as file:
        for each, data in (("clean.txt", _TEXT), (name or payload.file, payload.data)):
            info = tarfile.TarInfo(each)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return target.getvalue()


def _v7(payload: Payload, **changes: bytes) -> bytes:
    """Write a single header of the oldest kind. `changes`: other bytes for fields."""
    fields = {"name": payload.name, "mode": b"0000644\0", "size": b"%011o\0" % len(payload.data), "type": b"0", "magic": b""} | changes
    head = bytearray(512)
    for field, at in (("name", 0), ("mode", 100), ("size", 124), ("type", 156), ("magic", 257)):
        head[at : at + len(fields[field])] = fields[field]
    head[108:116] = head[116:124] = b"0000000\0"
    head[136:148] = b"00000000000\0"
    head[148:156] = b" " * 8
    head[148:156] = fields.get("sum", b"%06o\0 " % sum(head))
    return bytes(head) + payload.data + bytes(-len(payload.data) % 512)


_END = bytes(1024)
_TARS: dict[str, Make] = {
    "ustar": tarred,
    "GNU": lambda p: tarred(p, tarfile.GNU_FORMAT),
    "pax": lambda p: tarred(p, tarfile.PAX_FORMAT),
    "GNU with a long name": lambda p: tarred(p, tarfile.GNU_FORMAT, "d" * 150 + "/" + p.file),
    "pax with a long name": lambda p: tarred(p, tarfile.PAX_FORMAT, "d" * 150 + "/" + p.file),
    "ustar with a long name": lambda p: tarred(p, tarfile.USTAR_FORMAT, "d" * 90 + "/" + "e" * 60 + "/" + p.file),
    "pax with an 8-bit name": lambda p: tarred(p, tarfile.PAX_FORMAT, "ä/" + p.file),
    "v7": lambda p: _v7(p) + _END,
    "v7 without an end": _v7,
    "wrong checksum": lambda p: _v7(p, sum=b"000001\0 ", magic=b"ustar\x0000") + _END,
    "wrong checksum in the first, right in the second": lambda p: _v7(p, sum=b"000001\0 ") + _v7(p, magic=b"ustar\x0000") + _END,
    "size in base 256": lambda p: _v7(p, size=b"\x80" + bytes(7) + struct.pack(">I", len(p.data)), magic=b"ustar  \0") + _END,
    "size with blanks": lambda p: _v7(p, size=b"%11o " % len(p.data), magic=b"ustar\x0000") + _END,
    "type of the oldest kind": lambda p: _v7(p, type=b"\0", magic=b"ustar\x0000") + _END,
    "type contiguous": lambda p: _v7(p, type=b"7", magic=b"ustar\x0000") + _END,
    "type unknown": lambda p: _v7(p, type=b"Q", magic=b"ustar\x0000") + _END,
    "type hard link with data": lambda p: _v7(p, type=b"1", magic=b"ustar\x0000") + _END,
    "type folder with data": lambda p: _v7(p, type=b"5", magic=b"ustar\x0000") + _END,
    "two files one behind the other": lambda p: tarred(Payload("", "a.txt", _TEXT)) + tarred(p),
    "behind the end": lambda p: _v7(Payload("", "a.txt", _TEXT), magic=b"ustar\x0000") + _END + _v7(p, magic=b"ustar\x0000") + _END,
    "behind one block of zeros": lambda p: _v7(Payload("", "a.txt", _TEXT)) + bytes(512) + _v7(p) + _END,
    "junk before": lambda p: b"junk" * 128 + tarred(p),
    "zeros before": lambda p: bytes(512) + tarred(p),
    "cut behind the data": lambda p: _v7(p, magic=b"ustar\x0000")[: 512 + len(p.data)],
    "a zip in it": lambda p: tarred(Payload("", "a.zip", zipped(Entry(p.name, p.data)))),
    "a tar in it": lambda p: tarred(Payload("", "a.tar", tarred(p))),
    "a message in it": lambda p: tarred(Payload("", "a.eml", attached("b.tar", tarred)(p))),
}
_PACKED_TARS: dict[str, Make] = {
    "gz": lambda p: gz(tarred(p)),
    "bz2": lambda p: bz2.compress(tarred(p)),
    "xz": lambda p: lzma.compress(tarred(p)),
    "lzma": lambda p: lzma.compress(tarred(p), lzma.FORMAT_ALONE),
    "zst": lambda p: zstd(tarred(p)),
    "lz": lambda p: _lzip(tarred(p)),
}
