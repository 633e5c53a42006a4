"""Open a winmail.dat (application/ms-tnef): attachments under all their names, embedded messages, the bodies. Pure.

Attributes are read in sequence, and checksums are ignored, as in `tnef`, ytnef and LookOut. tnefparse is not used: it
copies the rest of the file for each attribute, and ends at the first odd value, where those go on.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from filterlink.filters.content.containers.lzfu import decompressed
from filterlink.filters.content.limits.member import Budget, Member

__all__ = ["is_tnef", "opened"]

_MAGIC = b"\x78\x9f\x3e\x22"
_TITLE, _DATA, _METAFILE, _RENDERED, _TRANSPORT, _PROPERTIES, _ATTACHMENT, _BODY = (
    *(0x8010, 0x800F, 0x8011, 0x9002, 0x9001, 0x9003, 0x9005, 0x800C),
)
NAMES = {0x3707: "long file name", 0x3704: "file name", 0x3001: "display name"}
"""MAPI's properties that name an attachment."""
CONTENT = 0x3701
HTML = 0x1013
TEXT = 0x1000
RTF = 0x1009
_OBJECT = 0x000D
_SIZES = {2: 4, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 10: 4, 11: 4, 20: 8, 64: 8, 72: 16}
_VARIABLE = (_OBJECT, 0x1E, 0x1F, 0x102)
MAX_ATTRIBUTES = 100_000
"""Attributes of one file, and properties of one attribute; Outlook writes some hundred."""


class _Property(NamedTuple):
    id: int
    type: int
    value: bytes


def is_tnef(data: bytes) -> bool:
    return data.startswith(_MAGIC)


def opened(data: bytes, _name: str, budget: Budget) -> Iterator[Member]:
    """Yield the bodies, and each attachment with its names."""
    names = list[str]()
    contents = list[bytes]()
    at = 6
    for _ in range(MAX_ATTRIBUTES):
        if at + 9 > len(data):
            break
        id, length = struct.unpack_from("<H2xI", data, at + 1)
        value = data[at + 9 : at + 9 + length]
        at += 9 + length + 2
        flag = budget.count()
        if id == _RENDERED:
            yield from _attachment(names, contents, budget)
            names = []
            contents = []
        elif id in (_TITLE, _TRANSPORT):
            names.append(text(value))
        elif id in (_DATA, _METAFILE):
            contents.append(value)
        elif id == _ATTACHMENT:
            found, short = _properties(value)
            flag = flag or short
            names += [text(each.value, each.type) for each in found if each.id in NAMES]
            contents += [each.value[16:] if each.type == _OBJECT else each.value for each in found if each.id == CONTENT]
        elif id == _PROPERTIES:
            found, short = _properties(value)
            yield from (member for each in found for member in body(each.id, each.value, budget))
        elif id == _BODY:
            yield Member("body.txt", value, budget.take(len(value)))
        if flag:
            yield Member("", b"", flag)
            return
    yield from _attachment(names, contents, budget)
    if at > len(data) + 2 or at + 9 <= len(data):
        yield Member("", b"", "broken" if at > len(data) else "limit")


def _attachment(names: list[str], contents: list[bytes], budget: Budget) -> Iterator[Member]:
    """Yield each content under the first name, then the other names."""
    known = list(dict.fromkeys(filter(None, names))) or [""]
    for content in contents or [b""] * bool(names):
        yield Member(known[0] or "attachment", content, budget.count() or budget.take(len(content)))
    for other in known[1:]:
        yield Member(other, b"", budget.count())


def body(id: int, value: bytes, budget: Budget) -> Iterator[Member]:
    """Yield a property of a message if it is a text of it."""
    if id == RTF:
        yield Member("body.rtf", *decompressed(value, budget))
    elif id in (HTML, TEXT):
        yield Member("body.html" if id == HTML else "body.txt", value, budget.take(len(value)))


def text(value: bytes, type: int = 0x1E) -> str:
    """Decode a name; one that is not UTF-8 has Windows' charset."""
    if type == 0x1F:
        return value.decode("utf-16-le", "replace").partition("\0")[0]
    value = value.partition(b"\0")[0]
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("cp1252", "replace")


def _properties(data: bytes) -> tuple[list[_Property], str]:
    """Read MAPI's properties, as many as are whole, and the flag."""
    found: list[_Property] = []
    try:
        (count,) = struct.unpack_from("<I", data)
        at = 4
        for _ in range(min(count, MAX_ATTRIBUTES)):
            at = _property(data, at, found)
    except (struct.error, KeyError):
        return found, ""  # other readers find nothing more in it, either
    return found, "limit" if count > MAX_ATTRIBUTES else ""


def _property(data: bytes, at: int, found: list[_Property]) -> int:
    """Read one property with all its values; return where the next one begins. Raises struct.error and KeyError if it is none."""
    type, id = struct.unpack_from("<HH", data, at)
    at += 4
    if id >= 0x8000:
        (kind,) = struct.unpack_from("<I", data, at + 16)
        at += 24
        if kind:
            (length,) = struct.unpack_from("<I", data, at - 4)
            at += length + -length % 4
    count = 1
    plain = type & ~0x1000
    if type & 0x1000 or plain in _VARIABLE:
        (count,) = struct.unpack_from("<I", data, at)
        at += 4
    for _ in range(count):
        if at >= len(data):
            raise struct.error
        if plain in _VARIABLE:
            (length,) = struct.unpack_from("<I", data, at)
            found.append(_Property(id, plain, data[at + 4 : at + 4 + length]))
            at += 4 + length + -length % 4
        else:
            at += _SIZES[plain]
    return at
