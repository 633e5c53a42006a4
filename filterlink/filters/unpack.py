"""Unpacks what Python's zipfile does not: packed single files by Python's own modules, archives by libarchive.

gzip, bzip2, xz and lzma are not left to libarchive: it opens all layers of them at once, and what a layer in the middle
blows up to is counted by nobody. Its formats are named one by one: mtree reads files of this machine, and some filters
start programs. libarchive (libarchive-c and Debian's libarchive13) may be missing: then its formats are not opened.
"""

import bz2
import ctypes
import functools
import logging
import lzma
import zlib
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from filterlink.filters.member import STEP, Budget, Member

__all__ = ["available", "library", "library_format", "stream", "stream_kind"]

PIECE = 16 << 10
MAX_STREAMS = 1000
"""Streams in one file, one behind the other; pigz and pbzip2 write some, bombs millions of empty ones."""
MAX_MEMORY = 256 << 20
"""Of lzma's dictionary: xz -9 needs 65 MiB."""
_BLOCK = 256 << 10
_NO_MEMORY = 12
_STREAMS = {b"\x1f\x8b\x08": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x5d\0\0": "lzma"}
_SUFFIXES = {"gz": "", "bz2": "", "xz": "", "lzma": "", "tgz": ".tar", "tbz": ".tar", "tbz2": ".tar", "txz": ".tar"}
_MAGIC = {
    b"7z\xbc\xaf\x27\x1c": "7zip",
    b"Rar!\x1a\x07\0": "rar",
    b"Rar!\x1a\x07\1": "rar5",
    b"MSCF": "cab",
    b"!<arch>\n": "ar",
    b"070701": "cpio",
    b"070702": "cpio",
    b"070707": "cpio",
    b"\xc7\x71": "cpio",
    b"\x71\xc7": "cpio",
    b"xar!": "xar",
}
_BROKEN = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


# Packed single files


def stream_kind(data: bytes) -> str:
    return next((kind for magic, kind in _STREAMS.items() if data.startswith(magic)), "")


def stream(data: bytes, kind: str, name: str, budget: Budget) -> Iterator[Member]:
    """Unpack it whole. It is called as `name` without its suffix, and also as a gzip header says."""
    flag, out, streams = budget.count(), bytearray(), 0
    unpacker, at = _unpacker(kind), 0
    try:
        while not flag and (at < len(data) or not unpacker.eof):
            if unpacker.eof:
                if streams > MAX_STREAMS or not data.startswith(data[:2], at):  # what follows is filling
                    flag = "limit" if streams > MAX_STREAMS else flag
                    break
                unpacker, streams = _unpacker(kind), streams + 1
            chunk, at = _step(unpacker, data, at)
            out += chunk
            flag = budget.take(len(chunk))
    except _BROKEN:
        flag = "broken"
    plain, told = _plain_name(name), _told_name(data) if kind == "gzip" else ""
    yield Member(plain, bytes(out), flag)
    if told and told != plain:
        yield Member(told, b"")


class _Gzip:
    """zlib's decompressor with the manner of bz2's and lzma's."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, most: int) -> bytes:
        out = self._zlib.decompress(self._zlib.unconsumed_tail + data, most)
        self.needs_input = not self._zlib.unconsumed_tail and len(out) < most
        return out


def _unpacker(kind: str) -> Any:
    if kind == "gzip":
        return _Gzip()
    if kind == "bzip2":
        return bz2.BZ2Decompressor()
    return lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=MAX_MEMORY)


def _step(unpacker: Any, data: bytes, at: int) -> tuple[bytes, int]:
    """Unpack at most STEP bytes, reading at most one piece; return them, and where to go on. Raises one of _BROKEN."""
    piece = data[at : at + PIECE] if unpacker.needs_input else b""
    if unpacker.needs_input and not piece:
        raise EOFError
    chunk = unpacker.decompress(piece, STEP)
    at += len(piece)
    return chunk, at - len(unpacker.unused_data) if unpacker.eof else at


def _plain_name(name: str) -> str:
    stem, _, suffix = name.rpartition("/")[2].rpartition(".")
    return stem + _SUFFIXES[suffix.lower()] if stem and suffix.lower() in _SUFFIXES else "unpacked"


def _told_name(data: bytes) -> str:
    """Read the file name in a gzip header."""
    if not data[3] & 8:
        return ""
    start = 12 + int.from_bytes(data[10:12], "little") if data[3] & 4 else 10
    return data[start : start + 255].split(b"\0")[0].decode("latin-1")


# Archives, by libarchive


def library_format(data: bytes) -> str:
    """Give libarchive's word for the format, "" where it is none or libarchive is missing."""
    found = next((form for magic, form in _MAGIC.items() if data.startswith(magic)), "")
    if not found and data[2:5] in (b"-lh", b"-lz"):
        found = "lha"
    if not found and data[32769:32774] == b"CD001":
        found = "iso9660"
    if not found and _is_tar(data):
        found = "tar"
    return found if found and available() else ""


def _is_tar(data: bytes) -> bool:
    """By the checksum of the first header: old archives have no magic."""
    field = data[148:156].strip(b"\0 ")
    if len(data) < 512 or not data[0] or not field.isdigit() or b"8" in field or b"9" in field:
        return False
    return int(field, 8) == sum(data[:148]) + 8 * 32 + sum(data[156:512])


@functools.cache
def _ffi() -> Any:
    logging.getLogger("libarchive").addHandler(logging.NullHandler())
    logging.getLogger("libarchive").propagate = False  # it warns of every oddity in what strangers sent
    try:
        return import_module("libarchive.ffi")
    except (ImportError, OSError, AttributeError, TypeError):  # without libarchive13 the import ends with any of these
        return None


def available() -> bool:
    return _ffi() is not None


def library(data: bytes, form: str, budget: Budget) -> Iterator[Member]:
    """Unpack an archive of the format `form` from memory."""
    ffi = _ffi()
    archive, entry = ffi.read_new(), ffi.entry_new()
    try:
        ffi.get_read_format_function(form)(archive)
        ffi.read_open_memory(archive, ctypes.c_char_p(data), len(data))
        while ffi.read_next_header2(archive, entry) != ffi.ARCHIVE_EOF:
            name = (ffi.entry_pathname(entry) or b"").decode("utf-8", "replace")
            yield _read(ffi, archive, name, budget)
    except ffi.ArchiveError as fault:
        yield Member("", b"", _flag(fault))
    finally:
        ffi.entry_free(entry)
        ffi.read_free(archive)


def _read(ffi: Any, archive: Any, name: str, budget: Budget) -> Member:
    flag, out, block = budget.count(), bytearray(), ctypes.create_string_buffer(_BLOCK)
    try:
        while not flag and (length := ffi.read_data(archive, block, _BLOCK)) > 0:
            out += memoryview(block)[:length]
            flag = budget.take(length)
    except ffi.ArchiveError as fault:
        flag = _flag(fault)
    return Member(name, bytes(out), flag)


def _flag(fault: Any) -> str:
    if fault.errno == _NO_MEMORY:
        return "limit"
    return "encrypted" if any(word in str(fault) for word in ("ncrypt", "Crypto", "assphrase")) else "broken"
