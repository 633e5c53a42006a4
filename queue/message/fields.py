"""Read Message-ID and Subject from a header, for people: one short printable line each. Pure, and linear in time."""

import binascii
import re

from enqueuer.queue.message.printable import printable

__all__ = ["MAX_MESSAGE_ID", "MAX_SUBJECT", "decoded", "message_id", "short", "subject"]

MAX_MESSAGE_ID = 200
MAX_SUBJECT = 100
"""Characters that are shown."""
MAX_READ = 2000
"""Bytes of a field that are read."""
_VALUE = re.compile(rb"[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)")
_WORD = re.compile(rb"=\?([!-)+->@-~]{1,40})(?:\*[^?\s]{0,40})?\?([BbQq])\?([^?\s]*+)\?=")
_BETWEEN = re.compile(rb"(\?=)\s++(?==\?)")
_CHARSET = re.compile(
    r"utf-8|us-ascii|iso-8859-\d{1,2}|windows-125\d|koi8-[ru]|gb2312|gbk|gb18030|big5|shift_jis|euc-jp|euc-kr|iso-2022-jp", re.IGNORECASE
)
"""Charsets that are decoded. A sender may name any other codec of Python, and some take long."""


def message_id(header: bytes) -> str:
    """Return the first Message-ID without its brackets; "" if there is none."""
    value = _first(header, b"message-id").strip()
    if value[:1] == b"<":
        value = value[1:].partition(b">")[0]
    return short(value, MAX_MESSAGE_ID)


def subject(header: bytes) -> str:
    """Return the first Subject in one line, encoded words decoded; "" if there is none."""
    value = _first(header, b"subject")
    if b"=?" in value:
        value = decoded(value)
    return short(b" ".join(value.split()), MAX_SUBJECT)


def decoded(value: bytes) -> bytes:
    """Return a value with its encoded words (RFC 2047) as UTF-8."""
    return _WORD.sub(_decoded, _BETWEEN.sub(rb"\1", value))


def short(text: bytes, most: int) -> str:
    """Return text from outside printable, and cut to `most` characters."""
    shown = printable(text[: 4 * most + 4])
    return shown if len(shown) <= most else shown[: most - 3] + "..."


def _first(header: bytes, name: bytes) -> bytes:
    """Return the value of the first field of this name (lower case), at most MAX_READ bytes of it."""
    names = b"\n" + header.lower()
    at = -1
    while (at := names.find(b"\n" + name, at + 1)) >= 0:
        begin = at + len(name)
        if match := _VALUE.match(header, begin, begin + MAX_READ):
            return match[1]
    return b""


def _decoded(match: re.Match[bytes]) -> bytes:
    """Return an encoded word (RFC 2047) as UTF-8, or as it is."""
    charset = match[1].decode("ascii")
    if not _CHARSET.fullmatch(charset):
        return match[0]
    try:
        data = binascii.a2b_base64(match[3]) if match[2] in b"Bb" else binascii.a2b_qp(match[3], header=True)
        return data.decode(charset, "replace").encode("utf-8", "replace")
    except (binascii.Error, LookupError):
        return match[0]
