"""Unpacks single files that gzip, bzip2, xz or lzma packed, one layer, in steps. Pure.

No checksum and no size in such a file is trusted: many unpackers only warn where one is wrong.
"""

import bz2
import contextlib
import lzma
import zlib
from typing import Any

from filterlink.filters.member import STEP, Budget

__all__ = ["BROKEN", "MAGIC", "Inflate", "flag_of", "gzip_name", "rest", "step", "unpacked", "unpacker_of"]

PIECE = 16 << 10
MAX_STREAMS = 1000
"""Streams in one file, one behind the other; pigz and pbzip2 write some, bombs millions of empty ones."""
MAX_MEMORY = 256 << 20
"""Of lzma's dictionary: xz -9 needs 65 MiB."""
MAGIC = {b"\x1f\x8b\x08": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x5d\0\0": "lzma"}
_GZIP_TRAILER = 8
BROKEN: tuple[type[Exception], ...] = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


def unpacked(data: bytes, kind: str, budget: Budget) -> tuple[bytes, str]:
    """Unpack all streams in it, each behind the other; give what came out, and the flag."""
    flag, out, streams, begin = budget.count(), bytearray(), 0, (0, 0)
    unpacker, at = unpacker_of(kind), _body(data, kind, 0)
    try:
        while not flag and (at < len(data) or not unpacker.eof):
            if unpacker.eof:
                at += _GZIP_TRAILER if kind == "gzip" else 0
                if streams > MAX_STREAMS or not data.startswith(data[:2], at):  # what follows is filling
                    flag = "limit" if streams > MAX_STREAMS else flag
                    break
                unpacker, begin, streams = unpacker_of(kind), (at, len(out)), streams + 1
                at = _body(data, kind, at)
            chunk, at = step(unpacker, data, at)
            out += chunk
            flag = budget.take(len(chunk))
    except BROKEN as fault:
        flag = flag_of(fault)
        out += unpacker.rescued if kind == "gzip" else rest(kind, data, begin[0], len(out) - begin[1])
    return bytes(out), flag


def flag_of(fault: Exception) -> str:
    """What one of BROKEN says of the file; one that needs more than MAX_MEMORY may be whole."""
    return "limit" if isinstance(fault, lzma.LZMAError) and "Memory" in str(fault) else "broken"


def gzip_name(data: bytes) -> str:
    """Read the file name in a gzip header."""
    if not data[3:4] or not data[3] & 8:
        return ""
    start = _behind_extra(data, 0)
    return data[start : start + 255].split(b"\0")[0].decode("latin-1")


def _behind_extra(data: bytes, at: int) -> int:
    return at + (12 + int.from_bytes(data[at + 10 : at + 12], "little") if data[at + 3] & 4 else 10)


def _body(data: bytes, kind: str, at: int) -> int:
    """Where the packed bytes begin: behind a gzip header's extra field, name, comment and checksum."""
    if kind != "gzip" or at + 10 > len(data):
        return at
    flags, at = data[at + 3], _behind_extra(data, at)
    for flag in (8, 16):
        if flags & flag:
            end = data.find(b"\0", at)
            at = end + 1 if end >= 0 else len(data)
    return at + (2 if flags & 2 else 0)


class Inflate:
    """zlib's decompressor of bare deflate, with the manner of bz2's and lzma's. It looks at no checksum."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(-15)
        self.needs_input = True
        self.rescued = b""
        """What the call that ended with an error had unpacked before."""

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, most: int) -> bytes:
        data, before = self._zlib.unconsumed_tail + data, self._zlib.copy()
        try:
            out = self._zlib.decompress(data, most)
        except zlib.error:
            self.rescued = _byte_by_byte(before, data)
            raise
        self.needs_input = not self._zlib.unconsumed_tail and len(out) < most
        return out


def _byte_by_byte(unpacker: Any, data: bytes) -> bytes:
    out = bytearray()
    with contextlib.suppress(zlib.error):
        for at in range(len(data)):
            out += unpacker.decompress(data[at : at + 1])
    return bytes(out)


def unpacker_of(kind: str) -> Any:
    """Make what unpacks one stream; "" is bare deflate."""
    if kind in ("gzip", ""):
        return Inflate()
    if kind == "bzip2":
        return bz2.BZ2Decompressor()
    return lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=MAX_MEMORY)


def step(unpacker: Any, data: bytes, at: int) -> tuple[bytes, int]:
    """Unpack at most STEP bytes, reading at most one piece; return them, and where to go on. Raises one of BROKEN."""
    piece = data[at : at + PIECE] if unpacker.needs_input else b""
    if unpacker.needs_input and not piece:
        raise EOFError
    chunk = unpacker.decompress(piece, STEP)
    at += len(piece)
    return chunk, at - len(unpacker.unused_data) if unpacker.eof else at


def rest(kind: str, data: bytes, at: int, known: int) -> bytes:
    """What the stream at `at` still holds behind `known` bytes: where a checksum is wrong, one call loses all that it unpacked."""
    out = bytearray()
    unpacker, done = unpacker_of(kind), 0
    with contextlib.suppress(*BROKEN):
        while not unpacker.eof and len(out) < STEP:
            piece = data[at : at + PIECE] if unpacker.needs_input else b""
            if unpacker.needs_input and not piece:
                break
            at += len(piece)
            chunk = unpacker.decompress(piece, max(1, known - done))
            done += len(chunk)
            out += chunk if done > known else b""
    return bytes(out)
