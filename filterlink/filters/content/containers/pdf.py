"""Find the files attached to a PDF. Pure, and linear in its size.

An attachment is a stream that is marked as one, or that a file specification names, also one in a packed object stream. No
table of objects is read: viewers also search for the objects, and so find those that a damaged table hides.
"""

import binascii
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from filterlink.filters.content.containers.inflate import inflated
from filterlink.filters.content.limits.member import Budget, Member

__all__ = ["is_pdf", "opened"]

MAX_STREAMS = 100_000
"""Streams that are checked; a book of a thousand pages has some thousand."""
MAX_PACKED = 5000
"""Attachments and object streams that are unpacked."""
_HEAD = 4096
"""Bytes of a stream's dictionary."""
_STREAM = re.compile(rb"stream[ \t]{0,10}\r?\n")
_NUMBER = re.compile(rb"(\d{1,10})\s{1,10}\d{1,5}\s{1,10}obj\b")
_FILES = re.compile(rb"/EF\b([^>]{0,300})")
_REFERENCE = re.compile(rb"(\d{1,10})\s{1,10}\d{1,5}\s{1,10}R\b")
_NAME = re.compile(rb"/(?:UF|F)\s{0,10}(?:\(((?:[^()\\]|\\.){1,500})\)|<([0-9A-Fa-f\s]{2,2000})>)", re.DOTALL)
_FILTER = re.compile(rb"/(?:Filter|F)\s{0,10}(\[[^\]]{0,300}\]|/\w{1,40})")
_LENGTH = re.compile(rb"/Length\s{1,10}(\d{1,10})(?!\s{1,10}\d{1,5}\s{1,10}R)")


class _PdfStream(NamedTuple):
    """A stream: its object's number and dictionary, and where its bytes begin."""

    number: bytes
    head: bytes
    start: int


def is_pdf(data: bytes) -> bool:
    return data.find(b"%PDF-", 0, 1024) >= 0


def opened(data: bytes, _name: str, budget: Budget) -> Iterator[Member]:
    """Yield each attachment, then all names that files have in it."""
    streams = list(_streams(data))
    texts = [data]
    named = set[bytes]()
    secret = "encrypted" if b"/Encrypt" in data else ""
    packed = [stream for stream in streams if b"ObjStm" in stream.head]
    for stream in packed[:MAX_PACKED]:
        text, flag = _decoded(data, stream, budget)
        texts.append(text)
        if flag in ("limit", "bomb"):
            yield Member("", b"", flag)
            return
    for text in texts:
        named.update(each for files in _FILES.findall(text) for each in _REFERENCE.findall(files))
    attached = [stream for stream in streams if b"EmbeddedFile" in stream.head or stream.number in named]
    for stream in attached[:MAX_PACKED]:
        content, flag = _decoded(data, stream, budget)
        yield Member("attachment", content, budget.count() or secret or flag)
    if attached:
        for each in dict.fromkeys(_text(*name) for text in texts for name in _NAME.findall(text)):
            yield Member(each, b"", budget.count())
    if max(len(packed), len(attached)) > MAX_PACKED or len(streams) > MAX_STREAMS:
        yield Member("", b"", "limit")


def _streams(data: bytes) -> Iterator[_PdfStream]:
    before = 0
    for number, mark in enumerate(_STREAM.finditer(data)):
        if data.startswith(b"end", max(0, mark.start() - 3)):
            before = mark.end()
            continue
        head = data[max(before, mark.start() - _HEAD) : mark.start()]
        objects = list(_NUMBER.finditer(head))
        yield _PdfStream(objects[-1][1] if objects else b"", head[objects[-1].end() :] if objects else head, mark.end())
        before = mark.end()
        if number > MAX_STREAMS:
            return


def _decoded(data: bytes, stream: _PdfStream, budget: Budget) -> tuple[bytes, str]:
    """Undo the stream's filters, in their order."""
    content = data
    flag = ""
    first = True
    told = _FILTER.search(stream.head)
    for filter in re.findall(rb"/(\w+)", told[1]) if told else ():
        if filter in (b"FlateDecode", b"Fl"):
            content, flag = inflated(content, stream.start if first else 0, budget)
        elif filter in _PLAIN:
            text = _raw(data, stream) if first else content
            content = _PLAIN[filter](text)
            flag = budget.read(len(text))
        else:
            return b"", "unopened"
        first = False
    if first:
        content = _raw(data, stream)
        flag = budget.read(len(content)) or budget.take(len(content))
    return content, flag


def _raw(data: bytes, stream: _PdfStream) -> bytes:
    """Return the bytes of a stream, by its stated length, or else to its end."""
    if length := _LENGTH.search(stream.head):
        return data[stream.start : stream.start + int(length[1])]
    end = data.find(b"endstream", stream.start)
    return data[stream.start : end if end >= 0 else len(data)]


def _hexadecimal(text: bytes) -> bytes:
    text = re.sub(rb"[^0-9A-Fa-f]", b"", text.partition(b">")[0])
    return binascii.unhexlify(text + b"0" * (len(text) % 2))


def _ascii85(text: bytes) -> bytes:
    """Decode groups of five letters to four bytes; z means four zeros."""
    text = re.sub(rb"[^!-uz]", b"", text.partition(b"~>")[0]).replace(b"z", b"!!!!!")
    filling = -len(text) % 5
    text += b"u" * filling
    groups = (text[at : at + 5] for at in range(0, len(text), 5))
    out = b"".join((sum((letter - 33) * 85 ** (4 - n) for n, letter in enumerate(each)) & 0xFFFFFFFF).to_bytes(4) for each in groups)
    return out[: len(out) - filling] if filling else out


_PLAIN: dict[bytes, Callable[[bytes], bytes]] = {
    **dict.fromkeys((b"ASCIIHexDecode", b"AHx"), _hexadecimal),
    **dict.fromkeys((b"ASCII85Decode", b"A85"), _ascii85),
}


def _text(plain: bytes, digits: bytes) -> str:
    """Decode a string: UTF-16 with a mark at its start, else Latin 1."""
    value = _hexadecimal(digits) if digits else re.sub(rb"\\(.)", rb"\1", plain, flags=re.DOTALL)
    return value[2:].decode("utf-16-be", "replace") if value.startswith(b"\xfe\xff") else value.decode("latin-1")
