"""Detect messages, by type, name and first line. Pure."""

import re

from filterlink.filters.content.mail.boundaries import Span
from filterlink.filters.content.mail.filenames import clean_name
from filterlink.filters.content.mail.mimeheader import PartHeader

__all__ = ["NEXT_MAIL", "TYPES", "begins_like_mail", "has_mail_name", "is_message_file", "message_names"]

TYPES = ("message/rfc822", "message/global", "message/news")
"""Types of parts whose body is a message."""
_NAMES = (".eml", ".mht", ".mhtml", ".nws")
"""Files that mail programs and browsers open as a message."""
_MAIL = re.compile(
    rb"(?:From [^\n]{1,500}\n)?"
    rb"(?:Received|Return-Path|Delivered-To|From|To|Subject|Date|Message-ID|MIME-Version|Content-Type|X-[!-9;-~]{1,99})[ \t]*:",
    re.IGNORECASE,
)
NEXT_MAIL = re.compile(rb"\n(?=From [^\n]{1,500}\n[!-9;-~]{1,100}[ \t]*:)")
"""The line end before the next message of an mbox."""


def begins_like_mail(data: bytes, start: int = 0, end: int | None = None) -> bool:
    return bool(_MAIL.match(data, start, len(data) if end is None else end))


def has_mail_name(name: str) -> bool:
    return name.lower().endswith(_NAMES)


def is_message_file(name: str, data: bytes) -> bool:
    """Return whether it is a message, by its name, or by its first line: files of a Maildir and of a mail queue have no such names."""
    return bool(data) and (has_mail_name(name) or begins_like_mail(data))


def message_names(header: PartHeader, span: Span, body: int) -> tuple[str, ...]:
    """Return the names of what holds parts. A message in a message is not a program, whatever its subject: programs name it .eml."""
    if header.type not in TYPES or header.encoding or not begins_like_mail(span.buffer, body, span.end):
        return header.names
    return tuple(name if has_mail_name(name) else clean_name(f"{name}.eml") for name in header.names)
