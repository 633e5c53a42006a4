"""Make files that hold files: S/MIME, winmail.dat, OLE files and Outlook messages, RTF, PDF, BinHex, SZDD."""

import binascii
import struct
import zlib
from collections.abc import Mapping, Sequence
from uuid import UUID

__all__ = ["binhex", "cms", "der", "msg", "ole", "onenote", "package", "pdf", "properties", "rtf", "szdd", "tnef"]

SIGNED = "2a864886f70d010702"
COMPRESSED = "2a864886f70d0109100109"
ENVELOPED = "2a864886f70d010703"
DATA = "2a864886f70d010701"


# S/MIME


def der(tag: int, *contents: bytes, indefinite: bool = False) -> bytes:
    """Make an element of BER; `indefinite`: a mark ends it instead of a length."""
    body = b"".join(contents)
    if indefinite:
        return bytes([tag, 0x80]) + body + b"\0\0"
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes(-(-len(body).bit_length() // 8))
    return bytes([tag, 0x80 | len(length)]) + length + body


def cms(content: bytes | None, oid: str = SIGNED, indefinite: bool = False, chunk: int = 0) -> bytes:
    """Make a ContentInfo of this type that holds `content`, whole or in chunks."""
    value = b""
    if content is not None:
        whole = der(4, content)
        if chunk:
            chunks = (der(4, content[at : at + chunk]) for at in range(0, len(content), chunk))
            whole = der(0x24, *chunks, indefinite=indefinite)
        value = der(0xA0, whole, indefinite=indefinite)
    info = der(0x30, der(6, bytes.fromhex(DATA)), value, indefinite=indefinite)
    algorithm = der(0x30, der(6, bytes.fromhex("608648016503040201")), b"\5\0")
    inner = der(0x30, b"\2\1\1", der(0x31, algorithm) if oid == SIGNED else algorithm, info, der(0x31), indefinite=indefinite)
    return der(0x30, der(6, bytes.fromhex(oid)), der(0xA0, inner, indefinite=indefinite), indefinite=indefinite)


# winmail.dat


def tnef(*attributes: tuple[int, bytes], checksum: bool = True) -> bytes:
    """Make a TNEF file of these attributes, with the levels that Outlook gives them."""
    out = b"\x78\x9f\x3e\x22\x01\x00"
    for id, value in attributes:
        level = 2 if id in (0x8010, 0x800F, 0x9002, 0x9005) else 1
        check = sum(value) & 0xFFFF if checksum else 0xBEEF
        out += struct.pack("<BHHI", level, id, 6, len(value)) + value + struct.pack("<H", check)
    return out


def properties(*found: tuple[int, int, bytes]) -> bytes:
    """Encode properties of MAPI, each a type, an id and a value."""
    out = struct.pack("<I", len(found))
    for type, id, value in found:
        out += struct.pack("<HH", type, id)
        if type in (0x0D, 0x1E, 0x1F, 0x102):
            out += struct.pack("<II", 1, len(value)) + value + bytes(-len(value) % 4)
        else:
            out += value.ljust(4, b"\0")
    return out


# OLE


def ole(streams: Mapping[tuple[str, ...], bytes]) -> bytes:
    """Make an OLE file with these streams, the small ones in the small stream."""
    names: list[tuple[str, ...]] = [()]
    for path in streams:
        names += [path[:n] for n in range(1, len(path) + 1) if path[:n] not in names]
    small = bytearray()
    large = list[bytes]()
    starts = dict[tuple[str, ...], int]()
    small_table: list[int] = []
    folder_sectors = -(-len(names) // 4)
    at = 1 + folder_sectors
    for path, data in streams.items():
        if len(data) >= 4096:
            starts[path] = at
            large.append(data.ljust(-(-len(data) // 512) * 512, b"\0"))
            at += len(large[-1]) // 512
        else:
            count = -(-len(data) // 64)
            starts[path] = len(small) // 64 if count else 0xFFFFFFFE
            small_table += [*range(len(small_table) + 1, len(small_table) + count), 0xFFFFFFFE][:count]
            small += data.ljust(count * 64, b"\0")
    small_first = at
    small_sectors = -(-len(small) // 512)
    table_sectors = -(-len(small_table) // 128)
    tables = 1
    total = at + small_sectors + table_sectors
    assert total <= 128 * tables
    table = [0xFFFFFFFD, *_chain(1, folder_sectors)]
    for data in large:
        table += _chain(len(table), len(data) // 512)
    table += _chain(len(table), small_sectors) + _chain(len(table) + small_sectors, table_sectors)
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    first_small_table = small_first + small_sectors if table_sectors else 0xFFFFFFFE
    head += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, first_small_table, table_sectors, 0xFFFFFFFE, 0)
    head += struct.pack("<109I", 0, *[0xFFFFFFFF] * 108)
    entries = b"".join(_entry(path, names, streams, starts, (small_first if small else 0xFFFFFFFE, len(small))) for path in names)
    small_numbers = b"".join(struct.pack("<I", number) for number in small_table).ljust(table_sectors * 512, b"\xff")
    body = b"".join(struct.pack("<I", number) for number in table).ljust(512, b"\xff") + entries.ljust(folder_sectors * 512, b"\0")
    return head + body + b"".join(large) + bytes(small).ljust(small_sectors * 512, b"\0") + small_numbers


def _chain(first: int, count: int) -> list[int]:
    return [*range(first + 1, first + count), 0xFFFFFFFE][:count] if count else []


def _entry(
    path: tuple[str, ...],
    names: Sequence[tuple[str, ...]],
    streams: Mapping[tuple[str, ...], bytes],
    starts: Mapping[tuple[str, ...], int],
    small: tuple[int, int],
) -> bytes:
    """Make one entry of the folder. The entries of one storage are a list to the right."""
    none = 0xFFFFFFFF
    children = [number for number, name in enumerate(names) if name and name[:-1] == path]
    siblings = [number for number, name in enumerate(names) if path and name and name[:-1] == path[:-1]]
    later = [number for number in siblings if number > names.index(path)] if path else []
    text = (path[-1] if path else "Root Entry").encode("utf-16-le") + b"\0\0"
    kind = 2 if path in streams else 1 if path else 5
    start, size = (starts[path], len(streams[path])) if path in streams else small if not path else (0, 0)
    right = later[0] if later else none
    child = children[0] if children and path not in streams else none
    return struct.pack("<64sHBBIII36xIQ", text, len(text), kind, 1, none, right, child, start, size)


def msg(*files: tuple[str, bytes], body: str = "see the file") -> bytes:
    """Make an Outlook message with these attachments."""
    streams: dict[tuple[str, ...], bytes] = {("__properties_version1.0",): bytes(32), ("__substg1.0_1000001F",): body.encode("utf-16-le")}
    for number, (name, data) in enumerate(files):
        folder = f"__attach_version1.0_#{number:08X}"
        streams |= {(folder, "__substg1.0_37010102"): data, (folder, "__substg1.0_3707001F"): name.encode("utf-16-le")}
    return ole(streams)


def package(name: str, data: bytes) -> bytes:
    """Make the content of the stream Ole10Native."""
    text = name.encode() + b"\0"
    inner = (
        b"\2\0" + text + b"C:\\" + text + struct.pack("<HHI", 0, 3, len(text) + 3) + b"C:\\" + text + struct.pack("<I", len(data)) + data
    )
    return struct.pack("<I", len(inner)) + inner


# Texts and others


def rtf(content: bytes, name: bytes = b"Package") -> bytes:
    """Make an RTF text with one OLE 1 object of this class."""
    ole1 = struct.pack("<III", 0x501, 2, len(name) + 1) + name + b"\0" + bytes(8) + content
    digits = binascii.hexlify(ole1)
    lines = b"\r\n".join(digits[at : at + 128] for at in range(0, len(digits), 128))
    return b"{\\rtf1\\ansi text {\\object\\objemb{\\*\\objclass Package}{\\*\\objdata " + lines + b"}}}"


def pdf(name: str, data: bytes, told: bool = True) -> bytes:
    """Make a PDF with an attachment; `told`: its stream has the type of an attachment."""
    packed = zlib.compress(data)
    kind = b"/Type /EmbeddedFile " if told else b""
    stream = b"7 0 obj\n<< %b/Filter /FlateDecode /Length %d >>\nstream\n%b\nendstream\nendobj\n" % (kind, len(packed), packed)
    return b"%PDF-1.4\n" + stream + b"8 0 obj\n<< /Type /Filespec /F (%b) /EF << /F 7 0 R >> >>\nendobj\n%%%%EOF\n" % name.encode()


def binhex(name: str, data: bytes) -> bytes:
    """Make a BinHex file, without checksums."""
    plain = bytes([len(name)]) + name.encode() + b"\0TYPEauth\0\0" + struct.pack(">II", len(data), 0) + b"\0\0" + data + b"\0\0" + b"\0\0"
    plain = plain.replace(b"\x90", b"\x90\0") + bytes(-len(plain) % 3)
    letters = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
    text = b"".join(bytes([letters[word >> shift & 63]]) for word in _words(plain) for shift in (18, 12, 6, 0))
    lines = b"\r\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return b"text before\r\n(This file must be converted with BinHex 4.0)\r\n\r\n:" + lines + b":\r\n"


def _words(data: bytes) -> list[int]:
    data += bytes(-len(data) % 3)
    return [int.from_bytes(data[at : at + 3]) for at in range(0, len(data), 3)]


def onenote(data: bytes) -> bytes:
    """Make a OneNote page that has only an attached file."""
    marks = (UUID(text).bytes_le for text in ("7B5C52E4-D88C-4DA7-AEB1-5378D02996D3", "BDE316E7-2665-4511-A4C4-8D4D0B7A9EAC"))
    start, attached = marks
    return start + bytes(2000) + attached + struct.pack("<Q12x", len(data)) + data + bytes(500)


def szdd(data: bytes, last: str = "e") -> bytes:
    """Make a file of COMPRESS.EXE, without references to earlier bytes."""
    groups = (b"\xff" + data[at : at + 8] for at in range(0, len(data), 8))
    return b"SZDD\x88\xf0\x27\x33A" + last.encode() + struct.pack("<I", len(data)) + b"".join(groups)
