"""Read and show a point of time as people write it: "10m", "14:30", "2026-11-28", "2026-11-28 14:30". Pure."""

import re
from datetime import datetime, timedelta

import typer

from enqueuer.queue.message.printable import printable
from filterlink.config.units import Seconds

__all__ = ["end_of_hold", "span", "then"]

_POINT = re.compile(r"(?:(\d{4}-\d\d-\d\d)|today|yesterday)?[ T]?(?:(\d\d?:\d\d)(:\d\d)?)?", re.ASCII)
MAX_TIME = 1e11
THEN = 'write a duration ("10m", "2h", "3d"), a time ("18:00"), a day ("2026-11-28"), or "2026-11-28 18:00"'
FORM = 'write a duration ("10m", "2h", "3d"), a time ("14:30"), a day ("2026-11-28", "today", "yesterday"), or "2026-11-28 14:30"'


def span(text: str, now: datetime, option: str) -> tuple[str, str]:
    """Return begin and end of the day, minute or second that a text names, in the form of the log. Raises BadParameter.

    `now` and the result are local times. A duration names the point of time that was this long ago. `option` is named in the error.
    """
    try:
        begin, length = _read(text.strip(), now)
        return _stamp(begin), _stamp(begin + length)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{printable(text)!r}: {FORM}", param_hint=option) from None


def then(text: str, now: datetime, option: str) -> float:
    """Return a point of time to come, in seconds since 1970: in a duration ("2h"), at a time ("18:00": today or tomorrow), on a day.

    `now` is a local time. Raises BadParameter; a time that is past is refused.
    """
    text = text.strip()
    try:
        point, _ = _read(text, now)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{printable(text)!r}: {THEN}", param_hint=option) from None
    try:
        if _POINT.fullmatch(text) is None:
            point = now + (now - point)
        elif point <= now and text[:1].isdigit() and "-" not in text:
            point += timedelta(days=1)
        found = point.timestamp()
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{printable(text)!r}: {THEN}", param_hint=option) from None
    if point <= now:
        raise typer.BadParameter(f"{printable(text)!r} is past", param_hint=option)
    return found


def end_of_hold(until: object) -> str:
    """Return the end of a hold for people: local time, or that it has none. A .why may have been changed by hand."""
    if isinstance(until, int | float) and 0 < until < MAX_TIME:
        return datetime.fromtimestamp(until).isoformat(" ", "seconds")
    return "it is released"


def _read(text: str, now: datetime) -> tuple[datetime, timedelta]:
    """Raises ValueError or OverflowError."""
    match = _POINT.fullmatch(text)
    if match is None or not text:
        return now - timedelta(seconds=Seconds.parse(text)), timedelta()
    day = datetime.fromisoformat(match[1]) if match[1] else now.replace(hour=0, minute=0, second=0, microsecond=0)
    if text.startswith("yesterday"):
        day -= timedelta(days=1)
    if match[2] is None:
        return day, timedelta(days=1)
    hour, minute = map(int, match[2].split(":"))
    if match[3] is None:
        return day.replace(hour=hour, minute=minute), timedelta(minutes=1)
    return day.replace(hour=hour, minute=minute, second=int(match[3][1:])), timedelta(seconds=1)


def _stamp(point: datetime) -> str:
    return point.strftime("%Y-%m-%d %H:%M:%S.") + f"{point.microsecond // 1000:03d}"
