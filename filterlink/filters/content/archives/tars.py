"""Find the members of a tar, by every header in it. Pure.

Unpackers end at two empty blocks, or do not (GNU tar with --ignore-zeros). At a wrong checksum they end, or go on
with the next header. So this module also finds the members of a second tar after the first, or after rubbish.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from filterlink.filters.content.limits.member import MAX_NAME, Budget, Member
from filterlink.filters.content.mail.mails import has_mail_name

__all__ = ["is_tar", "members", "starts"]

BLOCK = 512
MAX_PREFIX = 4 << 20
"""Bytes in which the first header is searched."""
MAX_LOOKED = 10_000
"""Magics that turn out not to be headers."""
_MAGIC = b"ustar"
_OCTAL = re.compile(rb"[ \0]*([0-7]{1,12})")
_FILLING = re.compile(rb"[ \0]*\Z")
_NOT_EMPTY = re.compile(rb"[^\0]")
_RECORD = re.compile(rb"\d{1,9} (path|linkpath|size|GNU\.sparse\.name)=([^\n]*)\n")
_WITHOUT_SIGN = bytes(range(128))
_UNKNOWN = -1
_EXTENDED = b"xgX"
_LONG_NAMES = b"L"


class _Header(NamedTuple):
    name: str
    size: int
    type: bytes


def is_tar(data: bytes) -> bool:
    """Return whether members() finds something."""
    return _first(data) != -1


def starts(data: bytes) -> bool:
    """Return whether the first block is a header: old archives have no magic."""
    return _header(data, 0) is not None


def _first(data: bytes) -> int:
    """Return the position of the first header: any block, or any place with the magic; -1: none, -2: more magics than MAX_LOOKED."""
    for at in range(0, min(len(data), MAX_PREFIX), BLOCK):
        if _OCTAL.match(data, at + 148, at + 156) and _header(data, at):
            return at
    at = data.find(_MAGIC, 257, MAX_PREFIX)
    for _ in range(MAX_LOOKED):
        if at < 0:
            return -1
        if _header(data, at - 257):
            return at - 257
        at = data.find(_MAGIC, at + 1, MAX_PREFIX)
    return -2


def _header(data: bytes, at: int) -> _Header | None:
    """Read a block; return None if its checksum, of signed or unsigned bytes, is wrong."""
    told = _OCTAL.match(data, at + 148, at + 156)
    if not told or not (_FILLING.match(data, told.end(), at + 156) or data.startswith(_MAGIC, at + 257)):
        return None
    block = data[at : at + BLOCK]
    if len(block) < BLOCK or (not block[0] and not block[345]):
        return None
    rest = block[:148] + block[156:]
    total = sum(rest) + 8 * 32
    if int(told[1], 8) not in (total, total - 256 * len(rest.translate(None, _WITHOUT_SIGN))):
        return None
    prefix = _text(block[345:500]) if block.startswith(_MAGIC + b"\0", 257) else ""
    name = _text(block[:100])
    return _Header(f"{prefix}/{name}" if prefix else name, _size(block[124:136]), block[156:157])


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0][-MAX_NAME:].decode("utf-8", "replace")


def _size(field: bytes) -> int:
    if field[0] & 0x80:
        return int.from_bytes(field[4:], "big")
    told = _OCTAL.match(field)
    return int(told[1], 8) if told else _UNKNOWN


def members(data: bytes, budget: Budget) -> Iterator[Member]:
    """Yield each file under each of its names."""
    names = list[str]()
    sizes = [0]
    if (at := _first(data)) < 0:
        yield Member("", b"", "limit")
        return
    while at + BLOCK <= len(data):
        header = _header(data, at)
        if header is None:
            if over := budget.read(0):
                yield Member("", b"", over)
                return
            following = _NOT_EMPTY.search(data, at + BLOCK)
            at = following.start() - (following.start() - at) % BLOCK if following else len(data)
            continue
        start = at + BLOCK
        size = len(data) - start if header.size == _UNKNOWN else max(header.size, *sizes)
        body = data[start : start + size]
        if header.type in _EXTENDED or header.type in _LONG_NAMES:
            _extend(header, body, names, sizes)
        else:
            flag = budget.count() or budget.take(len(body)) or ("broken" if len(body) < size else "")
            first, *others = sorted(dict.fromkeys((*names, header.name)), key=lambda name: not has_mail_name(name))
            yield Member(first, body, flag)
            for name in others:
                yield Member(name, b"", budget.count())
            names = []
            sizes = [0]
        at = start - -max(0, header.size) // BLOCK * BLOCK


def _extend(header: _Header, body: bytes, names: list[str], sizes: list[int]) -> None:
    """Take the name or size that an extension header gives for the next member."""
    if header.type in _LONG_NAMES:
        names.append(_text(body))
        return
    for key, value in _RECORD.findall(body):
        if key in (b"path", b"GNU.sparse.name"):
            names.append(_text(value))
        elif key == b"size" and value.isdigit() and len(value) < 16:
            sizes.append(int(value))
