"""Unpack what Python's zipfile does not: packed single files by Python's own modules, archives by libarchive.

gzip, bzip2, xz and lzma are not left to libarchive: it opens all layers of them at once, and would not count the size of
a layer in the middle. It opens zstd, lz4 and lzip, which Python lacks, one layer at a time, because it is given that one
filter only. compress has to be detected by libarchive, so it is opened only if no second layer follows.
The formats are named one by one: mtree reads files of this machine, and some filters start programs.
libarchive (libarchive-c and Debian's libarchive13) may be missing: then its formats are not opened.
"""

import contextlib
import ctypes
import functools
import locale
import logging
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from filterlink.filters.content.archives import cut, packed, tars
from filterlink.filters.content.limits.member import ENDS, MAX_NAME, Budget, Member

__all__ = ["UNNAMED", "available", "layer", "library", "library_format", "library_version", "stream", "stream_kind", "unopened"]

UNNAMED = "unpacked"
"""The name of a packed file that has none."""
MAX_SKIPPED = 1000
"""Frames without content, before one that has some."""
MAX_ARJ_HEADER = 2600
"""Bytes, by the format."""
_BLOCK = 256 << 10
_NO_MEMORY = 12
_COMPRESS = b"\x1f\x9d"
_LAYERS = {b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4", b"\x02\x21\x4c\x18": "lz4", b"LZIP": "lzip", _COMPRESS: "compress"}
_CODES = {"compress": 0, "lzip": 9, "lz4": 13, "zstd": 14}
"""libarchive's numbers of the filters. 0: libarchive has to detect it, because it reads a null pointer if it is named."""
_SUFFIXES = {
    **dict.fromkeys(("gz", "bz2", "xz", "lzma", "zst", "lz4", "lz", "z", "zz"), ""),
    **dict.fromkeys(("tgz", "tbz", "tbz2", "txz", "tzst", "tlz", "taz"), ".tar"),
}
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
    b"WARC/": "warc",
}
_UNOPENED = {
    (0, b"\x89LZO\0\r\n\x1a\n"): "lzop",
    (0, b"LRZI"): "lrzip",
    (7, b"**ACE**"): "ace",
    (20, b"\xdc\xa7\xc4\xfd"): "zoo",
    (0, b"SIT!"): "stuffit",
    (0, b"StuffIt "): "stuffit",
    (0, b"ALZ\1"): "alz",
    (0, b"EGGA"): "egg",
    (0, b"ArC\1"): "freearc",
    (0, b"MSWIM\0\0\0"): "wim",
    (0, b"hsqs"): "squashfs",
    (0, b"\x1f\x1e"): "pack",
    (0, b"\x1f\xa0"): "lzh",
}


# Packed single files


def stream_kind(data: bytes) -> str:
    """Return the method by which it is packed; "" if none fits, or libarchive is missing for it."""
    return packed.kind_of(data) or (_layer(data) if available() else "")


def _layer(data: bytes) -> str:
    if (start := _behind_skippable(data)) < 0:
        return "skippable"
    return next((kind for magic, kind in _LAYERS.items() if data.startswith(magic, start)), "")


def _behind_skippable(data: bytes) -> int:
    """Return where the first frame with data begins: zstd and lz4 skip others. -1: too many frames to skip."""
    at = 0
    for _ in range(MAX_SKIPPED):
        if data[at + 1 : at + 4] != b"\x2a\x4d\x18" or data[at] & 0xF0 != 0x50:
            return at
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "little")
    return -1


def stream(data: bytes, kind: str, name: str, budget: Budget) -> Iterator[Member]:
    """Unpack it whole. Its names are `name` without its suffix, and those of its gzip headers."""
    if kind == "compress" and (len(data) < 4 or _compressed_twice(data)):
        yield Member(_plain_name(name), b"", "unopened")  # it would open all layers at once
        return
    if kind == "skippable":
        yield Member(_plain_name(name), b"", "limit")
        return
    if kind in _CODES:
        broken = False
        for member in layer(data, kind, budget, _behind_skippable(data)):
            broken = broken or member.flag == "broken"
            yield member._replace(name=_plain_name(name))
        if broken and (left := cut.mended(data, kind, _behind_skippable(data))):
            for content, flag in _again(left, kind, budget):
                if content or flag in ENDS:
                    yield Member(_plain_name(name), content, flag if flag in ENDS else "broken")
        return
    plain = _plain_name(name)
    names = dict[str, None]()
    for found in packed.unpacked(data, kind, budget):
        yield Member(plain, found.data, found.flag)
        names |= dict.fromkeys(found.names)
    for other in names:
        if other != plain:
            yield Member(other, b"")


def layer(data: bytes, kind: str, budget: Budget, start: int) -> Iterator[Member]:
    """Unpack the data at `start`, of a kind that libarchive unpacks."""
    return library(data, "raw", budget, _CODES[kind], start)


def _again(data: bytes, kind: str, budget: Budget) -> Iterator[tuple[bytes, str]]:
    """Yield data and flag of what cut.py has repaired."""
    if kind == "lzip":
        yield from ((found.data, found.flag) for found in packed.unpacked(data, "lzma", budget))
    else:
        yield from ((member.data, member.flag) for member in layer(data, kind, budget, 0))


def _compressed_twice(data: bytes) -> bool:
    """Return whether a compressed file holds another one, or may hide it: codes of nine bits, of which 256 begins again."""
    codes = int.from_bytes(data[3:6], "little")
    first = codes & 511
    second = codes >> 9 & 511
    return bytes((first & 255, second & 255)) == _COMPRESS or (256 in (first, second) and data[2] & 0x80 > 0)


def _plain_name(name: str) -> str:
    stem, _, suffix = name.rpartition("/")[2].rpartition(".")
    return stem + _SUFFIXES[suffix.lower()] if stem and suffix.lower() in _SUFFIXES else UNNAMED


# Archives, by libarchive


def library_format(data: bytes) -> str:
    """Return libarchive's word for the format, "" if it is none or libarchive is missing."""
    found = _form(data)
    return found if found and available() else ""


def _form(data: bytes) -> str:
    found = next((form for magic, form in _MAGIC.items() if data.startswith(magic)), "")
    if not found and data[2:5] in (b"-lh", b"-lz"):
        found = "lha"
    if not found and data[32769:32774] == b"CD001":
        found = "iso9660"
    if not found and tars.starts(data):
        found = "tar"
    return found


@functools.cache
def _ffi() -> Any:
    if locale.nl_langinfo(locale.CODESET) != "UTF-8":  # libarchive gives no name that the locale cannot express
        with contextlib.suppress(locale.Error):
            locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    logging.getLogger("libarchive").addHandler(logging.NullHandler())
    logging.getLogger("libarchive").propagate = False  # it warns of every oddity in foreign data
    try:
        return import_module("libarchive.ffi")
    except (ImportError, OSError, AttributeError, TypeError):  # without libarchive13 the import ends with any of these
        return None


def available() -> bool:
    return _ffi() is not None


def library_version() -> str:
    """Return the version of libarchive, e.g. 3.6.2. Call it only if libarchive is available."""
    number = int(_ffi().version_number())
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def unopened(data: bytes) -> str:
    """Return the name of a kind of archive that no module here opens, "" if it is none."""
    known = next((name for (at, magic), name in _UNOPENED.items() if data.startswith(magic, at)), "")
    if not known and data.startswith(b"\x60\xea") and 30 <= int.from_bytes(data[2:4], "little") <= MAX_ARJ_HEADER:
        known = "arj"
    return known or ("" if available() else _form(data) or _layer(data))


def library(data: bytes, form: str, budget: Budget, layer: int = 0, start: int = 0) -> Iterator[Member]:
    """Unpack an archive of the format `form` that begins at `start`. `layer`: the number of the filter to remove first."""
    ffi = _ffi()
    text = ctypes.c_char_p(data)
    archive = ffi.read_new()
    entry = ffi.entry_new()
    try:
        if form == "raw" and not layer:
            ffi.get_read_filter_function("compress")(archive)
        elif layer:
            ffi.ffi("read_append_filter", [ffi.c_archive_p, ctypes.c_int], ctypes.c_int, ffi.check_int)(archive, layer)
        ffi.get_read_format_function(form)(archive)
        ffi.read_open_memory(archive, (ctypes.cast(text, ctypes.c_void_p).value or 0) + start, len(data) - start)
        while ffi.read_next_header2(archive, entry) != ffi.ARCHIVE_EOF:
            name = ffi.entry_pathname(entry) or b""
            member, goes_on = _read(ffi, archive, name[-MAX_NAME:].decode("utf-8", "replace"), budget)
            yield member
            if not goes_on:
                return
    except ffi.ArchiveError as fault:
        yield Member("", b"", _flag(fault))
    finally:
        ffi.entry_free(entry)
        ffi.read_free(archive)


def _read(ffi: Any, archive: Any, name: str, budget: Budget) -> tuple[Member, bool]:
    """Read one member; return it, and whether there may be more: to ask a reader of cab for more after a fatal error crashes."""
    flag = budget.count()
    out = bytearray()
    block = ctypes.create_string_buffer(_BLOCK)
    goes_on = True
    try:
        while not flag and (length := ffi.read_data(archive, block, _BLOCK)) > 0:
            out += memoryview(block)[:length]
            flag = budget.take(length)
            ctypes.memset(block, 0, _BLOCK)
    except ffi.ArchiveError as fault:
        flag = _flag(fault)
        goes_on = fault.retcode != ffi.ARCHIVE_FATAL
        out += block.raw.rstrip(b"\0")  # unpacked before the error, as of a file that is cut
    return Member(name, bytes(out), flag), goes_on


def _flag(fault: Any) -> str:
    if fault.errno == _NO_MEMORY:
        return "limit"
    return "encrypted" if any(word in str(fault) for word in ("ncrypt", "Crypto", "assphrase")) else "broken"
