"""Unpacks single files that gzip, bzip2, xz, lzma or zlib packed, one layer, in steps. Pure.

No checksum and no size in such a file is trusted: many unpackers only warn where one is wrong.
"""

import bz2
import contextlib
import functools
import lzma
import re
import struct
import zlib
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

from filterlink.filters.lastbyte import rescued
from filterlink.filters.member import ENDS, STEP, Budget

__all__ = ["BROKEN", "MAX_MEMORY", "Unpacked", "flag_of", "kind_of", "rest", "rest_64", "step", "unpacked", "unpacker_of"]

PIECE = 16 << 10
PIECE_64 = 128
"""Bytes that are fed to Deflate64 at once: it knows no bound of what comes out, and 18 bits can be 64 KiB."""
MAX_STREAMS = 1000
"""Streams in one file, one behind the other; pigz and pbzip2 write some, bombs millions of empty ones."""
MAX_MEMORY = 256 << 20
"""Of lzma's dictionary: xz -9 needs 65 MiB."""
MAX_LENGTH = 1 << 38
"""Of what a .lzma file says that it holds: one that says more is no such file."""
_NO_LENGTH = (1 << 64) - 1
_MAGIC = {
    "gzip": re.compile(rb"\x1f[\x8b\x9e]\x08"),
    "bzip2": re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
}
_ZEROS = bytes(32 << 10)
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_NOT_ZERO = re.compile(rb"[^\0]")
_GZIP_TRAILER = 8
_ZIP_LZMA_HEAD = 9
BROKEN: tuple[type[Exception], ...] = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


class Unpacked(NamedTuple):
    """What streams that follow each other hold, the flag, and the names in their headers."""

    data: bytes
    flag: str
    names: tuple[str, ...]


def kind_of(data: bytes) -> str:
    """By what a file is packed; "" where by nothing that is unpacked here."""
    found = next((kind for kind, magic in _MAGIC.items() if magic.match(data)), "")
    return found or ("lzma" if _is_lzma(data, 0) else "") or ("zlib" if _is_zlib(data) else "")


def _is_zlib(data: bytes) -> bool:
    """Texts may begin with its two bytes: what follows has to be deflated."""
    if data[:2] in _ZLIB:
        with contextlib.suppress(*BROKEN):
            step(Inflate(), data, 2)
            return True
    return False


def _is_lzma(data: bytes, at: int) -> bool:
    """It has no magic: by its properties, the size of its dictionary, its own size, and the first byte, which is always zero."""
    if at + 18 > len(data) or data[at] >= 225 or data[at + 13]:
        return False
    size, length = struct.unpack_from("<IQ", data, at + 1)
    power = size >= 4096 and (size & size - 1 == 0 or (size % 3 == 0 and size // 3 & size // 3 - 1 == 0))
    return bool(length == _NO_LENGTH or (power and 0 < length < MAX_LENGTH))


def unpacked(data: bytes, kind: str, budget: Budget, start: int = 0) -> Iterator[Unpacked]:
    """Unpack all streams from `start` on: those that follow each other, also behind zeros, as one; those behind anything else as another.

    Some unpackers end where no stream follows, some look on. What is behind rubbish and is no stream is not said to be broken.
    """
    at, left, first = start, MAX_STREAMS, True
    while at >= 0:
        found, at, left = _following(data, kind, at, left, budget)
        if kind == "zlib" and found.flag == "broken":
            yield found._replace(flag="")
        elif first or found.flag in ENDS:
            yield found
        elif found.data:
            yield found._replace(flag="ambiguous")
        if found.flag in ENDS:
            return
        first, following = False, _MAGIC[kind].search(data, at) if kind in _MAGIC else None
        at = following.start() if following else -1


def _following(data: bytes, kind: str, at: int, left: int, budget: Budget) -> tuple[Unpacked, int, int]:
    """Unpack streams that follow each other; return what they hold, where to go on, and how many more there may be."""
    flag, out, names = budget.count(), bytearray(), list[str]()
    begin, known, unpacker = at, 0, unpacker_of(kind)
    try:
        while not flag:
            begin, known, left = at, len(out), left - 1
            if left < 0:
                flag = "limit"
                break
            names += [gzip_name(data, at)] if kind == "gzip" else []
            unpacker, at = unpacker_of(kind), _body(data, kind, at)
            while not flag and not unpacker.eof:
                chunk, at = step(unpacker, data, at)
                out += chunk
                flag = budget.take(len(chunk))
            at = _behind_filling(data, at + (_GZIP_TRAILER if kind == "gzip" else 0))
            if not (_MAGIC[kind].match(data, at) if kind in _MAGIC else kind == "lzma" and _is_lzma(data, at)):
                break
    except BROKEN as fault:
        flag, at = flag_of(fault), begin + 1
        out += unpacker.rescued if isinstance(unpacker, Inflate) else rest(kind, data, begin, len(out) - known)
    return Unpacked(bytes(out), flag, tuple(filter(None, names))), at, left


def _behind_filling(data: bytes, at: int) -> int:
    following = _NOT_ZERO.search(data, at)
    return following.start() if following else len(data)


def flag_of(fault: Exception) -> str:
    """What one of BROKEN says of the file; one that needs more than MAX_MEMORY may be whole."""
    return "limit" if isinstance(fault, lzma.LZMAError) and "Memory" in str(fault) else "broken"


def gzip_name(data: bytes, at: int) -> str:
    """Read the file name in a gzip header."""
    if at + 10 > len(data) or not data[at + 3] & 8:
        return ""
    start = _behind_extra(data, at)
    return data[start : start + 255].split(b"\0")[0].decode("latin-1")


def _behind_extra(data: bytes, at: int) -> int:
    return at + (12 + int.from_bytes(data[at + 10 : at + 12], "little") if data[at + 3] & 4 else 10)


def _body(data: bytes, kind: str, at: int) -> int:
    """Where the packed bytes begin: behind a gzip header's extra field, name, comment and checksum."""
    if kind == "zlib":
        return at + 2
    if kind != "gzip" or at + 10 > len(data):
        return at
    flags, at = data[at + 3], _behind_extra(data, at)
    for flag in (8, 16):
        if flags & flag:
            end = data.find(b"\0", at)
            at = end + 1 if end >= 0 else len(data)
    return at + (2 if flags & 2 else 0)


class Inflate:
    """zlib's decompressor of bare deflate, with the manner of bz2's and lzma's. It looks at no checksum.

    What is before the begin is zeros to it: gunzip goes on where a stream repeats from there, which is a fault to zlib.
    """

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(-15, zdict=_ZEROS)
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


@functools.cache
def _inflate64() -> Any:
    """Imported at the first file that needs it: that takes 25 ms and 5 MB."""
    return import_module("inflate64")


class Inflate64:
    """inflate64's decompressor of Deflate64, with the manner of bz2's and lzma's. It is fed so little that it blows up to little."""

    def __init__(self) -> None:
        self._inflater = _inflate64().Inflater()
        self.needs_input = True
        self.unused_data = b""

    @property
    def eof(self) -> bool:
        return bool(self._inflater.eof)

    def decompress(self, data: bytes, _most: int) -> bytes:
        return bytes(self._inflater.inflate(data))


class ZipLzma:
    """lzma as a zip has it: 9 bytes of properties, and no size. One that is given ends it, else a mark in it does."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lzma = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MAX_MEMORY)
        self._head = b""

    @property
    def eof(self) -> bool:
        return bool(self._lzma.eof)

    @property
    def needs_input(self) -> bool:
        return len(self._head) < _ZIP_LZMA_HEAD or bool(self._lzma.needs_input)

    @property
    def unused_data(self) -> bytes:
        return self._lzma.unused_data

    def decompress(self, data: bytes, most: int) -> bytes:
        if (missing := _ZIP_LZMA_HEAD - len(self._head)) > 0:
            self._head, data = self._head + data[:missing], data[missing:]
            if len(self._head) < _ZIP_LZMA_HEAD:
                return b""
            data = self._head[4:] + struct.pack("<q", self._size) + data
        return self._lzma.decompress(data, most)


def unpacker_of(kind: str, size: int = -1) -> Any:
    """Make what unpacks one stream; "" is bare deflate. `size`: what comes out, where the stream does not say it."""
    if kind == "zip lzma":
        return ZipLzma(size)
    if kind in ("gzip", "zlib", ""):
        return Inflate()
    if kind == "deflate64":
        return Inflate64()
    if kind == "bzip2":
        return bz2.BZ2Decompressor()
    return lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=MAX_MEMORY)


def step(unpacker: Any, data: bytes, at: int) -> tuple[bytes, int]:
    """Unpack at most STEP bytes, reading at most one piece; return them, and where to go on. Raises one of BROKEN."""
    piece = data[at : at + (PIECE_64 if isinstance(unpacker, Inflate64) else PIECE)] if unpacker.needs_input else b""
    if unpacker.needs_input and not piece:
        raise EOFError
    chunk = unpacker.decompress(piece, STEP)
    at += len(piece)
    return chunk, at - len(unpacker.unused_data) if unpacker.eof else at


def rest_64(data: bytes, start: int, fault: int) -> bytes:
    """What Deflate64 from `start` still holds behind `fault`, where a piece begins that ended with an error."""
    out, unpacker = bytearray(), Inflate64()
    with contextlib.suppress(*BROKEN):
        for at in range(start, fault, PIECE_64):
            unpacker.decompress(data[at : at + PIECE_64], STEP)
        for at in range(fault, min(fault + PIECE_64, len(data))):
            out += unpacker.decompress(data[at : at + 1], STEP)
    return bytes(out)


def rest(kind: str, data: bytes, at: int, known: int) -> bytes:
    """What the stream at `at` still holds behind `known` bytes: where a checksum is wrong, one call loses all that it unpacked."""
    if kind == "bzip2" and (found := rescued(data, at, known, STEP)) is not None:
        return found
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
