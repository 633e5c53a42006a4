"""After which action a kept message goes on when it is released, as its reason says. Pure."""

import contextlib
from collections.abc import Mapping

from enqueuer.policy.outcome import mark

__all__ = ["goes_on"]

MAX_WORDS = 100
"""Words of an action that are read: a .why may have been changed by hand."""


def goes_on(why: Mapping[str, object]) -> tuple[bytes | None, str]:
    """Return the mark for its O line, and the same in words. None: the message is scanned from the start."""
    rule = why.get("rule")
    words = _action(why)
    if isinstance(rule, str) and words:
        with contextlib.suppress(UnicodeEncodeError):  # half a surrogate pair cannot be a word of ours
            "".join((rule, *words)).encode()
            what = f'"{words[0]:.100}"' if why.get("action") else f'filter "{words[0]:.100}"'
            return mark(rule, *words), f'goes on after {what} in rule "{rule:.100}"'
    return None, "it is scanned again"


def _action(why: Mapping[str, object]) -> tuple[str, ...]:
    """Return the words of the action that ended it: all of them, or the name of the filter alone."""
    action = why.get("action")
    if isinstance(action, list) and action and len(action) <= MAX_WORDS and all(isinstance(word, str) for word in action):
        return tuple(action)
    filter = why.get("filter")
    return (filter,) if isinstance(filter, str) else ()
