"""Return the content of a bzip2 stream before its wrong checksum, to the last byte: 7-Zip and others give it, Python's bz2 loses it.
Pure.

libbz2 writes the last byte of a block and finds the wrong checksum in one call, and bz2 drops the output of a call that
fails. So this module calls libbz2 itself, through the module that is linked to it.
"""

import ctypes
import functools
from importlib import import_module
from typing import Any

__all__ = ["rescued"]

_PIECE = 64 << 10


class _BzStream(ctypes.Structure):
    """bz_stream of bzlib.h."""

    _fields_ = (
        *(("next_in", ctypes.c_void_p), ("avail_in", ctypes.c_uint), ("total_in_low", ctypes.c_uint), ("total_in_high", ctypes.c_uint)),
        *(("next_out", ctypes.c_void_p), ("avail_out", ctypes.c_uint), ("total_out_low", ctypes.c_uint), ("total_out_high", ctypes.c_uint)),
        *(("state", ctypes.c_void_p), ("bzalloc", ctypes.c_void_p), ("bzfree", ctypes.c_void_p), ("opaque", ctypes.c_void_p)),
    )


@functools.cache
def _library() -> Any:
    """Return libbz2; None if Python contains it."""
    try:
        library = ctypes.CDLL(str(import_module("_bz2").__file__))
        return library if library.BZ2_bzDecompressInit and library.BZ2_bzDecompress and library.BZ2_bzDecompressEnd else None
    except (ImportError, OSError, AttributeError):
        return None


def rescued(data: bytes, at: int, known: int, most: int) -> bytes | None:
    """Return the content of the stream at `at` after `known` bytes, about `most` at most; None if libbz2 is not accessible."""
    if (library := _library()) is None:
        return None
    text = ctypes.c_char_p(data)
    out = bytearray()
    buffer = ctypes.create_string_buffer(_PIECE)
    stream = _BzStream(next_in=(ctypes.cast(text, ctypes.c_void_p).value or 0) + at, avail_in=min(len(data) - at, 0xFFFFFFFF))
    if library.BZ2_bzDecompressInit(ctypes.byref(stream), 0, 0) != 0:
        return None
    total = 0
    code = 0
    while code == 0 and len(out) < most:
        stream.next_out = ctypes.addressof(buffer)
        stream.avail_out = _PIECE
        code = library.BZ2_bzDecompress(ctypes.byref(stream))
        written = _PIECE - stream.avail_out
        out += memoryview(buffer)[max(0, known - total) : written]
        total += written
        if not written and not stream.avail_in:
            break
    library.BZ2_bzDecompressEnd(ctypes.byref(stream))
    return bytes(out)
