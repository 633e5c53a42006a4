"""What a zip file holds, one level deep and within limits. Pure: no file is touched, everything stays in memory.

A file that claims more than the limits allow is a bomb to anybody who unpacks it; its members are flagged, and the rest
is not looked at. Members that cannot be read (encrypted, damaged, packed in an unusual way) give their names only.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Member", "is_zip", "members"]

MAX_MEMBERS = 10_000
"""Files in one archive. Each costs some 50 µs and 1 kB before a byte of it is read."""
MAX_UNPACKED = 128 << 20
"""Bytes unpacked from one archive: they are held in memory, one member at a time, and scanned."""
MAX_RATIO = 200
"""Ordinary data packs 2 to 20 times, log files 50; deflate's most is 1032, and bombs sit there."""
FREE_OF_RATIO = 16 << 20
"""What unpacks to less than this harms nobody, however well it was packed."""
STEP = 1 << 20
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # bzip2 and lzma unpack without bound in one call of Python's
_END = b"PK\x05\x06"
_TAIL = 22 + 65_535  # the end record and its longest comment
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, OSError, ValueError, EOFError, RuntimeError, OverflowError, IndexError, KeyError)


class Member(NamedTuple):
    """A file in an archive; `flag` is "" or why its data is not all there."""

    name: str
    data: bytes
    flag: str = ""


def is_zip(data: bytes) -> bool:
    return data.startswith(b"PK\x03\x04") or data.find(_END, max(0, len(data) - _TAIL)) >= 0


def members(data: bytes) -> Iterator[Member]:
    """Unpack the archive. Flags: bomb, limit (too much in it), encrypted, broken. Never raises."""
    if data.count(b"PK\x01\x02") > MAX_MEMBERS:  # counted before zipfile makes an object of each
        yield Member("", b"", "limit")
        return
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _BROKEN:
        yield Member("", b"", "broken")
        return
    with archive:
        yield from _unpacked(archive, len(data))


def _unpacked(archive: zipfile.ZipFile, size: int) -> Iterator[Member]:
    left = MAX_UNPACKED
    for info in archive.infolist():
        member = _member(archive, info, left)
        left -= len(member.data)
        unpacked = MAX_UNPACKED - left
        if unpacked > FREE_OF_RATIO and unpacked > size * MAX_RATIO:
            member = member._replace(flag="bomb")
        yield member
        if member.flag in ("bomb", "limit"):
            return


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> Member:
    if info.flag_bits & 1:
        return Member(info.filename, b"", "encrypted")
    if info.compress_type not in _READABLE:
        return Member(info.filename, b"", "broken")
    data = bytearray()
    flag = ""
    try:
        del info.CRC  # a wrong checksum must not keep the data from us: many unpackers only warn
        with archive.open(info) as file:
            while chunk := file.read(STEP):
                data += chunk
                if len(data) > most:
                    flag = "limit"
                    break
    except _BROKEN:
        flag = "broken"
    return Member(info.filename, bytes(data), flag)
