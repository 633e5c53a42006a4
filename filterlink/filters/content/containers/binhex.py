"""Open BinHex 4 files (.hqx) and MacBinary's forks in them, at each line that announces one. Pure."""

import binascii
from collections.abc import Iterator

from filterlink.filters.content.limits.member import STEP, Budget, Member

__all__ = ["is_binhex", "opened"]

MAX_FILES = 100
"""Files in one text."""
_BANNER = b"(This file must be converted with BinHex"
_LETTERS = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TO_BASE64 = bytes.maketrans(_LETTERS, _BASE64)
_OTHERS = bytes(set(range(256)) - set(_LETTERS))
_REPEAT = 0x90


def is_binhex(data: bytes) -> bool:
    return _BANNER in data


def opened(data: bytes, _name: str, budget: Budget) -> Iterator[Member]:
    """Yield both forks of each file."""
    at = 0
    for _ in range(MAX_FILES):
        at = data.find(_BANNER, at)
        start = data.find(b":", at + len(_BANNER)) + 1 if at >= 0 else 0
        if not start:
            return
        end = data.find(b":", start)
        at = end if end >= 0 else len(data)
        yield from _file(data[start:at], budget)
    yield Member("", b"", "limit")


def _file(text: bytes, budget: Budget) -> Iterator[Member]:
    text = text.translate(_TO_BASE64, _OTHERS)
    out, flag = _expanded(binascii.a2b_base64(text[: len(text) // 4 * 4] + _filled(text)), budget)
    length = out[0] if out else 0
    name = out[1 : 1 + length].decode("mac_roman")
    head = out[length + 12 : length + 20]
    sizes = int.from_bytes(head[:4]), int.from_bytes(head[4:])
    start = length + 22
    fork = out[start : start + sizes[0]]
    resource = out[start + sizes[0] + 2 : start + sizes[0] + 2 + sizes[1]]
    yield Member(name, fork, budget.count() or flag or ("" if len(fork) == sizes[0] else "broken"))
    if resource:
        yield Member(f"{name}.rsrc", resource, budget.count())


def _filled(text: bytes) -> bytes:
    left = len(text) % 4
    return text[-left:] + b"=" * (4 - left) if left > 1 else b""


def _expanded(data: bytes, budget: Budget) -> tuple[bytes, str]:
    """Expand repeated bytes: 0x90 and a count repeat the byte before; a count of 0 is 0x90 itself."""
    first, *others = data.split(bytes([_REPEAT]))
    out = bytearray(first)
    taken = 0
    for each in others:
        count = each[0] if each else 1
        out += out[-1:] * (count - 1) if count else bytes([_REPEAT])
        out += each[1:]
        if len(out) - taken > STEP:
            flag = budget.take(len(out) - taken)
            taken = len(out)
            if flag:
                return bytes(out), flag
    return bytes(out), budget.take(len(out) - taken)
