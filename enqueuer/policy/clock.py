"""Dates, days and times in conditions and in Hold until. Pure.

date         24 Dec 2026, 24 Dec 2026 18:00, 24 Dec 2026 18:00:00, also 2026-12-24 18:00
day          Mon Tue Wed Thu Fri Sat Sun, or the whole word
time of day  18:00, 18:00:30
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Literal

__all__ = ["key_of", "point", "shown", "until"]

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TIME = r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?"
_CLOCK = re.compile(_TIME)
_DATE = re.compile(rf"([0-9]{{1,2}}) ([A-Za-z]{{3}}) ([0-9]{{4}})(?: {_TIME})?")
_ISO = re.compile(rf"([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}})(?:[ T]{_TIME})?")
ClockKind = Literal["date", "day", "time"]
Key = tuple[int, ...]


def key_of(kind: ClockKind, now: datetime) -> Key:
    """Return what `less than` and `greater than` compare. The week begins on Monday."""
    match kind:
        case "date":
            return now.year, now.month, now.day, now.hour, now.minute, now.second
        case "day":
            return (now.weekday(),)
        case "time":
            return now.hour, now.minute, now.second


def shown(kind: ClockKind, now: datetime) -> Sequence[str]:
    """Return the forms that pictures of `is` and `in` are compared with."""
    match kind:
        case "date":
            day = f"{now.day:02d} {MONTHS[now.month - 1]} {now.year}"
            return day, f"{day} {now:%H:%M}", f"{day} {now:%H:%M:%S}"
        case "day":
            return DAYS[now.weekday()][:3], DAYS[now.weekday()]
        case "time":
            return f"{now:%H:%M}", f"{now:%H:%M:%S}"


def point(kind: ClockKind, text: str) -> Key:
    """Read the parameter of `less than` and `greater than`. Raises ValueError with the cure."""
    match kind:
        case "date":
            return key_of("date", _date(text))
        case "day":
            found = [at for at, day in enumerate(DAYS) if text.strip().casefold() in (day.casefold(), day[:3].casefold())]
            if found:
                return (found[0],)
            raise ValueError(f'"{text}" is not a day: write "Mon" or "Monday"')
        case "time":
            return _clock(text)


def until(text: str) -> Callable[[float, tzinfo | None], float]:
    """Read the time of Hold until: a date, or a time of day (the next one). Return (now, zone) -> seconds since 1970. Raises ValueError."""
    if _CLOCK.fullmatch(text.strip()):
        hour, minute, second = _clock(text)

        def next_one(now: float, zone: tzinfo | None) -> float:
            here = datetime.fromtimestamp(now, zone)
            found = here.replace(hour=hour, minute=minute, second=second, microsecond=0)
            return (found if found > here else found + timedelta(days=1)).timestamp()

        return next_one
    when = _date(text)
    return lambda _now, zone: when.replace(tzinfo=zone).timestamp()


def _clock(text: str) -> Key:
    match = _CLOCK.fullmatch(text.strip())
    if match and int(match[1]) < 24 and int(match[2]) < 60 and int(match[3] or 0) < 60:
        return int(match[1]), int(match[2]), int(match[3] or 0)
    raise ValueError(f'"{text}" is not a time of day: write it as "18:00"')


def _date(text: str) -> datetime:
    text = " ".join(text.split())
    year = month = day = 0
    if match := _DATE.fullmatch(text):
        month = next((at + 1 for at, name in enumerate(MONTHS) if name.casefold() == match[2].casefold()), 0)
        year = int(match[3])
        day = int(match[1])
    elif match := _ISO.fullmatch(text):
        year = int(match[1])
        month = int(match[2])
        day = int(match[3])
    if match and 1970 <= year <= 9000:
        try:
            return datetime(year, month, day, int(match[4] or 0), int(match[5] or 0), int(match[6] or 0))
        except ValueError:
            pass
    raise ValueError(f'"{text}" is not a date: write it as "24 Dec 2026" or "24 Dec 2026 18:00"')
