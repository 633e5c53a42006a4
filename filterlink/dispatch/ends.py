"""Decide what follows from the end of a helper: which messages become suspects, which is charged, which is given up. Pure.

The queue manager charges only messages of the queue. So filterlink gives up a message of a door after a helper ended over it alone,
or after MOST_ENDS helpers ended over it and others. Then the door gets UNAVAILABLE, and `on_failure` applies.
"""

from collections.abc import Callable

from filterlink.dispatch.requests import MuxPort, ScanRequest, Unit
from filterlink.dispatch.slots import Slots
from filterlink.dispatch.suspects import Doubt, Suspects

__all__ = ["MOST_ENDS", "HelperEnds"]

MOST_ENDS = 2
"""Helpers that may end over one message of a door."""


class HelperEnds:
    """The part of a gate that handles the ends of its helpers. `reason` returns why the last one ended."""

    def __init__(self, port: MuxPort, slots: Slots, suspects: Suspects, reason: Callable[[], str]) -> None:
        self.doubt = Doubt()
        self._port = port
        self._slots = slots
        self._suspects = suspects
        self._reason = reason

    def ended(self, now: float, unit: Unit, answered: int, planned: bool) -> list[ScanRequest]:
        """Note that a helper ended, or left as planned. Return the requests that were open in it, some of them `given_up`."""
        lost = list(unit.open.values())
        tried = [request for request in lost if request.tried]
        of_doors = [request for request in tried if request.asked]
        for request in of_doors:
            self._count(request, planned, alone=len(tried) == 1 and not unit.stopped)
        unit.open = {}
        unit.stopped = False
        self._accuse(now, tried, answered, planned)
        for request in of_doors:
            if request.given_up or request.client is None:
                self.acquit(request.id)
        return lost

    def acquit(self, id: int) -> None:
        """Clear a message of suspicion. If its request waits, it now waits as all others do."""
        suspect = self._suspects.drop(id)
        if suspect is not None and suspect.request is not None:
            self._slots.lanes[suspect.request.large].waiting.append(suspect.request)

    def _count(self, request: ScanRequest, planned: bool, *, alone: bool) -> None:
        """Count an end over the message of a door. A planned end counts only if the message was alone and is a suspect."""
        if planned:
            request.given_up = alone and request.id in self._suspects
            return
        request.ends += 1
        request.given_up = alone or request.ends >= MOST_ENDS

    def _accuse(self, now: float, tried: list[ScanRequest], answered: int, planned: bool) -> None:
        """Make these requests suspects, and charge the only one if it is guilty."""
        ids = [request.id for request in tried]
        if planned or not ids:
            self._suspects.left(ids)
            return
        if self._suspects.ended(ids, answered, now) and not tried[0].asked:
            self._port.guilty(tried[0], self._reason())
        for id in self._suspects.surplus():
            away = self._suspects[id].away
            self.acquit(id)
            if away:
                self._port.wake_one(id)
        self.doubt.ended(now, ids)
        self._slots.doubt = True
