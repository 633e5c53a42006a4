"""Repair files of zstd or lzip that are cut, or wrong at their end: libarchive returns nothing of their last piece. Pure.

The intact part of such a file is written as a whole file.
"""

__all__ = ["mended"]

MAX_POWER = 28
"""Power of the size of lzip's dictionary, because streams.MAX_MEMORY is 256 MiB."""
_ZSTD = b"\x28\xb5\x2f\xfd"
_LENGTHS = (0, 1, 2, 4), (0, 2, 4, 8)
_WINDOW = 17 << 3
"""zstd's window of 128 MiB, the largest that is unpacked."""


def mended(data: bytes, kind: str, start: int) -> bytes:
    """Return the file from `start` on as a whole one: of zstd, or of lzma for lzip; b"" if there is none."""
    if kind == "zstd":
        return _zstd(data, start)
    return _lzma(data, start) if kind == "lzip" else b""


def _lzma(data: bytes, start: int) -> bytes:
    """Replace lzip's header by that of a .lzma without a length: the same data, whose end a mark shows."""
    if len(data) < start + 7 or data[start + 5] & 31 > MAX_POWER:
        return b""
    return b"\x5d" + (1 << max(12, data[start + 5] & 31)).to_bytes(4, "little") + b"\xff" * 8 + data[start + 6 :]


def _zstd(data: bytes, start: int) -> bytes:
    """Return all whole blocks of the first frame, in a frame without length and checksum."""
    if len(data) < start + 9 or not data.startswith(_ZSTD, start):
        return b""
    flags = data[start + 4]
    window = not flags & 0x20
    length = _LENGTHS[1][flags >> 6] or int(not window)
    first = at = start + 5 + window + _LENGTHS[0][flags & 3] + length
    last = -1
    while at + 3 <= len(data):
        block = int.from_bytes(data[at : at + 3], "little")
        end = at + 3 + (1 if block & 6 == 2 else block >> 3)
        if end > len(data) or block & 6 == 6:
            break
        last = at
        at = end
        if block & 1:
            break
    if last < 0:
        return b""
    out = bytearray(_ZSTD + bytes((0, data[start + 5] if window else _WINDOW)) + data[first:at])
    out[6 + last - first] |= 1
    return bytes(out)
