"""Open the content of S/MIME and PKCS #7 files (CMS, RFC 5652): signed and compressed content, in BER as in DER. Pure.

Only the path to the content is read: no signature and no certificate is checked. asn1crypto is not used: it requires the
whole file to be right, recurses, and joins no nested chunks, while openssl and Outlook open such content.
"""

import binascii
import re
from collections.abc import Iterator
from typing import NamedTuple

from filterlink.filters.content.containers.inflate import inflated
from filterlink.filters.content.limits.member import Budget, Member

__all__ = ["is_cms", "opened"]

_PKCS7 = bytes.fromhex("2a864886f70d0107")
_SMIME = bytes.fromhex("2a864886f70d01091001")
_OPENED = {_PKCS7 + b"\1", _PKCS7 + b"\2", _PKCS7 + b"\5", _SMIME + b"\2", _SMIME + b"\x09", _SMIME + b"\x1f"}
"""data, signed, digested, authenticated, compressed, time-stamped."""
_SECRET = {_PKCS7 + b"\3", _PKCS7 + b"\4", _PKCS7 + b"\6", _SMIME + b"\x17"}
"""enveloped, signed and enveloped, encrypted, authenticated and enveloped."""
_COMPRESSED = _SMIME + b"\x09"
_STAMPED = _SMIME + b"\x1f"
_SEQUENCE = 0x30
_OID = 0x06
_PLAIN = 0x04
_CHUNKS = 0x24
_EXPLICIT = 0xA0
_OCTETS = (_PLAIN, _CHUNKS)
MAX_TEXT = 64 << 10
"""Bytes in which PEM armour, or the first line of base64, may begin."""
MAX_NESTING = 8
"""Content types nested without a file between them."""
MAX_CHILDREN = 100
"""Elements of the sequence that holds the content; there are six kinds of them."""
_ARMOUR = re.compile(rb"-----BEGIN [!-,.-~ ]{1,60}-----[ \t\r]*\n")
_TEXT = re.compile(rb"\s{0,100}M[A-P][A-Za-z0-9+/\s]{20}")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_NAMES = (".p7m", ".p7s", ".p7b", ".p7c", ".p7z", ".pem", ".tsd", ".cms")


class _Element(NamedTuple):
    """One element of BER: its tag, and where its content begins and ends; with an indefinite length, the end of its parent."""

    at: int
    tag: int
    start: int
    end: int
    indefinite: bool


def is_cms(data: bytes) -> bool:
    return bool(_type(data, 0)) if data.startswith(b"0") else _decoded(data) is not None


def opened(data: bytes, name: str, budget: Budget) -> Iterator[Member]:
    """Yield the content as a message, and the file's name without its suffix. Certificates and detached signatures have none."""
    content, flag = _content(data if _type(data, 0) else _decoded(data) or b"", budget)
    if content is None and not flag:
        return
    yield Member("content.eml", content or b"", budget.count() or flag)
    if name[-4:].lower() in _NAMES and name[:-4]:
        yield Member(name[:-4], b"", budget.count())


def _decoded(data: bytes) -> bytes | None:
    """Decode a file in armour, or in base64 alone."""
    if _TEXT.match(data):
        text = data
    elif data.find(b"-----BEGIN ", 0, MAX_TEXT) >= 0 and (found := _ARMOUR.search(data, 0, MAX_TEXT)):
        end = data.find(b"-", found.end())
        text = data[found.end() : end if end >= 0 else len(data)]
    else:
        return None
    return _base64(text) if _type(_base64(text[:200]), 0) else None


def _base64(text: bytes) -> bytes:
    text = text.translate(None, _NOT_BASE64)
    return binascii.a2b_base64(text[: len(text) // 4 * 4])  # at most the last bytes of a signature are cut off


def _type(data: bytes, at: int) -> bytes:
    """Return the content type of the ContentInfo at `at`; b"" if it is unknown."""
    found = _oid(data, outer) if data[at : at + 1] == b"0" and (outer := _element(data, at, len(data))) else b""
    return found if found in _OPENED or found in _SECRET else b""


def _oid(data: bytes, outer: _Element) -> bytes:
    first = _element(data, outer.start, outer.end)
    return data[first.start : first.end] if first and first.tag == _OID and first.end - first.start < 20 else b""


def _content(data: bytes, budget: Budget) -> tuple[bytes | None, str]:
    """Go down to the content; return it, and the flag; None if there is none."""
    info = _element(data, 0, len(data))
    packed = False
    for _ in range(MAX_NESTING):
        if info is None or not (kind := _oid(data, info)):
            return None, "broken"
        if kind in _SECRET:
            return None, "encrypted"
        packed = packed or kind == _COMPRESSED
        value = _value(data, info)
        if value is None:
            return None, ""
        if value.tag in _OCTETS:
            return _unpacked(data, value, packed, budget)
        found = next((each for each in _children(data, value) if _holds(data, each, kind == _STAMPED)), None)
        if found is None:
            return None, ""
        if found.tag in _OCTETS:
            return _unpacked(data, found, packed, budget)
        info = found
    return None, "limit"


def _holds(data: bytes, element: _Element, stamped: bool) -> bool:
    """Return whether it has a content type and the content itself; in a time stamp, the content alone."""
    if element.tag in _OCTETS:
        return stamped
    return element.tag == _SEQUENCE and bool(_oid(data, element)) and _value(data, element) is not None


def _value(data: bytes, info: _Element) -> _Element | None:
    """Return what follows the type in a ContentInfo."""
    oid = _element(data, info.start, info.end)
    explicit = _element(data, oid.end, info.end) if oid else None
    return _element(data, explicit.start, explicit.end) if explicit and explicit.tag == _EXPLICIT else None


def _children(data: bytes, outer: _Element) -> Iterator[_Element]:
    at = outer.start
    for _ in range(MAX_CHILDREN):
        element = _element(data, at, outer.end)
        if element is None:
            return
        yield element
        at = _behind(data, element)


def _element(data: bytes, at: int, end: int) -> _Element | None:
    """Read the header of an element; None at an end, or if it is none. One that is longer than the data is cut."""
    if at + 2 > end or not data[at] or data[at] & 0x1F == 0x1F:
        return None
    tag = data[at]
    length = data[at + 1]
    start = at + 2
    if length == 0x80:
        return _Element(at, tag, start, end, True)
    if length > 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[at + 2 : min(start, at + 130)])
    return _Element(at, tag, start, min(start + length, end), False) if start <= end else None


def _behind(data: bytes, element: _Element) -> int:
    """Return where the next element begins. It passes the content of one of indefinite length once, at any depth."""
    if not element.indefinite:
        return element.end
    at = element.start
    open_ends = 1
    while open_ends and at + 2 <= element.end:
        if not data[at]:
            open_ends = open_ends - 1
            at = at + 2
            continue
        inner = _element(data, at, element.end)
        if inner is None:
            return element.end
        open_ends += inner.indefinite
        at = inner.start if inner.indefinite else inner.end
    return at


def _octets(data: bytes, element: _Element) -> tuple[bytes, str]:
    """Join the chunks of an OCTET STRING, in any nesting; the flag shows that the last one is cut."""
    if element.tag == _PLAIN:
        return data[element.start : element.end], _cut(data, element)
    chunks = list[bytes]()
    flag = ""
    at = element.start
    open_ends = int(element.indefinite)
    while at + 2 <= element.end:
        if not data[at]:
            at = at + 2
            open_ends = open_ends - 1
            if open_ends == 0 and element.indefinite:
                return b"".join(chunks), flag
            continue
        inner = _element(data, at, element.end)
        if inner is None or inner.tag not in _OCTETS:
            break
        if inner.tag == _PLAIN:
            chunks.append(data[inner.start : inner.end])
            flag = _cut(data, inner)
        open_ends += inner.indefinite
        at = inner.end if inner.tag == _PLAIN else inner.start
    return b"".join(chunks), flag or ("broken" if element.indefinite else _cut(data, element))


def _cut(data: bytes, element: _Element) -> str:
    """Return the flag of an element in which the file ends."""
    size = data[element.at + 1]
    length = size if size < 0x80 else int.from_bytes(data[element.at + 2 : min(element.start, element.at + 130)])
    return "broken" if element.start + length > len(data) else ""


def _unpacked(data: bytes, element: _Element, packed: bool, budget: Budget) -> tuple[bytes, str]:
    content, flag = _octets(data, element)
    if not packed:
        return content, flag or budget.take(len(content))
    out, over = inflated(content, 0, budget)
    return out, over or flag
