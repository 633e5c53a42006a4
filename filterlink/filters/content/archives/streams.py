"""Unpackers of one stream each, in steps, with the interface of bz2's and lzma's decompressors, and what is left of one that fails.
Pure.
"""

import bz2
import contextlib
import functools
import lzma
import struct
import zlib
from importlib import import_module
from typing import Any

from filterlink.filters.content.archives.lastbyte import rescued
from filterlink.filters.content.limits.member import STEP

__all__ = ["BROKEN", "MAX_MEMORY", "PIECE_64", "Inflate", "Inflate64", "ZipLzma", "flag_of", "rest", "rest_64", "step", "unpacker_of"]

PIECE = 16 << 10
PIECE_64 = 128
"""Bytes that are fed to Deflate64 at once: it does not limit its output, and 18 bits can be 64 KiB."""
MAX_MEMORY = 256 << 20
"""Bytes of lzma's dictionary: xz -9 needs 65 MiB."""
_ZEROS = bytes(32 << 10)
_ZIP_LZMA_HEAD = 9
BROKEN: tuple[type[Exception], ...] = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


def flag_of(fault: Exception) -> str:
    """Return the flag of a file for one of BROKEN; a file that needs more than MAX_MEMORY may be whole."""
    return "limit" if isinstance(fault, lzma.LZMAError) and "Memory" in str(fault) else "broken"


class Inflate:
    """zlib's decompressor of bare deflate, with the interface of bz2's and lzma's. It checks no checksum.

    References before the start give zeros: gunzip accepts them, zlib calls them an error.
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
        data = self._zlib.unconsumed_tail + data
        before = self._zlib.copy()
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
    """Return the class; imported at the first file that needs it, because that takes 25 ms and 5 MB."""
    return import_module("inflate64")


class Inflate64:
    """inflate64's decompressor of Deflate64, with the interface of bz2's and lzma's. It gets small pieces, so that its output stays
    small.
    """

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
    """lzma in a zip: 9 bytes of properties, and no size. A given size ends it, else a mark in the data does."""

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
            self._head = self._head + data[:missing]
            data = data[missing:]
            if len(self._head) < _ZIP_LZMA_HEAD:
                return b""
            data = self._head[4:] + struct.pack("<q", self._size) + data
        return self._lzma.decompress(data, most)


def unpacker_of(kind: str, size: int = -1) -> Any:
    """Return the unpacker of one stream; "" is bare deflate. `size`: that of the output, if the stream does not have it."""
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
    """Return the rest of a Deflate64 stream from `start` after `fault`, the start of a piece that ended with an error."""
    out = bytearray()
    unpacker = Inflate64()
    with contextlib.suppress(*BROKEN):
        for at in range(start, fault, PIECE_64):
            unpacker.decompress(data[at : at + PIECE_64], STEP)
        for at in range(fault, min(fault + PIECE_64, len(data))):
            out += unpacker.decompress(data[at : at + 1], STEP)
    return bytes(out)


def _faulty_piece(kind: str, data: bytes, at: int) -> int:
    """Return where the piece of input begins at which the stream at `at` fails."""
    unpacker = unpacker_of(kind)
    begin = at
    with contextlib.suppress(*BROKEN):
        while not unpacker.eof:
            begin = at if unpacker.needs_input else begin
            _, at = step(unpacker, data, at)
    return begin


def rest(kind: str, data: bytes, at: int, known: int) -> bytes:
    """Return the rest of the stream at `at` after `known` bytes: at a wrong checksum one call loses all that it unpacked."""
    if kind == "bzip2" and (found := rescued(data, at, known, STEP)) is not None:
        return found
    out = bytearray()
    fault = _faulty_piece(kind, data, at)
    unpacker = unpacker_of(kind)
    done = 0
    with contextlib.suppress(*BROKEN):
        while not unpacker.eof and len(out) < STEP:
            length = PIECE if at < fault else 1  # so that the last byte comes before the error after it
            piece = data[at : at + length] if unpacker.needs_input else b""
            if unpacker.needs_input and not piece:
                break
            at += len(piece)
            chunk = unpacker.decompress(piece, max(1, known - done))
            done += len(chunk)
            out += chunk if done > known else b""
    return bytes(out)
