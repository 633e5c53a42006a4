"""Macros in the texts of actions: ^S ^F ^E ^I ^R ^T ^Q ^^. Pure.

What a macro inserts comes from mail of strangers. So it is one line of at most 200 characters, with blanks for control characters and for
marks that turn the direction of text. A header field gets it in RFC 2047 where it is not ASCII.
"""

import re
from collections.abc import Callable, Mapping

from enqueuer.policy.view import View
from enqueuer.queue.message.headerlines import address_of, display_name, text_of, words_of
from enqueuer.queue.message.oneline import one_line
from enqueuer.queue.message.timestamps import in_headers

__all__ = ["MACROS", "expand"]

_MACRO = re.compile(r"\^(.)", re.DOTALL)


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
