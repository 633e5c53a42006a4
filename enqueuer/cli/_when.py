"""Read a point of time as people write it: "10m", "14:30", "2026-11-28", "2026-11-28 14:30". Pure."""

import re
from datetime import datetime, timedelta

import typer

from enqueuer.queue.message.printable import printable
from filterlink.config.units import Seconds

__all__ = ["span"]

_POINT = re.compile(r"(?:(\d{4}-\d\d-\d\d)|today|yesterday)?[ T]?(?:(\d\d?:\d\d)(:\d\d)?)?", re.ASCII)
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
