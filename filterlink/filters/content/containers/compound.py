"""Open OLE files: an Outlook message's attachments and texts, packages and other embedded files, PowerPoint's objects. Pure."""

import re
import struct
from collections.abc import Iterator

from filterlink.filters.content.containers import tnef
from filterlink.filters.content.containers.inflate import inflated
from filterlink.filters.content.containers.ole import MAGIC, Ole, Stream
from filterlink.filters.content.limits.member import Budget, Member

__all__ = ["is_ole", "native", "opened"]

MAX_PART = 4
"""All streams together may be this many times the size of the file: streams that share no bytes need it once."""
MAX_NAME = 4096
"""Bytes of an attachment's name."""
_NATIVE = "\x01Ole10Native"
_SLIDES = "PowerPoint Document"
_EMBEDDED = 0x1011
_PROPERTY = re.compile(r"__substg1\.0_([0-9A-Fa-f]{4})([0-9A-Fa-f]{4})")
_NOT_FILES = ("\x05", "__nameid", "__recip", "__properties")
_BAD: tuple[type[Exception], ...] = (ValueError, struct.error, IndexError, OverflowError)


def is_ole(data: bytes) -> bool:
    return data.startswith(MAGIC)


def opened(data: bytes, _name: str, budget: Budget) -> Iterator[Member]:
    """Yield each stream; those of a message as the files that they are."""
    try:
        ole = Ole(data)
    except _BAD:
        yield Member("", b"", "broken")
        return
    streams = list(ole.streams())
    read = 0
    titles = _titles(ole, streams)
    for stream in streams:
        if any(part.startswith(_NOT_FILES) for part in stream.path):
            continue
        read += min(stream.size, len(data))
        if read > MAX_PART * len(data):
            yield Member("", b"", "limit")
            return
        yield from _stream(ole, stream, titles.get(stream.path[:-1], ""), budget)
    if ole.over:
        yield Member("", b"", "limit")


def _titles(ole: Ole, streams: list[Stream]) -> dict[tuple[str, ...], str]:
    """Return for each storage the name of the attachment in it; the long one comes before the others."""
    found: dict[tuple[str, ...], tuple[int, str]] = {}
    ranks = list(tnef.NAMES)
    for stream in streams:
        told = _PROPERTY.fullmatch(stream.path[-1])
        if told and int(told[1], 16) in ranks and stream.size <= MAX_NAME:
            rank = ranks.index(int(told[1], 16))
            if rank < found.get(stream.path[:-1], (len(ranks), ""))[0]:
                found[stream.path[:-1]] = rank, tnef.text(ole.read(stream), int(told[2], 16))
    return {path: title for path, (_, title) in found.items()}


def _stream(ole: Ole, stream: Stream, title: str, budget: Budget) -> Iterator[Member]:
    content = ole.read(stream)
    name = stream.path[-1]
    if flag := budget.take(len(content)):
        yield Member("", b"", flag)
    elif name == "EncryptedPackage":
        yield Member(name, b"", "encrypted")
    elif found := _PROPERTY.fullmatch(name):
        yield from _property(int(found[1], 16), int(found[2], 16), content, title, budget)
    elif name == _NATIVE:
        yield from native(content[4:], budget)
    else:
        yield Member(_file_name(name), content, budget.count())
        if name == _SLIDES:
            yield from _objects(content, budget)


def _property(id: int, type: int, content: bytes, title: str, budget: Budget) -> Iterator[Member]:
    """Yield an attachment, a name of one, or a text of the message."""
    if id in tnef.NAMES:
        if (name := tnef.text(content, type)) != title:
            yield Member(name, b"", budget.count())
    elif id == tnef.CONTENT:
        yield Member(title or "attachment", content, budget.count())
    elif id == tnef.TEXT and type == 0x1F:
        yield Member("body.txt", content.decode("utf-16-le", "replace").encode())
    else:
        yield from tnef.body(id, content, budget)


def native(data: bytes, budget: Budget) -> Iterator[Member]:
    """Yield the file in a package (OLE's wrapper of any file): its names, and the content; the whole data if it is not a package."""
    label, _, rest = data[2:].partition(b"\0")
    path, _, rest = rest.partition(b"\0")
    length = int.from_bytes(rest[4:8], "little")
    start = 8 + length + 4
    content = rest[start : start + int.from_bytes(rest[start - 4 : start], "little")]
    if not content:
        yield Member("object", data)
        return
    names = dict.fromkeys(tnef.text(each).replace("\\", "/").rpartition("/")[2] for each in (label, path, rest[8 : 8 + length]))
    first, *others = [*filter(None, names)] or ["object"]
    yield Member(first, content, budget.count())
    for other in others:
        yield Member(other, b"")


def _objects(data: bytes, budget: Budget) -> Iterator[Member]:
    """Yield the OLE objects of a presentation, packed or not."""
    at = 0
    while at + 8 <= len(data):
        version, kind, length = struct.unpack_from("<HHI", data, at)
        if version & 15 == 15:  # a container: its records follow
            at += 8
            continue
        if kind == _EMBEDDED:
            content = data[at + 8 : at + 8 + length]
            flag = budget.count()
            yield Member("object", *inflated(content, 4, budget)) if version >> 4 and not flag else Member("object", content, flag)
        at += 8 + length


def _file_name(name: str) -> str:
    return "".join(letter if letter.isprintable() and letter != "/" else "_" for letter in name)
