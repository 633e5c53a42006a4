"""What the multiplexer's gate handles: requests, the helpers they are open in, and whom it tells. Pure."""

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from filterlink.wire.frames import FilterAnswer

__all__ = ["WAKE_AGAIN", "Lane", "MuxPort", "ScanRequest", "Unit"]

WAKE_AGAIN = 1.0
"""A woken message that has not come back by then counts as lost, and another is woken for its slot."""


class ScanRequest(msgspec.Struct, gc=False, eq=False):
    """One message to be judged. `client` is who asked; None when nobody waits for the answer any more."""

    client: Any
    id: int
    n: int
    park: bool
    large: bool
    asked: float
    size: int = 0
    """Bytes of the message."""
    number: int = 0
    since: float = math.inf
    """When its line went into the helper's pipe, or was queued for it."""
    tried: bool = False
    """Its line went into the pipe: the helper may have seen it."""
    late: bool = False
    """Its client was told to park: the message waits for this very answer."""


class Unit:
    """One helper process as the multiplexer sees it; `open` is in the order of sending, so its first is the oldest."""

    def __init__(self, index: int, *, over: bool = False) -> None:
        self.index = index
        self.ready = False
        self.over = over
        """None runs here, and none is started."""
        self.retiring = False
        """Another has taken its place: it may answer what it has."""
        self.kept = False
        """For a suspect: it gets nothing else."""
        self.open: dict[int, ScanRequest] = {}

    def written(self, now: float, numbers: Iterable[int]) -> None:
        """The lines of these requests went into the helper's pipe: their time begins."""
        for number in numbers:
            if (request := self.open.get(number)) is not None:
                request.since = now
                request.tried = True

    def overdue(self, now: float, limit: Callable[[int], float]) -> list[ScanRequest]:
        """The open requests that are overdue; `limit` says after how many seconds one of so many bytes is.

        What was never written is the helper's fault only if nothing stands before it.
        """
        late: list[ScanRequest] = []
        for request in self.open.values():
            if late and not request.tried:
                break
            if now - request.since >= limit(request.size):
                late.append(request)
        return late


class Lane:
    """Who waits for a slot: parked messages, of which only the number is known, and requests that may not park."""

    def __init__(self) -> None:
        self.parked = 0
        self.coming: deque[float] = deque()
        """When each was woken that is not back yet: their slots are spoken for."""
        self.waiting: deque[ScanRequest] = deque()

    def came(self) -> None:
        """One is back: the newest, as the oldest is the one that may be lost, and must grow old."""
        if self.coming:
            self.coming.pop()

    def expire(self, before: float) -> None:
        """Who was woken before that is lost."""
        while self.coming and self.coming[0] <= before:
            self.coming.popleft()

    def forget(self) -> None:
        """Nobody is parked, nobody comes."""
        self.parked = 0
        self.coming.clear()


class MuxPort(Protocol):
    """What the multiplexer has done by others."""

    def send(self, unit: int, number: int, message: int) -> None: ...
    def verdict(self, request: ScanRequest, answer: FilterAnswer) -> None: ...
    def park(self, request: ScanRequest, reason: str, apart: bool = False) -> None: ...
    def wake(self, count: int, large: bool = False) -> None: ...
    def wake_one(self, id: int) -> None: ...
    def guilty(self, request: ScanRequest, reason: str) -> None: ...
    def restart(self, unit: int, reason: str) -> None: ...
