"""The verdict of a filter on a message, and its reply line in the helper protocol. Pure.

A reply line has at most 4096 bytes: longer texts are shortened, and header fields that do not fit are left out whole.
Text of a server becomes part of header fields only here: field() for a value, reply() for whole fields.
"""

import re
from typing import NamedTuple

__all__ = [
    "MAX_REPLY",
    "UNSCANNABLE",
    "Verdict",
    "discard",
    "error",
    "failure",
    "field",
    "header",
    "is_reply",
    "ok",
    "quote",
    "rejected",
    "reply",
]

MAX_REPLY = 4096
"""The longest reply line that the protocol allows."""
FRAME = 96
ROOM = MAX_REPLY - FRAME
"""Bytes of a quoted string: the rest is for the request number (at most 64 bytes), the verb, OK and the line's end."""
MAX_VALUE = 200
"""The longest value of a field that field() makes; no signature has a longer name."""
_FIELD = re.compile(r"([!-9;-~]{1,200}):(.*)", re.DOTALL)
_REPLY = re.compile(rb"(?:OK|DISCARD|(?:ERROR|REJECTED|FAILURE|ADDHEADER)(?: [^\x00-\x1f\x7f]*)?)")
_LINE_END = re.compile(r"\r\n|[\r\n]")
_IN_TEXT = {"\\": b"\\\\", '"': b'\\"', "\n": b"\\n", "\r": b"\\r", "\t": b"\\t"}
_IN_HEADER = _IN_TEXT | {"\n": b"\\e", "\r": b""}


class Verdict(NamedTuple):
    """A verdict of the protocol. Make it with the functions below."""

    word: str
    text: str = ""
    fields: tuple[str, ...] = ()


def ok() -> Verdict:
    """Let the message go on."""
    return Verdict("OK")


def error(text: str) -> Verdict:
    """Refuse the message for good; its sender may read the text."""
    return Verdict("ERROR", text)


def rejected(text: str) -> Verdict:
    """Not now: the server keeps the message and asks again later."""
    return Verdict("REJECTED", text)


def discard() -> Verdict:
    """Drop the message without a notice."""
    return Verdict("DISCARD")


def failure(text: str) -> Verdict:
    """Let the message go on although this filter cannot scan it; the server's log has the text."""
    return Verdict("FAILURE", text)


def header(fields: tuple[str, ...]) -> Verdict:
    """Go on with these header fields ("Name: value") added."""
    return Verdict("ADDHEADER", fields=fields)


def field(name: str, value: str) -> str:
    """Make a header field from a server's text: one line of printable ASCII, shortened if it is very long."""
    text = " ".join(_ascii(value).split())
    return f"{name}: {text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 3] + '...'}"


UNSCANNABLE = {"defer": rejected, "error": error, "pass": failure}
"""Choices for a message that cannot be scanned."""


def reply(verdict: Verdict, most: int = MAX_REPLY) -> bytes:
    """Return the text after the request number, without the OK that interface version 4 puts after ADDHEADER.

    `most`: bytes of the line. More than MAX_REPLY are for filters of ours that only our engine asks.
    """
    if verdict.word == "ADDHEADER":
        text = _fitting(verdict.fields, most - FRAME)
        return b'ADDHEADER "%b"' % text if text else b"OK"
    if not verdict.text:
        return verdict.word.encode()
    return b"%b %b" % (verdict.word.encode(), quote(verdict.text))


def is_reply(said: bytes, most: int = MAX_REPLY) -> bool:
    """Return whether this may follow a request number: one verdict, in one line of at most `most` bytes."""
    return len(said) <= most and _REPLY.fullmatch(said) is not None


def quote(text: str, room: int = ROOM) -> bytes:
    """Put a text into double quotes and at most `room` bytes; control characters become blanks."""
    written = bytearray(b'"')
    for char in text:
        piece = _escaped(char, _IN_TEXT)
        if len(written) + len(piece) > room - 4:
            written += b"..."
            break
        written += piece
    return bytes(written + b'"')


def _fitting(fields: tuple[str, ...], room: int) -> bytes:
    r"""Join the fields with \e, as many as fit whole."""
    written = b""
    for field in map(_safe, fields):
        longer = b"\\e".join(filter(None, (written, b"".join(_escaped(char, _IN_HEADER) for char in field))))
        if len(longer) <= room - 2:
            written = longer
    return written


def _safe(field: str) -> str:
    """Return the field in printable ASCII. Its folds stay, other line ends do not; "" if it is not a field."""
    match = _FIELD.fullmatch(field)
    if match is None:
        return ""
    first, *more = _LINE_END.split(match[2])
    lines = [_ascii(first)]
    for line in more:
        text = _ascii(line)
        if not text.strip():
            continue  # a line of blanks may end the header for a lenient reader
        if line[0] in " \t":
            lines.append(text)
        else:
            lines[-1] += " " + text
    return f"{match[1]}:" + "\n".join(lines)


def _ascii(text: str) -> str:
    """Replace each control character by a blank, and each other one that is not ASCII by a question mark."""
    return "".join(c if " " <= c <= "~" or c == "\t" else "?" if c.isprintable() else " " for c in text)


def _escaped(char: str, table: dict[str, bytes]) -> bytes:
    found = table.get(char)
    if found is not None:
        return found
    return char.encode("utf-8", "replace") if char.isprintable() else b" "
