"""Macros in the texts of actions: ^S ^F ^E ^I ^R ^T ^Q ^^. Pure.

What a macro inserts comes from mail of strangers. So it is one line of at most 200 characters, with blanks for control characters and for
marks that turn the direction of text. A header field gets it in RFC 2047 where it is not ASCII.
"""

import base64
import re
from collections.abc import Callable, Mapping

from enqueuer.policy.view import View
from enqueuer.queue.message.headerlines import address_of, display_name, text_of, words_of
from enqueuer.queue.message.timestamps import in_headers

__all__ = ["MACROS", "encoded_words", "expand", "one_line"]

MOST = 200
"""Characters of what a macro inserts."""
_MACRO = re.compile(r"\^(.)", re.DOTALL)
WORD = 45
"""Bytes of text in an encoded word: with its frame it stays below the 75 characters of RFC 2047."""


def _subject(view: View) -> str:
    return words_of(next(iter(view.facts.lines.values("subject")), b""))


def _from(view: View) -> str:
    value = next(iter(view.facts.lines.values("from")), b"")
    name = display_name(value)
    return f"{name} <{address_of(value)}>" if name else address_of(value)


MACROS: Mapping[str, tuple[str, Callable[[View], str]]] = {
    "S": ("the subject, decoded", _subject),
    "F": ("the From field, with the name decoded", _from),
    "E": ("the address of the sender, from the envelope", lambda view: text_of(view.facts.sender)),
    "I": ("the Message-ID", lambda view: text_of(next(iter(view.facts.lines.values("message-id")), b""))),
    "R": ("the recipients", lambda view: ", ".join(text_of(each) for each in view.facts.recipients[:50])),
    "T": ("the date and time", lambda view: in_headers(int(view.facts.now))),
    "Q": ("the id in the queue", lambda view: str(view.facts.id)),
    "^": ("a caret", lambda _view: "^"),
}


def expand(text: str, view: View) -> str:
    """Return a text with its macros replaced. A caret before another character stays."""

    def insert(match: re.Match[str]) -> str:
        known = MACROS.get(match[1])
        return match[0] if known is None else one_line(known[1](view))

    return _MACRO.sub(insert, text) if "^" in text else text


def one_line(text: str) -> str:
    """Return text from outside as one line of at most MOST characters, without control characters."""
    text = text[: 10 * MOST]
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    text = " ".join(text.split())
    return text if len(text) <= MOST else text[: MOST - 3] + "..."


def encoded_words(text: str) -> bytes:
    """Return text for a header field: as it is if it is ASCII, else as encoded words (RFC 2047) with blanks between them."""
    if text.isascii():
        return text.encode("ascii")
    words = list[bytes]()
    piece = b""
    for char in text:
        data = char.encode("utf-8", "replace")
        if len(piece) + len(data) > WORD:
            words.append(piece)
            piece = b""
        piece += data
    return b" ".join(b"=?UTF-8?B?%s?=" % base64.b64encode(word) for word in (*words, piece))
