"""Whether a filter can scan, since when it cannot, and when the messages that it deferred may come back. Pure.

A filter cannot scan while no helper is ready, or while each ready helper has reported that its server does not answer. When it
can scan again, the messages that it deferred are offered again at once. A server that fails and recovers again and again must not get
all of them each time. So the pause before the next return doubles until the filter has answered about a message.
"""

import math
from collections.abc import Sequence

from filterlink.dispatch.refusals import SCANNED
from filterlink.dispatch.requests import Unit
from filterlink.wire.frames import AnswerKind

__all__ = ["DOOR_PATIENCE", "MAX_PAUSE", "Availability"]

MAX_PAUSE = 60.0
"""Seconds at most between two returns."""
DOOR_PATIENCE = 10.0
"""Seconds without a ready helper after which doors get UNAVAILABLE. A restart takes a few seconds, and the MTA tries again later."""


class Availability:
    """The part of a gate that knows about outages. Times are seconds of the gate's clock."""

    def __init__(self, units: Sequence[Unit], now: float) -> None:
        self._units = units
        self.down_since: float | None = now
        """Since when no helper is ready; None: one is."""
        self.trouble_since: float | None = None
        """Since when there is trouble; None: there is none."""
        self._owed = False
        """Messages were deferred because the filter could not scan. They return when it can."""
        self._hung = False
        """Messages were deferred because the filter answered none of them. They return when it answers one."""
        self._returns = 0
        """Returns since the filter last answered about a message."""
        self._not_before = -math.inf

    @property
    def trouble(self) -> str:
        """Return what is wrong with the servers of the helpers; "" while one of them answers, or while no helper is ready."""
        return "" if self.serves else next((unit.trouble for unit in self._units if unit.ready), "")

    @property
    def serves(self) -> bool:
        """Return whether a helper is ready whose server answers, as far as the helper has reported."""
        return any(unit.ready and not unit.trouble for unit in self._units)

    def absent(self, now: float) -> bool:
        """Return whether the patience of doors is over: no helper has been ready for DOOR_PATIENCE."""
        return self.down_since is not None and now - self.down_since >= DOOR_PATIENCE

    def report(self, now: float, unit: Unit, trouble: str) -> None:
        """Note a helper's report about its server; "" = the server answers."""
        unit.trouble = trouble
        self._look(now)

    def leaving(self, now: float) -> None:
        """Note that a helper is not ready any more."""
        if self.down_since is None and not any(unit.ready for unit in self._units):
            self.down_since = now
        self._look(now)

    def ready(self, now: float) -> None:
        """Note that a helper is ready."""
        self.down_since = None
        self._look(now)

    def unavailable(self) -> None:
        """Note that a message is deferred because no helper is ready."""
        self._owed = True

    def overdue(self, others: bool) -> None:
        """Note that a message was not answered in time. `others`: the filter answered other messages in that time."""
        self._hung = self._hung or not others

    def answered(self, unit: Unit, kind: AnswerKind) -> None:
        """Note an answer of a helper about a message."""
        if kind in SCANNED:
            self._returns = 0
            self._owed = self._owed or self._hung
            self._hung = False
        elif unit.trouble:
            self._owed = True

    def returns(self, now: float) -> bool:
        """Return whether the deferred messages are to be offered again now. If it returns True, this return counts as done."""
        if not self._owed or not self.serves or now < self._not_before:
            return False
        self._owed = False
        self._not_before = now + min(MAX_PAUSE, 2.0**self._returns - 1)
        self._returns = min(self._returns + 1, 10)
        return True

    def _look(self, now: float) -> None:
        if not self.trouble:
            self.trouble_since = None
        elif self.trouble_since is None:
            self.trouble_since = now
            self._owed = True
