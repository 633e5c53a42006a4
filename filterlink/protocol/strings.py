"""Decode the strings of the helper protocol: quotes, escapes, reports and header fields. Pure: bytes in, checked values out.

Input from a helper is never trusted here: a field that could break a header apart is refused, not repaired.
"""

import re

from filterlink.wire.frames import MAX_TEXT

__all__ = ["MAX_ADDRESS", "MAX_COMPLAINTS", "check_address", "check_fields", "decode_report", "take_quoted"]

MAX_COMPLAINTS = 10
"""Complaints kept for one answer. A line of a megabyte could cause hundreds of thousands, and each would be logged."""

_QUOTED = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_MEANING = {b"n": b"\n", b"e": b"\n", b"r": b"\r", b"t": b"\t"}
_SHOWN = 80
"""Bytes of a refused field that a complaint quotes."""

# A field name of RFC 5322; a value without control characters except tab; folds are LF and a blank or tab.
_FIELD = re.compile(rb"[!-9;-~]++:[^\x00-\x08\x0a-\x1f\x7f]*+(?:\n[ \t][^\x00-\x08\x0a-\x1f\x7f]*+)*+")


def take_quoted(text: bytes, at: int) -> tuple[bytes, int] | None:
    """Return the value of the quoted string that begins at `at`, and where it ends; None if none begins there or it has no end."""
    match = _QUOTED.match(text, at)
    if match is None:
        return None
    return _ESCAPE.sub(_unescape, match[1]), match.end()


def _unescape(match: re.Match[bytes]) -> bytes:
    return _MEANING.get(match[1], match[1])  # an unknown escape is the character itself


def decode_report(raw: bytes) -> str:
    """Decode a report to a text of at most MAX_TEXT bytes of UTF-8; bytes that are not UTF-8 are replaced."""
    text = raw[:MAX_TEXT].decode("utf-8", "replace")
    return text.encode()[:MAX_TEXT].decode("utf-8", "ignore")


MAX_ADDRESS = 1000
"""Bytes of an address; RFC 5321 (4.5.3.1.3) allows 256."""


def check_fields(text: bytes, room: int = MAX_TEXT) -> tuple[list[bytes], list[str]]:
    """Split the text of an ADDHEADER into header fields that are safe to add, and complaints about the other fields.

    The safe fields with their line ends take at most `room` bytes.
    """
    fields: list[bytes] = []
    complaints: list[str] = []
    for field in _unfolded(text):
        fault = "the added fields are too long together" if len(field) >= room else _fault(field)
        if fault:
            if len(complaints) < MAX_COMPLAINTS:
                complaints.append(f"header field refused, {fault}: {field[:_SHOWN]!r}")
        else:
            fields.append(field)
            room -= len(field) + 1
    return fields, complaints


def check_address(text: bytes) -> bytes:
    """Return an address that a filter adds, safe for an envelope line. Raises ValueError with the fault."""
    address = text.strip(b" \t")
    if address[:1] == b"<" and address[-1:] == b">":
        address = address[1:-1]
    if not address:
        raise ValueError("it is empty")
    if len(address) > MAX_ADDRESS:
        raise ValueError(f"it is longer than {MAX_ADDRESS} bytes")
    if re.search(rb"[\x00-\x20\x7f<>]", address):
        raise ValueError("it has blanks, control characters or brackets")
    return address


def _unfolded(text: bytes) -> list[bytes]:
    """Return the fields, each with its continuation lines. Empty lines are dropped: they must never end a header."""
    fields: list[list[bytes]] = []
    for line in text.replace(b"\r\n", b"\n").split(b"\n"):
        if not line.strip(b" \t"):
            continue
        if line[0] in b" \t" and fields:
            fields[-1].append(line)
        else:
            fields.append([line])
    return [b"\n".join(lines) for lines in fields]


def _fault(field: bytes) -> str:
    if _FIELD.fullmatch(field):
        return ""
    if re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", field):
        return "it has control characters"
    return "it is not `name: value`"
