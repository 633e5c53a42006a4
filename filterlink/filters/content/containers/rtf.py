r"""Find the objects in RTF texts: hexadecimal digits after \objdata that hold a package or an OLE file. Pure, and linear."""

import binascii
import re
from collections.abc import Iterator

from filterlink.filters.content.containers.compound import native
from filterlink.filters.content.containers.ole import MAGIC
from filterlink.filters.content.limits.member import Budget, Member

__all__ = ["is_rtf", "opened"]

MAX_OBJECTS = 1000
"""Objects in one text."""
_MARK = b"\\objdata"
_WORD = re.compile(rb"\\(?:'[0-9A-Fa-f]{2}|[A-Za-z]{1,40}-?[0-9]{0,20} ?|[^A-Za-z])")
_BINARY = re.compile(rb"\\bin(\d{1,10}) ?")
_NOT_HEX = bytes(set(range(256)) - set(b"0123456789abcdefABCDEF"))
_PACKAGE = b"Package\0"


def is_rtf(data: bytes) -> bool:
    return data[:100].lstrip().startswith(b"{\\rt")


def opened(data: bytes, _name: str, budget: Budget) -> Iterator[Member]:
    """Yield each object: the file in a package, else the OLE file, else all that its digits encode."""
    starts = list[int]()
    at = data.find(_MARK)
    while at >= 0 and len(starts) <= MAX_OBJECTS:
        starts.append(at + len(_MARK))
        at = data.find(_MARK, at + 1)
    for start, end in zip(starts[:MAX_OBJECTS], [*starts[1:], len(data)], strict=False):
        yield from _object(_digits(data[start:end]), budget)
    if len(starts) > MAX_OBJECTS:
        yield Member("", b"", "limit")


def _digits(text: bytes) -> bytes:
    """Decode the digits in a group and its subgroups; skip control words and blanks between them. Raw bytes may be among them, too."""
    if binary := _BINARY.search(text):
        start = binary.end()
        return _digits(text[: binary.start()] + b"}") + text[start : start + int(binary[1])]
    depth = 0
    end = len(text)
    for brace in re.finditer(rb"[{}]", text):
        depth += 1 if brace[0] == b"{" else -1
        if depth < 0:
            end = brace.start()
            break
    text = _WORD.sub(b"", text[:end]).translate(None, _NOT_HEX)
    return binascii.unhexlify(text[: len(text) // 2 * 2])


def _object(content: bytes, budget: Budget) -> Iterator[Member]:
    flag = budget.count() or budget.take(len(content))
    if flag:
        yield Member("", b"", flag)
        return
    package = content.find(_PACKAGE, 0, 100)
    inner = content.find(MAGIC, 0, 4096)
    if package >= 0:
        yield from native(content[package + len(_PACKAGE) + 12 :], budget)
    elif inner >= 0:
        yield Member("object", content[inner:])
    elif content:
        yield Member("object", content)
