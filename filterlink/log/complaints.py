"""Log repeated problems: each kind a bounded number of times a minute, for a bounded number of kinds."""

import logging
import time

import msgspec

__all__ = ["COMPLAIN_EACH", "MAX_KINDS", "Complaints"]

COMPLAIN_EACH = 60.0
"""Seconds between two lines of one kind."""
MAX_KINDS = 100
"""Kinds at a time. All others share one more kind, so that names from outside cannot fill the log or our memory."""
OTHERS = "others"


class ComplaintKind(msgspec.Struct):
    """One kind of problem."""

    since: float
    """time.monotonic() of the first line of this minute."""
    lines: int = 0
    unsaid: int = 0
    """How often it occurred since the last line."""


class Complaints:
    """Log each kind of problem at most `burst` times a minute. The first line of the next minute says how many were left out."""

    def __init__(self, log: logging.Logger, level: int = logging.WARNING, burst: int = 1) -> None:
        self._log = log
        self._level = level
        self._burst = burst
        self._kinds: dict[str, ComplaintKind] = {}

    def say(self, about: str, text: str, tag: dict[str, str] | None = None) -> None:
        """Log `text`, unless this kind has had its lines of this minute. `tag` goes to the log record as `extra`."""
        now = time.monotonic()
        kind = self._kind(about, now)
        if now >= kind.since + COMPLAIN_EACH:
            kind.since = now
            kind.lines = 0
        if kind.lines >= self._burst:
            kind.unsaid += 1
            return
        kind.lines += 1
        more = kind.unsaid
        kind.unsaid = 0
        self._log.log(self._level, "%s%s", text, f" ({more} more of this in the last minute)" if more else "", extra=tag)

    def _kind(self, about: str, now: float) -> ComplaintKind:
        if (known := self._kinds.get(about)) is not None:
            return known
        if len(self._kinds) > MAX_KINDS:
            self._kinds = {name: kind for name, kind in self._kinds.items() if now < kind.since + COMPLAIN_EACH or kind.unsaid}
        if len(self._kinds) > MAX_KINDS:
            about = OTHERS
        return self._kinds.setdefault(about, ComplaintKind(now))
