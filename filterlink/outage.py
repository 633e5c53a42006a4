"""Since when one filter scans nothing, for the status document, and the two lines of the log about it."""

import logging
import time

from filterlink.config.units import show_seconds
from filterlink.dispatch.mux import Gate
from filterlink.log.complaints import Complaints
from filterlink.wire.frames import StateWord

__all__ = ["Outage"]

MOST_LINES = 10
"""Lines a minute: a server that comes and goes must not fill the log."""
_OUT = ("stalled", "restarting", "failed")


class Outage:
    """Observes the state of a filter."""

    def __init__(self, log: logging.Logger) -> None:
        self._lines = Complaints(log, burst=MOST_LINES)
        self.since: float | None = None
        """Since when the filter scans nothing, in seconds since 1970; None: it scans, or is started for the first time."""
        self._logged = False

    def observe(self, now: float, gate: Gate, word: StateWord) -> None:
        """Note the state of the filter at `now` (loop.now). Log the begin and the end of an outage of its server, or of a stall."""
        if word not in _OUT:
            self._end(word)
            return
        if self.since is None:
            self.since = time.time() - (now - self._since(now, gate, word))
        if self._logged:
            return
        if trouble := gate.availability.trouble:
            self._say(f"unavailable, its messages wait: {trouble}")
        elif word == "stalled":
            self._say(f"stalled: {gate.in_flight} requests are open, and none was answered for {show_seconds(gate.settings.slow_after)}")

    def _since(self, now: float, gate: Gate, word: StateWord) -> float:
        if word == "stalled":
            return now - gate.settings.slow_after
        known = gate.availability.trouble_since or gate.availability.down_since
        return now if known is None else known

    def _say(self, text: str) -> None:
        self._logged = True
        self._lines.say("outage", text)

    def _end(self, word: StateWord) -> None:
        if self.since is not None and self._logged and word == "ready":
            self._lines.say("outage", f"scans again, after {show_seconds(time.time() - self.since)}")
        self.since = None
        self._logged = False
