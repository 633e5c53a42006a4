"""Read the Server Log: which message came under which name, when, and how it ended. Pure.

It reads only what the log promises at level 2 (major): one line when a message is received, one with its disposition.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from enqueuer.log.facts import without

__all__ = ["DAY", "Story", "arrivals", "ended", "stories"]

DAY = 86400.0
_LINE = re.compile(r"(\d\d):(\d\d):(\d\d\.\d{3}) \d QUEUE\(\[(\d+)\]\) (.*)", re.DOTALL)
_FROM = re.compile(r"from <[^<>]*>, \d+ bytes, (.+?)(?:, uid (\d+))?", re.DOTALL)
_FATE = re.compile(r"(enqueued|discarded|quarantined|rejected|bad): (.*)", re.DOTALL)


class Story(NamedTuple):
    """What the log says about one message. Times are seconds since midnight."""

    name: str = ""
    """The drop's name, as the log shows it."""
    came: float | None = None
    disposition: str = ""
    reason: str = ""
    decided: float | None = None
    dropper: int | None = None
    """Account that wrote the drop, if it is not the engine's."""


def stories(lines: Iterable[str]) -> dict[int, Story]:
    """Return what the log says about each message, by id. The two lines of a message may come in any order: two processes write them."""
    found: dict[int, Story] = {}
    for line in lines:
        if (match := _LINE.match(line.rstrip("\n"))) is None:
            continue
        at = _seconds(match)
        id = int(match[4])
        text = match[5]
        if came := _FROM.fullmatch(text):
            found[id] = found.get(id, Story())._replace(name=came[1], came=at, dropper=int(came[2]) if came[2] else None)
        elif disposition := _FATE.fullmatch(text):
            found[id] = found.get(id, Story())._replace(disposition=disposition[1], reason=without(disposition[2]), decided=at)
    return found


def arrivals(lines: Iterable[str]) -> Iterator[float]:
    """Yield the times at which messages were received."""
    matches = (_LINE.match(line) for line in lines if "]) from <" in line)
    return (_seconds(match) for match in matches if match is not None)


def ended(lines: Iterable[tuple[str, str]]) -> tuple[str, str, str]:
    """Return how a message ended, why, and when, from its lines: (time, text). The state is "unknown" if no line says it."""
    found = ("unknown", "", "")
    for at, text in lines:
        if disposition := _FATE.fullmatch(text):
            found = (disposition[1], disposition[2], at)
        elif text.startswith("deleted from "):
            found = ("deleted", text, at)
    return found


def _seconds(match: re.Match[str]) -> float:
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
