"""The queue manager's end of its link with the multiplexer: who may ask again, who is to blame, whether work waits."""

import math
import time

from enqueuer.ipc import frames
from enqueuer.manager.blame import Blame
from enqueuer.manager.schedule import Schedule
from filterlink.wire.link import Link

__all__ = ["FilterPeer"]


CROSSED = 1.0
"""Seconds until a message is offered again if its deferral may have crossed a Renewed."""
CROSSED_WITHIN = 3.0
"""Seconds after a Renewed in which older deferrals may still arrive."""


class FilterPeer:
    """The multiplexer, as the queue manager sees it: the one that called last."""

    def __init__(self, schedule: Schedule, blame: Blame) -> None:
        self._schedule = schedule
        self._blame = blame
        self._link: Link | None = None
        self._backpressure = False
        self._renewed: dict[str, float] = {}

    def called(self, link: Link) -> None:
        """Take the link of a new multiplexer. It knows no message, so all parked ones ask again.

        It does not know of an outage before, so all deferred messages are offered again, too.
        """
        self._link = link
        self._backpressure = False
        self._schedule.wake_all()
        self._schedule.hasten({entry.filter for entry in self._schedule.entries.values()}, time.monotonic(), math.inf)
        link.handle(lambda _, frame: self._told(frame), self._lost)

    def press(self, waiting: bool) -> None:
        """Report whether messages wait for a processor, when that changes. While they do, no processor should wait for a slow scan."""
        if waiting is not self._backpressure and self._link is not None:
            self._backpressure = waiting
            self._link.send(frames.encode(frames.Backpressure(waiting)))

    def pause(self, filter: str, now: float, pause: float) -> float:
        """Return the seconds after which a message that this filter deferred is offered again, usually `pause`.

        If the filter has just been renewed, its answer may be older than that: it came late, through a processor.
        """
        return min(pause, CROSSED) if now - self._renewed.get(filter, -math.inf) < CROSSED_WITHIN else pause

    def left(self, id: int) -> None:
        """Report that a message was given up: the multiplexer need not wait for its answer."""
        if self._link is not None:
            self._link.send(frames.encode(frames.Left(id)))

    def _told(self, frame: frames.ToManager) -> None:
        match frame:
            case frames.Wake():
                if frame.id:
                    self._schedule.wake_one(frame.filter, frame.id)
                else:
                    self._schedule.wake(frame.filter, frame.count, large=frame.large)
            case frames.Guilty():
                entry = self._schedule.entries.get(frame.id)
                if entry is not None and entry.n == frame.n:
                    self._blame.guilty(entry, frame.filter, frame.reason)
            case frames.Renewed(filter):
                self._renewed[filter] = time.monotonic()
                self._schedule.hasten({filter}, time.monotonic(), math.inf)
            case _:
                pass

    def _lost(self, link: Link) -> None:
        if self._link is link:
            self._link = None
