"""Tag Subject: where a text goes into a header, and when it is there already. Pure, and linear in time."""

import re
from collections.abc import Sequence

from enqueuer.queue.message.headerlines import words_of
from enqueuer.queue.message.oneline import encoded_words

__all__ = ["Insertion", "insertion", "is_tagged", "tagged"]

_SUBJECT = re.compile(rb"^subject[ \t]*+:[ \t]*+(?:\r?\n[ \t]++)*+", re.IGNORECASE | re.MULTILINE)
_REPLIES = re.compile(r"(?:(?:re|aw|fwd?|wg|sv|antw)(?:\[\d{1,3}\])?:\s*+)*+", re.IGNORECASE)
MOST = 1000
"""Characters of a subject in which a tag is looked for."""
Insertion = tuple[int, bytes]
"""An offset in the message, and the bytes to insert there."""


def is_tagged(subject: str, tag: str) -> bool:
    """Return whether a decoded subject begins with the tag, also after `Re:` and the like, or behind other tags in brackets."""
    rest = subject.strip()[:MOST]
    rest = rest[_match_end(rest) :]
    while not rest.startswith(tag):
        closed = rest.find("]") if rest.startswith("[") else -1
        if closed < 0:
            return False
        rest = rest[closed + 1 :].lstrip()
        rest = rest[_match_end(rest) :]
    return True


def _match_end(text: str) -> int:
    match = _REPLIES.match(text)
    return match.end() if match else 0


def insertion(header: bytes, tags: Sequence[str]) -> Insertion | None:
    """Return where in the message the tags go, before the value of the first Subject field. None: it has no such field."""
    match = _SUBJECT.search(header)
    return (match.end(), _bytes(tags, header[match.end() : match.end() + 2])) if match else None


def tagged(header: bytes, tags: Sequence[str]) -> bytes:
    """Return the new value of the first Subject field, as it is in the header; the tags alone if there is none."""
    match = _SUBJECT.search(header)
    if match is None:
        return _bytes(tags).rstrip()
    end = re.compile(rb"\r?\n(?![ \t])|\Z").search(header, match.end())
    return _bytes(tags, header[match.end() : match.end() + 2]) + header[match.end() : end.start() if end else len(header)]


def _bytes(tags: Sequence[str], next: bytes = b"") -> bytes:
    """Return the tags, the last one first, each with a blank behind it. `next`: the first bytes of the subject.

    Readers drop the blanks between two encoded words. So the blank is a part of the first one.
    """
    found = b""
    for tag in tags:
        inside = not tag.isascii() and (found or next).startswith(b"=?")
        found = encoded_words(tag + " " if inside else tag) + b" " + found
    return found


def subject_of(values: Sequence[bytes]) -> str:
    """Return the decoded first subject."""
    return words_of(values[0]) if values else ""
