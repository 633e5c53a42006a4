"""What the multiplexer's gate handles: requests, the helpers they are open in, and whom it tells. Pure."""

import math
from typing import Any, Protocol

from filterlink.frames import Ask, Kind

__all__ = ["Port", "Request", "Unit"]


class Request:
    """One message to be judged. `client` is who asked; None when nobody waits for the answer any more."""

    __slots__ = ("client", "ends", "id", "n", "number", "park", "since", "tried")

    def __init__(self, client: Any, ask: Ask, ends: int) -> None:
        self.client, self.id, self.n, self.park = client, ask.id, ask.n, ask.park
        self.number = 0
        self.since = math.inf  # when its line went into the helper's pipe, or was queued for it
        self.tried = False  # its line went into the pipe: the helper may have seen it
        self.ends = ends  # how many helpers ended while they judged it


class Unit:
    """One helper process as the multiplexer sees it; `open` is in the order of sending, so its first is the oldest."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.ready = False
        self.over = False
        self.open: dict[int, Request] = {}


class Port(Protocol):
    """What the multiplexer has done by others."""

    def send(self, unit: int, number: int, message: int) -> None: ...
    def verdict(self, request: Request, kind: Kind, text: str, fields: tuple[bytes, ...], charge: bool = False) -> None: ...
    def park(self, request: Request, reason: str) -> None: ...
    def wake(self, count: int) -> None: ...
    def restart(self, unit: int, reason: str) -> None: ...
