"""Wrap payloads in zips whose parts contradict each other, or are not in the usual places."""

import struct
import zlib
from collections.abc import Callable, Iterator

from tests.helpers.wrappings.base import PAYLOADS, Payload, Wrapping, attached, variants
from tests.helpers.wrappings.zipmaker import Entry, Layout, deflated, unicode_path, zipped

__all__ = ["makes_of_zips", "simple", "wrappings"]

Make = Callable[[Payload], bytes]
_CLEAN = Entry(b"clean.txt", b"a clean text\n" * 5)
_BIG = 0xFFFFFF


def wrappings() -> Iterator[Wrapping]:
    """Yield all zips."""
    for group, makes in makes_of_zips().items():
        yield from variants("archives", group, {name: attached("files.zip", make) for name, make in makes.items()})
    ordinary = {
        f"attached as {file}": attached(file, simple) for file in ("files", "files.txt", "files.jar", "files.dat", "files.png", "f.docx")
    }
    yield from variants("archives", "zip", ordinary)
    yield from variants("archives", "zip of type", {type: attached("files.zip", simple, type) for type in _MAIL_TYPES})


_MAIL_TYPES = ("application/zip", "application/x-zip-compressed", "text/plain", "image/png", "message/x-other")


def makes_of_zips() -> dict[str, dict[str, Make]]:
    """Return all ways to make a zip, by group and name."""
    methods = {name: _method(number) for name, number in _METHODS.items()}
    return {"zip names": _NAMES, "zip layout": _LAYOUTS, "zip says": _LIES, "zip method": methods, "zip inside": _INSIDE}


def simple(payload: Payload) -> bytes:
    """Make an ordinary zip with one file."""
    return zipped(Entry(payload.name, payload.data))


def _one(**changes: object) -> Make:
    return lambda payload: zipped(Entry(payload.name, payload.data, **changes))  # type: ignore[arg-type]


def _laid(layout: Layout) -> Make:
    return lambda payload: zipped(_CLEAN, Entry(payload.name, payload.data), layout=layout)


_NAMES: dict[str, Make] = {
    "ordinary": simple,
    "local and central differ, the central": lambda p: zipped(Entry(b"a.txt", p.data, central_name=p.name)),
    "local and central differ, the local": lambda p: zipped(Entry(p.name, p.data, central_name=b"a.txt")),
    "central is empty": lambda p: zipped(Entry(p.name, p.data, central_name=b"")),
    "local is empty": lambda p: zipped(Entry(b"", p.data, central_name=p.name)),
    "both are empty": lambda p: zipped(Entry(b"", p.data)),
    "central is a folder": lambda p: zipped(Entry(p.name, p.data, central_name=b"folder/")),
    "local is a folder": lambda p: zipped(Entry(b"folder/", p.data, central_name=p.name)),
    "both are a folder": lambda p: zipped(Entry(b"folder/", p.data)),
    "attributes of a folder": _one(attributes=0x10),
    "attributes of a link": _one(attributes=0o120777 << 16),
    "Unicode path in both": lambda p: zipped(_unicode(p, b"a.txt", b"a.txt", True, True)),
    "Unicode path in the central": lambda p: zipped(_unicode(p, b"a.txt", b"a.txt", False, True)),
    "Unicode path in the local": lambda p: zipped(_unicode(p, b"a.txt", b"a.txt", True, False)),
    "Unicode path with a wrong checksum": lambda p: zipped(_unicode(p, b"a.txt", b"b.txt", True, True)),
    "Unicode path that is clean": lambda p: zipped(Entry(p.name, p.data, central_extra=unicode_path(b"a.txt", p.name))),
    "Unicode path of two": lambda p: zipped(
        Entry(b"a.txt", p.data, central_extra=unicode_path(b"b.txt", b"a.txt") + unicode_path(p.name, b"a.txt"))
    ),
    "path": lambda p: zipped(Entry(b"a/b/" + p.name, p.data)),
    "path of Windows": lambda p: zipped(Entry(b"a\\b\\" + p.name, p.data)),
    "path upwards": lambda p: zipped(Entry(b"../../" + p.name, p.data)),
    "path from the root": lambda p: zipped(Entry(b"/" + p.name, p.data)),
    "NUL behind": lambda p: zipped(Entry(p.name + b"\0.txt", p.data)),
    "NUL before": lambda p: zipped(Entry(b"a.txt\0" + p.name, p.data)),
    "blank behind": lambda p: zipped(Entry(p.name + b" ", p.data)),
    "dot behind": lambda p: zipped(Entry(p.name + b".", p.data)),
    "stream behind": lambda p: zipped(Entry(p.name + b":x", p.data)),
    "in capitals": lambda p: zipped(Entry(p.name.upper(), p.data)),
    "UTF-8 flag": _one(flags=0x800),
    "of 3,000 characters": lambda p: zipped(Entry(b"x" * 200 + b"/" + b"y" * 200 + b"/" + p.name, p.data)),
    "twice, the clean first": lambda p: zipped(Entry(p.name, b"a clean text"), Entry(p.name, p.data)),
    "twice, the clean second": lambda p: zipped(Entry(p.name, p.data), Entry(p.name, b"a clean text")),
    "behind 300 others": lambda p: zipped(*[_CLEAN] * 300, Entry(p.name, p.data)),
}


def _unicode(payload: Payload, name: bytes, checked: bytes, local: bool, central: bool) -> Entry:
    extra = unicode_path(payload.name, checked)
    return Entry(name, payload.data, extra=extra if local else b"", central_extra=extra if central else b"")


_HIDDEN = zipped(_CLEAN)
_LAYOUTS: dict[str, Make] = {
    "two files one behind the other, the first": lambda p: simple(p) + _HIDDEN,
    "two files one behind the other, the second": lambda p: _HIDDEN + simple(p),
    "two files with junk between, the first": lambda p: simple(p) + b"junk" * 50 + _HIDDEN,
    "two files with junk between, the second": lambda p: _HIDDEN + b"junk" * 50 + simple(p),
    "three files, the middle": lambda p: _HIDDEN + simple(p) + _HIDDEN,
    "two files with right offsets, the first": lambda p: simple(p) + zipped(_CLEAN, layout=Layout(prefix=b"")),
    "a second end record of nothing": lambda p: simple(p) + zipped(),
    "a second end record before": lambda p: zipped() + simple(p),
    "a second end record in the comment": lambda p: zipped(Entry(p.name, p.data), layout=Layout(comment=zipped())),
    "a whole file in the comment": lambda p: zipped(_CLEAN, layout=Layout(comment=simple(p))),
    "a whole file in the comment, the outer": lambda p: zipped(Entry(p.name, p.data), layout=Layout(comment=_HIDDEN)),
    "a whole file stored in another": lambda p: zipped(Entry(b"a.zip", simple(p), method=0)),
    "no directory": _laid(Layout(directory=False, end=False)),
    "no directory, an end record": _laid(Layout(directory=False)),
    "no end record": _laid(Layout(end=False)),
    "cut in the directory": lambda p: zipped(_CLEAN, Entry(p.name, p.data))[:-60],
    "cut in the end record": lambda p: zipped(_CLEAN, Entry(p.name, p.data))[:-5],
    "cut behind the data": lambda p: zipped(Entry(p.name, p.data))[: 30 + len(p.name) + len(deflated(p.data))],
    "end record counts none": _laid(Layout(entries=0)),
    "end record counts one": _laid(Layout(entries=1)),
    "end record counts many": _laid(Layout(entries=99)),
    "directory before where it is": _laid(Layout(moved=-7)),
    "directory behind where it is": _laid(Layout(moved=7)),
    "directory far away": _laid(Layout(moved=1 << 24)),
    "junk before the directory": _laid(Layout(between=b"junk" * 20)),
    "prefix of junk": _laid(Layout(prefix=b"junk" * 100)),
    "prefix of junk, offsets right": _laid(Layout(prefix=b"junk" * 100, shifted=True)),
    "prefix of one byte": _laid(Layout(prefix=b"x")),
    "prefix of 100 KB": _laid(Layout(prefix=b"junk" * 25_000)),
    "prefix of a shell script": _laid(Layout(prefix=b"#!/bin/sh\nexit 0\n", shifted=True)),
    "prefix of a picture": _laid(Layout(prefix=b"\x89PNG\r\n\x1a\n" + bytes(500))),
    "prefix of a JPEG": _laid(Layout(prefix=b"\xff\xd8\xff\xe0" + bytes(500), shifted=True)),
    "prefix of a PDF": _laid(Layout(prefix=b"%PDF-1.4\n%%EOF\n", shifted=True)),
    "prefix of an HTML page": _laid(Layout(prefix=b"<html>x</html>\n")),
    "prefix of a spanned one": _laid(Layout(prefix=b"PK\x07\x08", shifted=True)),
    "prefix PK00": _laid(Layout(prefix=b"PK00", shifted=True)),
    "prefix of a gzip": lambda p: _gz(b"x") + simple(p),
    "junk of 100 bytes behind": _laid(Layout(tail=b"j" * 100)),
    "junk of 70,000 bytes behind": _laid(Layout(tail=b"junk of a kind " * 4700)),
    "junk of 200,000 bytes behind": _laid(Layout(tail=b"junk of a kind " * 13_400)),
    "zeros of 70,000 bytes behind": _laid(Layout(tail=bytes(70_000))),
    "comment of 65,535 bytes": _laid(Layout(comment=b"c" * 65_535)),
    "comment that is shorter than it says": _laid(Layout(comment=b"c" * 10, comment_length=500)),
    "comment that is longer than it says": _laid(Layout(comment=b"c" * 500, comment_length=10)),
    "disk number": _laid(Layout(disk=1)),
    "zip64": _laid(Layout(zip64=True)),
    "zip64 with a prefix": _laid(Layout(zip64=True, prefix=b"junk" * 10)),
    "first header damaged": lambda p: zipped(Entry(p.name, p.data, signature=b"PK\x03\x05")),
    "first header zeroed": lambda p: zipped(Entry(p.name, p.data, signature=bytes(4))),
    "directory entry of another place": lambda p: zipped(Entry(p.name, p.data), Entry(b"a.txt", b"clean", offset=0)),
    "directory leaves it out": lambda p: zipped(_CLEAN, layout=Layout(prefix=_lone(p), shifted=True)),
}


def _gz(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


def _lone(payload: Payload) -> bytes:
    """Make a member that no directory names."""
    return zipped(Entry(payload.name, payload.data), layout=Layout(directory=False, end=False))


def _described(payload: Payload, signature: bytes, size: int) -> Entry:
    """Make a member whose sizes follow it."""
    sizes = struct.pack("<III", zlib.crc32(payload.data), len(deflated(payload.data)), len(payload.data))
    return Entry(payload.name, payload.data, flags=8, packed_size=size, size=size, descriptor=signature + sizes)


_LIES: dict[str, Make] = {
    "local sizes are 0": _one(packed_size=0, size=0),
    "local sizes are large": _one(packed_size=_BIG, size=_BIG),
    "local sizes are unknown": _one(packed_size=0xFFFFFFFF, size=0xFFFFFFFF),
    "central sizes are 0": _one(central_packed_size=0, central_size=0),
    "central sizes are small": _one(central_packed_size=9, central_size=9),
    "central sizes are large": _one(central_packed_size=_BIG, central_size=_BIG),
    "central size is small": _one(central_size=3),
    "local and central sizes are 0": _one(packed_size=0, size=0, central_packed_size=0, central_size=0),
    "stored, local sizes are 0": _one(method=0, packed_size=0, size=0),
    "stored, central sizes are 0": _one(method=0, central_packed_size=0, central_size=0),
    "stored, central sizes are large": _one(method=0, central_packed_size=_BIG, central_size=_BIG),
    "stored, all sizes are 0": _one(method=0, packed_size=0, size=0, central_packed_size=0, central_size=0),
    "stored, the unpacked size is small": _one(method=0, size=2, central_size=2),
    "descriptor": lambda p: zipped(_described(p, b"PK\x07\x08", 0), _CLEAN),
    "descriptor without signature": lambda p: zipped(_described(p, b"", 0), _CLEAN),
    "descriptor and sizes": lambda p: zipped(_described(p, b"PK\x07\x08", 5), _CLEAN),
    "descriptor flag, none there": _one(flags=8),
    "descriptor flag in the central alone": _one(central_flags=8),
    "wrong checksum": _one(crc=12345),
    "checksum of zero": _one(crc=0),
    "encrypted in the local": _one(flags=1, central_flags=0),
    "encrypted in the central": _one(central_flags=1),
    "encrypted in both": _one(flags=1),
    "strongly encrypted in both": _one(flags=0x41),
    "strongly encrypted in the local": _one(flags=0x41, central_flags=0),
    "masked headers": _one(flags=0x2000),
    "patched data": _one(flags=0x20),
    "local is stored, central deflated": _one(local_method=0),
    "local is deflated, central stored": _one(central_method=0),
    "both are stored, data deflated": _one(local_method=0, central_method=0),
    "both are deflated, data stored": _one(method=0, local_method=8, central_method=8),
    "local is deflated, data stored": _one(method=0, local_method=8),
    "central is deflated, data stored": _one(method=0, central_method=8),
    "local is unknown": _one(local_method=99),
    "central is unknown": _one(central_method=99),
    "both are unknown": _one(local_method=77, central_method=77),
    "both are Deflate64, data deflated": _one(local_method=9, central_method=9),
    "local is bzip2, data deflated": _one(local_method=12),
    "central is bzip2, data deflated": _one(central_method=12),
    "needs version 9.9": _one(version=99),
    "needs version 6.3": _one(version=63),
}

_METHODS = {
    "stored": 0,
    "shrink": 1,
    "reduce 1": 2,
    "reduce 4": 5,
    "implode": 6,
    "deflate": 8,
    "Deflate64": 9,
    "bzip2": 12,
    "LZMA": 14,
    "zstd": 93,
    "xz": 95,
}


def _method(number: int) -> Make:
    return lambda payload: zipped(_CLEAN, Entry(payload.name, payload.data, method=number))


def _levels(payload: Payload, depth: int) -> bytes:
    data = simple(payload)
    for level in range(1, depth):
        data = zipped(Entry(b"level%d.zip" % level, data))
    return data


def _mail(payload: Payload) -> bytes:
    return attached("a.zip", simple)(payload)


_INSIDE: dict[str, Make] = {
    "two levels": lambda p: _levels(p, 2),
    "three levels": lambda p: _levels(p, 3),
    "five levels": lambda p: _levels(p, 5),
    "a message": lambda p: zipped(Entry(b"mail.eml", _mail(p))),
    "a message without a suffix": lambda p: zipped(Entry(b"mail", _mail(p))),
    "a gzip": lambda p: zipped(Entry(b"a.gz", _gz(p.data))),
    "all payloads, this one last": lambda p: zipped(
        *(Entry(b"%d/%b" % (number, each.name), each.data) for number, each in enumerate((*PAYLOADS, p)))
    ),
}
