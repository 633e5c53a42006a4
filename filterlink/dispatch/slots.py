"""Give the slots of a filter's helpers to requests: which are free, for which lane, and which request is next. Pure."""

import itertools
import math
from collections import deque
from typing import Any

from filterlink.config.settings import Filter
from filterlink.dispatch.requests import Lane, MuxPort, ScanRequest, Unit

__all__ = ["Slots"]


class Slots:
    """The helpers of a filter, and the two lanes that wait for them: small and large messages."""

    def __init__(self, settings: Filter, units: list[Unit], port: MuxPort) -> None:
        self.units = units
        self.lanes = (Lane(), Lane())
        self.large_share = 0.5
        self.doubt = False
        """A helper ended over a request, and the filter has not answered since: each helper gets one request at a time."""
        self._settings = settings
        self._port = port
        self._served = False  # the lane that was served last

    @property
    def open(self) -> list[ScanRequest]:
        """Return the requests that are open in helpers."""
        return [request for unit in self.units for request in unit.open.values()]

    @property
    def oldest(self) -> float:
        """Return since when the oldest open request is open; infinity if there is none."""
        return min((next(iter(unit.open.values())).since for unit in self.units if unit.open), default=math.inf)

    @property
    def waiting(self) -> list[ScanRequest]:
        return [request for lane in self.lanes for request in lane.waiting]

    def take_waiting(self) -> list[ScanRequest]:
        """Remove and return the waiting requests."""
        found = self.waiting
        for lane in self.lanes:
            lane.waiting.clear()
        return found

    def take_asked(self) -> list[ScanRequest]:
        """Remove and return the waiting requests of doors."""
        found = [request for request in self.waiting if request.asked]
        for lane in self.lanes:
            lane.waiting = deque(request for request in lane.waiting if not request.asked)
        return found

    def take_open(self) -> list[ScanRequest]:
        """Remove and return the open requests: their answers are ignored from now on."""
        found = self.open
        for unit in self.units:
            unit.open = {}
        return found

    def client_gone(self, client: Any) -> None:
        """Drop the waiting requests of a client that has ended. Its scans go on, but no client waits for their answers."""
        for request in self.open:
            if request.client is client:
                request.client = None
        for lane in self.lanes:
            lane.waiting = deque(request for request in lane.waiting if request.client is not client)

    def abandon(self, client: Any, id: int) -> None:
        """Drop the waiting requests of a client about one message."""
        for lane in self.lanes:
            for request in [each for each in lane.waiting if each.id == id and each.client is client]:
                lane.waiting.remove(request)

    def take_back(self, request: ScanRequest) -> bool:
        """Take the line of an open request back from its helper. Return False if it is already written."""
        unit = next(unit for unit in self.units if request.number in unit.open)
        if request.tried or not self._port.take_back(unit.index, request.number):
            return False
        del unit.open[request.number]
        return True

    def take_parked(self, old: "Slots") -> None:
        """Take over the parked messages of another filter object."""
        for mine, theirs in zip(self.lanes, old.lanes, strict=True):
            mine.parked = theirs.parked
            theirs.forget()

    def forget_parked(self) -> None:
        """Forget all parked and woken messages."""
        for lane in self.lanes:
            lane.forget()

    def expire(self, before: float) -> None:
        """Give up messages that were woken at or before `before` and are not back."""
        for lane in self.lanes:
            lane.expire(before)

    @property
    def alone(self) -> bool:
        """Return whether no request is open, waiting, parked or woken."""
        return not any(unit.open for unit in self.units) and not any(lane.parked or lane.coming or lane.waiting for lane in self.lanes)

    def least_loaded(self, large: bool) -> Unit | None:
        """Return the helper with the fewest requests, if the lane has a free slot."""
        if large and self.room(large) <= 0:
            return None
        found = None
        fewest = 1 if self.doubt else self._settings.max_in_flight
        for unit in self.units:
            if unit.ready and not unit.kept and len(unit.open) < fewest:
                found = unit
                fewest = len(unit.open)
        return found

    def room(self, large: bool) -> int:
        """Return the free slots of a lane. Large messages get at most their share of all, and never all of two or more."""
        free = sum(max(0, self._width(unit) - len(unit.open)) for unit in self.units)
        if not large or free <= 0:
            return free
        return min(free, self._large_left)

    @property
    def _large_left(self) -> int:
        """Return how many more large messages may be open."""
        slots = self._settings.slots
        most = min(max(1, int(slots * self.large_share)), max(1, slots - 1))
        return most - sum(request.large for request in self.open)

    def next(self) -> tuple[Unit, ScanRequest] | None:
        """Return the next waiting request to send, and its helper. The lanes take turns."""
        if not (self.lanes[0].waiting or self.lanes[1].waiting):
            return None
        for large in (not self._served, self._served):
            waiting = self.lanes[large].waiting
            if waiting and (unit := self.least_loaded(large)) is not None:
                self._served = large
                return unit, waiting.popleft()
        return None

    @property
    def shared(self) -> bool:
        """Return whether doors use the filter now."""
        waiting = (request for lane in self.lanes for request in lane.waiting)
        return any(request.asked for request in itertools.chain(self.open, waiting))

    def wake(self, now: float) -> None:
        """Wake parked messages for the free slots without a woken message. The lanes take turns."""
        small, large = self.lanes
        if small.parked or large.parked:
            free = self.room(False) - len(small.coming) - len(large.coming)
            self._wake(now, self._shares(free, self.room(True) - len(large.coming)))

    def alternate(self, now: float) -> None:
        """Wake one parked message, because a request of a door got a slot. Until the message is here, doors use all slots."""
        small, large = self.lanes
        if (small.parked or large.parked) and len(small.coming) + len(large.coming) < self._settings.slots:
            self._wake(now, self._shares(1, self._large_left - len(large.coming)))

    def _wake(self, now: float, counts: tuple[int, int]) -> None:
        """Wake this many messages of each lane."""
        for which, count in enumerate(counts):
            if count > 0:
                self.lanes[which].parked -= count
                self.lanes[which].coming.extend([now] * count)
                self._port.wake(count, bool(which))

    def _width(self, unit: Unit) -> int:
        """Return how many requests a helper may have open now."""
        if not unit.ready or unit.kept:
            return 0
        return 1 if self.doubt else self._settings.max_in_flight

    def _shares(self, free: int, most_large: int) -> tuple[int, int]:
        """Return how many messages of each lane get the free slots."""
        small = self.lanes[0].parked
        large = min(self.lanes[1].parked, max(0, most_large))
        free = max(0, free)
        if small and large and free == 1:
            self._served = not self._served
            return (0, 1) if self._served else (1, 0)
        of_large = min(large, max(free // 2, free - small))
        return min(small, free - of_large), of_large

    def wake_all(self) -> None:
        """Wake all parked messages."""
        for which, lane in enumerate(self.lanes):
            count = lane.parked
            lane.parked = 0
            if count:
                self._port.wake(count, bool(which))
