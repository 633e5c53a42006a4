"""Wrap payloads in files that hold files but are not archives: winmail.dat, texts with encoded files, and images of disks."""

import base64
import binascii
import quopri
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.helpers.wrappings.base import HEAD, Build, Payload, Wrapping, attached, mixed, part, uu, variants

__all__ = ["fat", "image", "tnef", "wrappings"]

Make = Callable[[Payload], bytes]


def wrappings() -> Iterator[Wrapping]:
    """Yield all wrappings of this module; images of genisoimage only if that is installed."""
    tnefs = {name: attached("winmail.dat", make, "application/ms-tnef") for name, make in _TNEFS.items()}
    yield from variants("containers", "winmail.dat", tnefs)
    yield from variants("containers", "winmail.dat", {"as octets": attached("a.dat", tnef)})
    yield from variants("containers", "uuencode", _UUENCODED)
    yield from variants("containers", "other texts", _TEXTS)
    yield from variants("containers", "disk", {name: attached(name, make) for name, make in _DISKS.items()})
    if shutil.which("genisoimage"):
        images = {name: attached("files.iso", _by(*options)) for name, options in _IMAGES.items()}
        images |= {
            "ISO with UDF beside it, the UDF alone": attached("files.iso", lambda p: _no_iso(image(p, "-udf"))),
            "junk before": attached("files.iso", lambda p: b"junk" * 512 + image(p)),
            "called .img": attached("files.img", image),
            "called .dat": attached("files.dat", image),
        }
        yield from variants("containers", "image", images)


# winmail.dat


def _attribute(level: int, number: int, data: bytes) -> bytes:
    return struct.pack("<BII", level, number, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def tnef(payload: Payload, title: bytes | None = None, long: bytes | None = None, body: bytes = b"") -> bytes:
    """Write a winmail.dat. `long`: the name in the properties of the attachment."""
    out = struct.pack("<IH", 0x223E9F78, 1)
    out += _attribute(1, 0x00089006, struct.pack("<I", 0x10000)) + _attribute(1, 0x00069007, struct.pack("<II", 1252, 0))
    out += _attribute(1, 0x0002800C, body) if body else b""
    out += _attribute(2, 0x00069002, struct.pack("<HIHHI", 1, 0xFFFFFFFF, 0, 0, 0))
    out += _attribute(2, 0x00018010, (payload.name if title is None else title) + b"\0")
    out += _attribute(2, 0x0006800F, payload.data)
    return out + (_attribute(2, 0x00069005, _property(0x3707, long)) if long is not None else b"")


def _property(number: int, text: bytes) -> bytes:
    """Encode one property with a text."""
    data = text + b"\0"
    return struct.pack("<IHHII", 1, 0x001E, number, 1, len(data)) + data + bytes(-len(data) % 4)


_TNEFS: dict[str, Make] = {
    "ordinary": tnef,
    "long name": lambda p: tnef(p, b"A~1.TXT", p.name),
    "a body before": lambda p: tnef(p, body=b"a text\0"),
    "empty title": lambda p: tnef(p, b""),
    "wrong checksums": lambda p: tnef(p)[:-2] + b"\1\2",
    "junk behind": lambda p: tnef(p) + b"junk" * 9,
    "cut behind the data": lambda p: tnef(p)[:-2],
    "two attachments": lambda p: tnef(Payload("", "a.txt", b"a clean text\n")) + tnef(p)[36:],
}


# Texts


def _text(body: bytes, fields: bytes = b"Content-Type: text/plain\n") -> bytes:
    return HEAD + fields + b"\n" + body


_BASE64 = b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n"
_QUOTED = b"Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n"
_UU = b"Content-Type: application/octet-stream\nContent-Transfer-Encoding: %b\n"


def _uu(payload: Payload, **options: bytes) -> bytes:
    return b"see the file\n\n" + uu(payload.data, payload.name, **options) + b"\ngreetings\n"


def _xx(data: bytes, name: bytes) -> bytes:
    letters = b"+-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    table = bytes.maketrans(bytes(range(33, 97)), letters[1:] + letters[:1])
    first, *lines = uu(data, name).splitlines(keepends=True)
    return first + b"".join(lines).translate(table).replace(b"9ZR", b"end")


_UUENCODED: dict[str, Build] = {
    "in a text": lambda p: _text(_uu(p)),
    "in a message without a type": lambda p: HEAD + b"\n" + _uu(p),
    "in a message without MIME": lambda p: HEAD.replace(b"MIME-Version: 1.0\n", b"") + b"\n" + _uu(p),
    "in a text in base64": lambda p: _text(base64.encodebytes(_uu(p)), _BASE64),
    "in a text in quoted-printable": lambda p: _text(quopri.encodestring(_uu(p)), _QUOTED),
    "in HTML": lambda p: _text(_uu(p), b"Content-Type: text/html\n"),
    "in octets": lambda p: _text(_uu(p), b"Content-Type: application/octet-stream\n"),
    "in a part": lambda p: mixed(b"Content-Type: text/plain\n\n" + _uu(p)),
    "in a preamble": lambda p: mixed(text=_uu(p) + b"--b1\n\nx\n"),
    "in an epilogue": lambda p: mixed() + b"\n" + _uu(p),
    "as x-uuencode": lambda p: _text(uu(p.data, p.name), _UU % b"x-uuencode"),
    "as uuencode": lambda p: _text(uu(p.data, p.name), _UU % b"uuencode"),
    "as x-uue": lambda p: _text(uu(p.data, p.name), _UU % b"x-uue"),
    "as x-uuencode with text before": lambda p: _text(_uu(p), _UU % b"x-uuencode"),
    "as x-uuencode, no begin": lambda p: _text(uu(p.data, p.name).partition(b"\n")[2], _UU % b"x-uuencode"),
    "as x-uuencode, the name in the field": lambda p: mixed(
        b'Content-Type: a/b; name="%b"\nContent-Transfer-Encoding: x-uuencode\n\n' % p.name + uu(p.data, b"x")
    ),
    "mode of four digits": lambda p: _text(_uu(p, mode=b"0644")),
    "mode of five digits": lambda p: _text(_uu(p, mode=b"00644")),
    "mode of six digits": lambda p: _text(_uu(p, mode=b"100644")),
    "mode of one digit": lambda p: _text(_uu(p, mode=b"6")),
    "mode of two digits": lambda p: _text(_uu(p, mode=b"64")),
    "mode not octal": lambda p: _text(_uu(p, mode=b"999")),
    "mode behind two blanks": lambda p: _text(_uu(p, mode=b" 644")),
    "mode behind a tab": lambda p: _text(_uu(p).replace(b"begin 644", b"begin\t644")),
    "no mode": lambda p: _text(_uu(p).replace(b"begin 644", b"begin")),
    "two blanks before the name": lambda p: _text(_uu(p).replace(b"644 ", b"644  ")),
    "blank before begin": lambda p: _text(_uu(p).replace(b"begin", b" begin")),
    "begin in capitals": lambda p: _text(_uu(p).replace(b"begin", b"BEGIN")),
    "no end": lambda p: _text(_uu(p, end=b"")),
    "no line of zero": lambda p: _text(_uu(p, end=b"end\n")),
    "end with a blank": lambda p: _text(_uu(p, end=b"`\nend \n")),
    "end in capitals": lambda p: _text(_uu(p, end=b"`\nEND\n")),
    "CRLF": lambda p: _text(_uu(p)).replace(b"\n", b"\r\n"),
    "blanks for accents": lambda p: _text(_uu(p).replace(b"`", b" ")),
    "accents for blanks": lambda p: _text(uu(p.data, p.name).replace(b" ", b"`").replace(b"`", b" ", 2)),
    "lines cut at the end": lambda p: _text(b"\n".join(line.rstrip(b"`") for line in _uu(p).split(b"\n"))),
    "lines with a check character": lambda p: _text(_checked(_uu(p))),
    "empty lines between": lambda p: _text(_uu(p).replace(b"\n", b"\n\n")),
    "two files, the second": lambda p: _text(uu(b"a clean text\n", b"a.txt") + uu(p.data, p.name)),
    "begin inside of another": lambda p: _text(b"begin 644 a.txt\n" + uu(p.data, p.name)),
    "quoted": lambda p: _text(b"".join(b"> " + line for line in _uu(p).splitlines(keepends=True))),
    "behind 50 lines of text": lambda p: _text(b"a line of text\n" * 50 + _uu(p)),
    "in a file called a.uue": attached("a.uue", lambda p: uu(p.data, p.name)),
    "in a file called a.txt": attached("a.txt", _uu, "text/plain"),
    "name with blanks": lambda p: _text(_uu(Payload("", "the " + p.file, p.data))),
    "name in quotes": lambda p: _text(uu(p.data, b'"' + p.name + b'"')),
    "name is a path": lambda p: _text(uu(p.data, b"a/b/" + p.name)),
}


def _checked(text: bytes) -> bytes:
    lines = text.split(b"\n")
    return b"\n".join(
        line + b"x" if 32 < line[:1].ljust(1, b" ")[0] < 97 and len(line) > 8 and not line.startswith(b"begin") else line for line in lines
    )


def _yenc(payload: Payload) -> bytes:
    out = bytearray()
    for byte in payload.data:
        char = (byte + 42) % 256
        out += bytes([61, (char + 64) % 256]) if char in (0, 10, 13, 61) else bytes([char])
    name = payload.name
    size = len(payload.data)
    return b"=ybegin line=128 size=%d name=%b\r\n%b\r\n=yend size=%d crc32=%08x\r\n" % (
        size,
        name,
        bytes(out),
        size,
        binascii.crc32(payload.data),
    )


def _binhex(payload: Payload) -> bytes:
    """Write a BinHex 4 file: header, data and an empty resource, each with its checksum."""

    def checked(data: bytes) -> bytes:
        return data + struct.pack(">H", binascii.crc_hqx(data, 0))

    head = bytes([len(payload.name)]) + payload.name + b"\0TEXTabcd\0\0" + struct.pack(">II", len(payload.data), 0)
    data = (checked(head) + checked(payload.data) + checked(b"")).replace(b"\x90", b"\x90\0")
    letters = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
    bits = "".join(f"{byte:08b}" for byte in data)
    text = b":" + bytes(letters[int(bits[at : at + 6].ljust(6, "0"), 2)] for at in range(0, len(bits), 6)) + b":"
    lines = b"\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return b"(This file must be converted with BinHex 4.0)\n\n" + lines + b"\n"


_TEXTS: dict[str, Build] = {
    "yEnc in a text": lambda p: _text(_yenc(p)),
    "yEnc as an encoding": lambda p: _text(_yenc(p), _UU % b"x-yenc"),
    "BinHex in a text": lambda p: _text(_binhex(p)),
    "BinHex as a type": lambda p: mixed(b"Content-Type: application/mac-binhex40; name=a.hqx\n\n" + _binhex(p)),
    "BinHex as an encoding": lambda p: _text(_binhex(p), _UU % b"binhex"),
    "xxencode in a text": lambda p: _text(_xx(p.data, p.name)),
    "base64 in a text": lambda p: _text(b"begin-base64 644 %b\n" % p.name + base64.encodebytes(p.data) + b"====\n"),
    "a message in a text": lambda p: _text(b"----- Forwarded message -----\n\n" + mixed(part(p)).replace(b"b1", b"c2")),
    "a message in a text with hyphens": lambda p: _text(b"- " + mixed(part(p)).replace(b"\n-", b"\n- -")),
    "a data URL in HTML": lambda p: _text(
        b'<a href="data:application/octet-stream;base64,%b">x</a>\n' % base64.b64encode(p.data), b"Content-Type: text/html\n"
    ),
    "shell archive": lambda p: _text(b"#!/bin/sh\nuudecode <<'E'\n" + uu(p.data, p.name) + b"E\n"),
}


# Images of disks


def fat(payload: Payload) -> bytes:
    """Make a disk with FAT12, 64 sectors and one file."""
    boot = bytearray(512)
    boot[:3] = b"\xeb\x3c\x90"
    boot[3:11] = b"MSDOS5.0"
    struct.pack_into("<HBHBHHBHHHII", boot, 11, 512, 1, 1, 1, 16, 64, 0xF8, 1, 1, 1, 0, 0)
    boot[38] = 0x29
    boot[43:54] = b"NO NAME    "
    boot[54:62] = b"FAT12   "
    boot[510:] = b"\x55\xaa"
    stem, _, suffix = payload.file.upper().rpartition(".")
    entry = f"{stem[:8]:8}{suffix:3}".encode() + b"\x20" + bytes(14) + struct.pack("<HI", 2, len(payload.data))
    table = b"\xf8\xff\xff\xff\x0f\0".ljust(512, b"\0")
    return bytes(boot) + table + entry.ljust(512, b"\0") + payload.data.ljust(61 * 512, b"\0")


def _vhd(payload: Payload) -> bytes:
    disk = _partitioned(payload)
    fixed = struct.pack(">8sIIQI4sI4sQQHBBI", b"conectix", 2, 0x10000, 2**64 - 1, 0, b"test", 1, b"Wi2k", len(disk), len(disk), 1, 1, 65, 2)
    footer = fixed + bytes(4) + b"\1" * 16 + b"\0"
    footer = footer[:64] + struct.pack(">I", ~sum(footer) & 0xFFFFFFFF) + footer[68:]
    return disk + footer.ljust(512, b"\0")


def _partitioned(payload: Payload) -> bytes:
    disk = fat(payload)
    entry = struct.pack("<B3sB3sII", 0x80, b"\0\2\0", 1, b"\0\x20\0", 1, len(disk) // 512)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa" + disk


_DISKS: dict[str, Make] = {"floppy.img": fat, "floppy.ima": fat, "disk.img": _partitioned, "disk.vhd": _vhd, "fat.dat": fat}
_IMAGES: dict[str, tuple[str, ...]] = {
    "ISO": (),
    "ISO and Joliet": ("-J",),
    "ISO and Rock Ridge": ("-R",),
    "ISO, Joliet and Rock Ridge": ("-J", "-R"),
    "UDF bridge": ("-udf",),
    "ISO level 3": ("-iso-level", "3"),
    "ISO 9660:1999": ("-iso-level", "4"),
    "hidden in ISO, shown in Joliet": ("-J", "-hide", "FILE"),
    "hidden in Joliet, shown in ISO": ("-J", "-hide-joliet", "FILE"),
    "hidden in ISO, shown in UDF": ("-udf", "-hide", "FILE"),
    "hidden in both, shown in UDF": ("-udf", "-J", "-hide", "FILE", "-hide-joliet", "FILE"),
    "HFS hybrid": ("-hfs",),
}


def _by(*options: str) -> Make:
    return lambda payload: image(payload, *options)


def image(payload: Payload, *options: str) -> bytes:
    """Have genisoimage make an image with one file."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "files")
        place.mkdir()
        Path(place, payload.file).write_bytes(payload.data)
        words = [payload.file if option == "FILE" else option for option in options]
        command = ["genisoimage", "-quiet", "-no-pad", *words, "-o", "out.iso", "files"]
        subprocess.run(command, cwd=folder, capture_output=True, timeout=10, check=True)
        return Path(folder, "out.iso").read_bytes()


def _no_iso(data: bytes) -> bytes:
    """Remove the descriptors of ISO 9660, so that only UDF is left."""
    out = bytearray(data)
    at = out.find(b"CD001") - 1
    while at >= 0:
        out[at : at + 6] = bytes(6)
        at = out.find(b"\1CD001")
    return bytes(out)
