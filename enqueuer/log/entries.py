"""The lines of the Server Log as readers need them: parsed from both formats, selected, and shown. Pure.

A line of the text format has the time of day only; its day is that of its file. A line of the JSON format is shown in local time.
Lines that are in neither format (the end of a torn line) have no time, no tag and the last level.
"""

import re
from typing import NamedTuple

import msgspec

from enqueuer.queue.message.printable import printable
from enqueuer.queue.message.timestamps import local, utc
from filterlink.config.settings import LEVELS

__all__ = ["LEVEL_DIGITS", "MESSAGE_TAG", "PROBLEMS", "JsonLine", "LogEntry", "LogQuery", "parse"]

_LINE = re.compile(r"(\d\d:\d\d:\d\d\.\d{3}) ([0-5]) (\S+) (.*)", re.DOTALL | re.ASCII)
MESSAGE_TAG = re.compile(r"(?:QUEUE|DOOR|ENQUEUERRULES)\(\[([1-9][0-9]{0,17})\]\)", re.ASCII)
"""The tag of a line about one message, which has its id."""
LEVEL_DIGITS = {word: digit for digit, word in enumerate(LEVELS)}
_WORDS = tuple(LEVELS)
PROBLEMS = frozenset(LEVEL_DIGITS[word] for word in ("crashes", "failures", "problems"))
"""Levels of lines that report a problem."""


class JsonLine(msgspec.Struct, omit_defaults=True):
    """A line in JSON. Control characters of `text` and `traceback` are escaped as in the text format, then as JSON demands."""

    time: str
    """RFC 3339 in UTC, with milliseconds."""
    level: int
    """The digit of the level, 0 to 5, and below its word."""
    level_name: str
    tag: str
    text: str
    id: int | None = None
    """The message that the line is about."""
    traceback: str | None = None


_decode = msgspec.json.Decoder(JsonLine).decode


class LogEntry(NamedTuple):
    """One line, with its traceback if it came as JSON."""

    at: str
    """`2026-11-28 14:30:00.123` in local time; only the day, if the line has no time."""
    level: int
    tag: str
    text: str
    trace: str = ""

    @property
    def id(self) -> int | None:
        """The message that the line is about."""
        match = MESSAGE_TAG.fullmatch(self.tag)
        return int(match[1]) if match else None

    @property
    def line(self) -> str:
        """The line in the text format, without a traceback that came as JSON."""
        return f"{self.at[11:]} {self.level} {self.tag} {self.text}" if self.tag else self.text

    def shown(self) -> list[str]:
        """Return the lines for people: with the day. They contain no control character."""
        if not self.tag:
            return [printable(f"{self.at} {self.text}")]
        head = f"{self.at} {self.level} {self.tag}"
        return [printable(f"{head} {text}") for text in (self.text, *(self.trace.split("\n") if self.trace else ()))]

    def in_json(self) -> str:
        """Return the line in the JSON format. A time that does not exist stays as it is."""
        try:
            time = utc(self.at)
        except ValueError:
            time = self.at
        found = JsonLine(time, self.level, _WORDS[self.level], printable(self.tag), printable(self.text), self.id, self.trace or None)
        return msgspec.json.encode(found).decode()


class LogQuery(NamedTuple):
    """Which lines are wanted. All conditions hold together."""

    texts: tuple[str, ...] = ()
    """Each is a part of "TAG text" or of the traceback; upper and lower case are the same."""
    ids: frozenset[int] | None = None
    tag: str = ""
    """The tag, or its part before a bracket: QUEUE is every QUEUE([id])."""
    levels: frozenset[int] = frozenset(range(6))
    since: str = ""
    """As `LogEntry.at`, or the beginning of it."""
    before: str = "~"

    @property
    def needle(self) -> bytes:
        """A part in lower case that every wanted line has, in both formats; empty if none is known."""
        if self.ids is not None and len(self.ids) == 1:
            return f"([{next(iter(self.ids))}])".encode()
        words = re.findall(r'[^\s"\\\x00-\x1f\x7f-\U0010ffff]+', " ".join(self.texts))
        return max(words, key=len, default="").lower().encode()

    def has_day(self, day: str) -> bool:
        """Return whether a file of this day may have wanted lines."""
        return self.ids != frozenset() and self.since[:10] <= day < self.before

    def accepts(self, entry: LogEntry) -> bool:
        if entry.level not in self.levels or not self.since <= entry.at < self.before:
            return False
        if self.ids is not None and entry.id not in self.ids:
            return False
        if self.tag and self.tag.lower() not in (tag := entry.tag.lower(), tag.partition("(")[0]):
            return False
        if not self.texts:
            return True
        whole = f"{entry.tag} {entry.text}\n{entry.trace}".lower()
        return all(text.lower() in whole for text in self.texts)


def parse(line: bytes, day: str) -> LogEntry:
    """Read a line of either format, from a file of this day."""
    if line.startswith(b"{"):
        try:
            found = _decode(line)
            return LogEntry(local(found.time), min(max(found.level, 0), 5), found.tag, found.text, found.traceback or "")
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass
    text = line.decode(errors="backslashreplace")
    match = _LINE.fullmatch(text)
    if match is None:
        return LogEntry(day, 5, "", text)
    return LogEntry(f"{day} {match[1]}", int(match[2]), match[3], match[4])
