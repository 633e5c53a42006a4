"""One line of the Server Log, from a record of the logging module to the text in the file: `HH:MM:SS.mmm L TAG text`, or JSON."""

import functools
import logging

import msgspec

from enqueuer.log.entries import MESSAGE_TAG, JsonLine
from enqueuer.queue.message.printable import printable
from enqueuer.queue.message.timestamps import rfc3339_ms, time_of_day
from filterlink.config.settings import LEVELS

__all__ = ["Line", "cut", "encodable", "in_json", "line_of", "shown"]

_DIGITS = {level: str(digit) for digit, level in enumerate(LEVELS.values())}
_WORDS = tuple(LEVELS)
MAX_LINE = 8000
"""Characters of one line of the log. A longer line is cut, and says so."""


class Line(msgspec.Struct, array_like=True):
    """The part of a record that travels to the logger."""

    created: float
    level: int
    tag: str
    text: str
    trace: str | None = None


def line_of(record: logging.LogRecord) -> Line:
    tag = getattr(record, "tag", record.name)
    return Line(record.created, record.levelno, tag, encodable(record.getMessage()), record.exc_text and encodable(record.exc_text))


def encodable(text: str) -> str:
    """Escape surrogates: bytes that are not text travel as surrogates in a str, which no encoding accepts."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def shown(line: Line) -> str:
    """Return a line as it appears in the file, with its traceback below it."""
    head = f"{_clock(line.created)} {_digit(line.level)} {line.tag} "
    texts = [line.text, *(line.trace.splitlines() if line.trace else ())]
    return "\n".join(_clean(head + text) for text in texts)


def in_json(line: Line) -> str:
    """Return a line as one JSON object, with its traceback."""
    digit = int(_digit(line.level))
    match = MESSAGE_TAG.fullmatch(line.tag)
    trace = "\n".join(_clean(each) for each in line.trace[-MAX_LINE:].splitlines()) if line.trace else None
    found = JsonLine(
        rfc3339_ms(line.created), digit, _WORDS[digit], _clean(line.tag), _clean(line.text), int(match[1]) if match else None, trace
    )
    return _to_json(found).decode()


_to_json = msgspec.json.Encoder().encode


def _clock(created: float) -> str:
    second, part = divmod(created, 1)
    return f"{time_of_day(int(second))}.{int(part * 1000):03d}"


@functools.cache
def _digit(level: int) -> str:
    return next((digit for at, digit in _DIGITS.items() if level >= at), "5")


def _clean(line: str) -> str:
    text = printable(line)
    return text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]} ... ({len(text) - MAX_LINE} characters more)"


def cut(line: Line) -> Line:
    return Line(line.created, line.level, line.tag, line.text[:MAX_LINE], line.trace and line.trace[:MAX_LINE])
