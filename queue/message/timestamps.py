"""Points of time as text, in each form that the engine writes. The seconds since 1970 are the argument. Pure."""

import functools
from datetime import UTC, datetime

__all__ = ["day", "in_envelopes", "in_headers", "local", "rfc3339", "rfc3339_ms", "time_of_day", "utc"]

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def rfc3339(second: float) -> str:
    """Format a time for JSON documents: `2026-11-24T10:00:00Z`."""
    return datetime.fromtimestamp(int(second), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_ms(second: float) -> str:
    """Format a time for lines of the log in JSON: `2026-11-24T10:00:00.123Z`."""
    whole, part = divmod(second, 1)
    return f"{_utc(int(whole))}.{int(part * 1000):03d}Z"


@functools.lru_cache(maxsize=2)
def _utc(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def local(text: str) -> str:
    """Turn an RFC 3339 time into `2026-11-24 11:00:00.123`, in local time. Raises ValueError, also for a time without a zone."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("no time zone")
    try:
        return found.astimezone().strftime("%Y-%m-%d %H:%M:%S.") + f"{found.microsecond // 1000:03d}"
    except OverflowError as error:
        raise ValueError(str(error)) from None


def utc(text: str) -> str:
    """Turn a local time such as `2026-11-24 11:00:00.123` into RFC 3339: `2026-11-24T10:00:00.123Z`. Raises ValueError."""
    found = datetime.fromisoformat(text)
    try:
        found = found.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from None
    return found.strftime("%Y-%m-%dT%H:%M:%S.") + f"{found.microsecond // 1000:03d}Z"


def in_envelopes(second: float) -> str:
    """Format a time for envelope lines: `24-11-2026 10:00:00`, in UTC."""
    return _in_envelopes(int(second))


@functools.lru_cache(maxsize=1)
def _in_envelopes(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%d-%m-%Y %H:%M:%S")


@functools.lru_cache(maxsize=1)
def in_headers(second: int) -> str:
    """Format a time for header fields (RFC 5322, 3.3): `Sat, 28 Nov 2026 20:17:37 +0000`, in UTC. The locale does not change it."""
    at = datetime.fromtimestamp(second, UTC)
    return f"{DAYS[at.weekday()]}, {at.day:02d} {MONTHS[at.month - 1]} {at.year:04d} {at:%H:%M:%S} +0000"


@functools.lru_cache(maxsize=2)
def time_of_day(second: int) -> str:
    """Format a time for a line of the log: `10:00:00`, in local time."""
    return datetime.fromtimestamp(second).strftime("%H:%M:%S")


@functools.lru_cache(maxsize=2)
def day(second: int) -> str:
    """Format the day that names a file of the log: `2026-11-24`, in local time."""
    return datetime.fromtimestamp(second).strftime("%Y-%m-%d")
