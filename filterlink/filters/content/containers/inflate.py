"""Unpack zlib streams inside of a file, in small pieces. Pure."""

import zlib

from filterlink.filters.content.limits.member import STEP, Budget

__all__ = ["inflated"]

_PIECE = 64 << 10


def inflated(data: bytes, start: int, budget: Budget) -> tuple[bytes, str]:
    """Unpack up to the end of the stream; return the output, and the flag."""
    out = bytearray()
    unpacker = zlib.decompressobj()
    at = start
    flag = ""
    try:
        while not flag and not unpacker.eof and (at < len(data) or unpacker.unconsumed_tail):
            piece = unpacker.unconsumed_tail or data[at : at + _PIECE]
            at += 0 if unpacker.unconsumed_tail else len(piece)
            flag = budget.read(len(piece))
            chunk = unpacker.decompress(piece, STEP)
            out += chunk
            flag = flag or budget.take(len(chunk))
    except zlib.error:
        flag = "broken"
    return bytes(out), flag or ("" if unpacker.eof else "broken")
