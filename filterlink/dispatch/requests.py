"""Define what the multiplexer's gate handles: requests, the helpers in which they are open, and its port. Pure."""

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from filterlink.wire.frames import Ask, FilterAnswer

__all__ = ["WAKE_AGAIN", "Lane", "MuxPort", "ScanRequest", "Unit"]

WAKE_AGAIN = 1.0
"""Seconds after which a woken message that has not come back counts as lost. Then another is woken for its slot."""


class ScanRequest(msgspec.Struct, gc=False, eq=False):
    """A request to scan one message. `client` sent it; None if no client waits for the answer any more."""

    client: Any
    id: int
    n: int
    park: bool
    large: bool
    begun: float
    """When its client asked, most recently."""
    size: int = 0
    """Bytes of the message."""
    asked: bool = False
    """A door asks about the message: it is in Asked/, and the queue manager does not know it."""
    number: int = 0
    since: float = math.inf
    """When its line went into the helper's pipe, or was queued for it."""
    tried: bool = False
    """Its line went into the pipe: the helper may have seen it."""
    woken: bool = False
    """A message of the queue that was woken. It gets the next slot, even if a door has taken the one that it was woken for."""
    ends: int = 0
    """Helpers that ended over this message of a door."""
    given_up: bool = False
    """No other helper gets it: helpers ended over this message of a door."""
    late: bool = False
    """Its client got a Park: the message waits for the answer to this request."""

    @classmethod
    def of(cls, ask: Ask, client: Any, now: float) -> "ScanRequest":
        """Return the request of a client. A request of a door never parks: the queue manager could not wake its message."""
        return cls(client, ask.id, ask.n, ask.park and not ask.asked, ask.large, now, ask.size, ask.asked)

    def attach(self, now: float, client: Any, ask: Ask) -> bool:
        """Give this running request to the client that asks again, so that no message is scanned twice. False: another client has it."""
        if self.n == ask.n and self.client not in (None, client):
            return False
        self.client = client
        self.n = ask.n
        self.park = ask.park and not ask.asked
        self.begun = now
        self.late = False
        return True


class Unit:
    """One helper process as the multiplexer sees it. `open` is in the order of sending: the first request is the oldest."""

    def __init__(self, index: int, *, over: bool = False) -> None:
        self.index = index
        self.ready = False
        self.over = over
        """No helper runs here, and none will be started."""
        self.retiring = False
        """Another helper has replaced it: it only answers its open requests."""
        self.stopped = False
        """It is being restarted because a request was overdue. Its end is not the fault of the other requests."""
        self.kept = False
        """It is reserved for a suspect, and gets no other request."""
        self.trouble = ""
        """What its helper reported about its server; "" = the server answers, or the helper reports nothing."""
        self.open: dict[int, ScanRequest] = {}

    def written(self, now: float, numbers: Iterable[int]) -> None:
        """Note that the lines of these requests went into the helper's pipe: their time begins."""
        for number in numbers:
            if (request := self.open.get(number)) is not None:
                request.since = now
                request.tried = True

    def overdue(self, now: float, limit: Callable[[int], float]) -> list[ScanRequest]:
        """Return the open requests that are overdue. `limit` gives the allowed seconds for a message of this many bytes.

        A request that was never written counts only if no overdue request is before it: else that one is the reason.
        """
        late: list[ScanRequest] = []
        for request in self.open.values():
            if late and not request.tried:
                break
            if now - request.since >= limit(request.size):
                late.append(request)
        return late


class Lane:
    """The waiting line for a slot: parked messages, of which only the number is known, and requests that may not park."""

    def __init__(self) -> None:
        self.parked = 0
        self.coming: deque[float] = deque()
        """The times at which messages were woken that are not back yet: their slots are reserved."""
        self.waiting: deque[ScanRequest] = deque()

    def came(self) -> bool:
        """Note that a message of the queue asks; return whether one was woken.

        It counts as the newest that was woken: the oldest may be lost, and must reach its limit.
        """
        if self.coming:
            self.coming.pop()
            return True
        return False

    def expire(self, before: float) -> None:
        """Give up messages that were woken at or before `before` and are not back."""
        while self.coming and self.coming[0] <= before:
            self.coming.popleft()

    def forget(self) -> None:
        """Forget all parked and woken messages."""
        self.parked = 0
        self.coming.clear()


class MuxPort(Protocol):
    """The orders that a gate gives."""

    def send(self, unit: int, number: int, message: int, asked: bool) -> None: ...
    def take_back(self, unit: int, number: int) -> bool:
        """Take back the line of a request if it is not yet in the helper's pipe; return whether that was possible."""
        ...

    def verdict(self, request: ScanRequest, answer: FilterAnswer) -> None: ...
    def park(self, request: ScanRequest, reason: str, apart: bool = False) -> None: ...
    def wake(self, count: int, large: bool = False) -> None: ...
    def wake_one(self, id: int) -> None: ...
    def guilty(self, request: ScanRequest, reason: str) -> None: ...
    def restart(self, unit: int, reason: str) -> None: ...
    def returned(self) -> None: ...
