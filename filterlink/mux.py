"""The multiplexer of one filter: which request goes to which helper, who is parked, who is overdue. Pure.

It decides; what it decided is done by the Port it was given. No descriptor, process, clock or log may come in here.

A request is in one place at any instant: open in a unit (a helper process), waiting (asked with park = False, or to be
sent again), or gone. A parked message is only a number here: it comes back by itself after a Wake.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from filterlink.frames import Ask, Kind
from filterlink.requests import Port, Request, Unit
from filterlink.settings import Filter
from filterlink.units import show_seconds

__all__ = ["MAX_AGAIN", "MAX_WAITING", "WAKE_AGAIN", "Gate"]

MAX_AGAIN = 3
"""How often a message is sent again to new helpers before it is given up for now: a poison message must not keep a filter
in a restart loop for ever."""
MAX_WAITING = 100_000
"""Requests that wait for a slot; more than any number of processors and test clients asks at once."""
MAX_REMEMBERED = 1000
"""Parked messages of which is known how many helpers ended while they judged them: the most that can be open at once."""
WINDOW = 500
"""Answers over which median and p99 are taken."""
WAKE_AGAIN = 1.0
"""A woken message that has not come back by then counts as lost, and another is woken for its slot."""


class Gate:
    """All requests to one filter. Every call says what happened; the port hears what follows from it."""

    def __init__(self, settings: Filter, port: Port, numbers: Iterator[int], now: float, reason: Callable[[], str]) -> None:
        self.units = [Unit(index) for index in range(settings.instances)]
        self.parked = self.answered = 0
        self.durations: deque[float] = deque(maxlen=WINDOW)
        self.dead = False
        """Not ready for longer than the time-out (or for ever): every Ask is answered UNAVAILABLE at once."""
        self._settings, self._port, self._numbers, self._reason = settings, port, numbers, reason
        self._waiting: deque[Request] = deque()
        self._running: dict[int, Request] = {}
        self._ends: dict[int, int] = {}
        self._down_since: float | None = now
        self._heard = now
        self._coming: deque[float] = deque()  # when each was woken that is not back yet: their slots are spoken for

    # What clients do

    def ask(self, now: float, client: Any, ask: Ask) -> None:
        """A client wants a message judged."""
        if self._attach(client, ask):
            return
        request = Request(client, ask, self._ends.get(ask.id, 0))
        if self._coming:
            self._coming.pop()  # the newest: the oldest is the one that may be lost, and must grow old
        if self.dead:
            self._unavailable(request)
        elif (unit := self._least_loaded()) is not None:
            self._send(now, unit, request)
        elif ask.park:
            self._park(request)
        elif len(self._waiting) < MAX_WAITING:
            self._waiting.append(request)
        else:
            self._port.verdict(request, Kind.UNAVAILABLE, f"{self._name}: {MAX_WAITING} requests are waiting already", ())

    def client_gone(self, client: Any) -> None:
        """Scans that run go on, but nobody waits for their answers."""
        self._waiting = deque(request for request in self._waiting if request.client is not client)
        for unit in self.units:
            for request in unit.open.values():
                if request.client is client:
                    request.client = None

    def evict(self) -> list[Request]:
        """Give up all requests that a client waits for, open ones too: whoever calls has them asked somewhere else."""
        given_up = [request for unit in self.units for request in unit.open.values() if request.client is not None]
        given_up += self._waiting
        for unit in self.units:
            unit.open = {}
        self._waiting.clear()
        self._running.clear()
        return given_up

    @property
    def is_idle(self) -> bool:
        """Nothing is open, and nobody waits here."""
        return not self.in_flight and not self._waiting

    def forget_parked(self) -> None:
        """Whoever was parked comes again without a Wake: who would have woken them is a new one, and wakes them all."""
        self.parked = 0
        self._coming.clear()

    # What helpers do

    def written(self, now: float, unit: int, number: int) -> None:
        """The line of a request went into the helper's pipe: its time begins."""
        if (request := self.units[unit].open.get(number)) is not None:
            request.since, request.tried = now, True

    def reply(self, now: float, unit: int, number: int, kind: Kind, text: str, fields: tuple[bytes, ...]) -> bool:
        """A helper answered; False when the number is not (or no longer) outstanding."""
        request = self.units[unit].open.pop(number, None)
        if request is None:
            return False
        self._forget(request)
        self._ends.pop(request.id, None)
        self.answered += 1
        self._heard = now
        self.durations.append(now - request.since)
        if request.client is not None:
            self._port.verdict(request, kind, text, fields)
        self._advance(now)
        return True

    def ready(self, now: float, unit: int) -> None:
        """The helper has answered INTF."""
        self.units[unit].ready = True
        self._down_since, self.dead = None, False
        self._coming.clear()
        self._advance(now)

    def leaving(self, now: float, unit: int) -> None:
        """The helper is being stopped: it may still answer, but gets nothing more."""
        self.units[unit].ready = False
        if self._down_since is None and not any(each.ready for each in self.units):
            self._down_since = now

    def gone(self, now: float, unit: int, over: bool = False, planned: bool = False) -> None:
        """The helper has ended and all its answers are read. `over`: it is not started again; `planned`: it is no fault."""
        self.leaving(now, unit)
        lost, self.units[unit].open = list(self.units[unit].open.values()), {}
        self.units[unit].over = over
        for request in reversed(lost):
            self._again(request, request.tried and not planned)
        if all(each.over for each in self.units):
            self._give_up(now)
        self._advance(now)

    # What time does

    def tick(self, now: float) -> None:
        """Look who is overdue; wake again those who seem lost."""
        for unit in self.units:
            if unit.ready:
                self._overdue(now, unit)
        if self._down_since is not None and not self.dead and now - self._down_since >= self._settings.timeout:
            self._give_up(now)
        while self._coming and now - self._coming[0] >= WAKE_AGAIN:
            self._coming.popleft()
        self._wake(now)

    # What others want to know

    @property
    def in_flight(self) -> int:
        return sum(len(unit.open) for unit in self.units)

    def stalled(self, now: float) -> bool:
        """Requests are open, and nothing was heard for slow_after."""
        oldest = min((next(iter(unit.open.values())).since for unit in self.units if unit.open), default=math.inf)
        return now - max(oldest, self._heard) > self._settings.slow_after

    @property
    def is_ready(self) -> bool:
        return self._down_since is None

    # How

    @property
    def _name(self) -> str:
        return f'filter "{self._settings.name}"'

    def _attach(self, client: Any, ask: Ask) -> bool:
        """A message asked for again takes over the request that runs for it: nothing is scanned twice."""
        running = self._running.get(ask.id)
        if running is None or (running.n == ask.n and running.client not in (None, client)):
            return False
        running.client, running.n, running.park = client, ask.n, ask.park
        return True

    def _least_loaded(self) -> Unit | None:
        best, load = None, self._settings.max_in_flight
        for unit in self.units:
            if unit.ready and len(unit.open) < load:
                best, load = unit, len(unit.open)
        return best

    def _free(self) -> int:
        return sum(self._settings.max_in_flight - len(unit.open) for unit in self.units if unit.ready)

    def _send(self, now: float, unit: Unit, request: Request) -> None:
        request.number, request.since, request.tried = next(self._numbers), now, False
        unit.open[request.number] = request
        self._running[request.id] = request
        self._port.send(unit.index, request.number, request.id)

    def _forget(self, request: Request) -> None:
        if self._running.get(request.id) is request:
            del self._running[request.id]

    def _advance(self, now: float) -> None:
        """Fill free slots: first those who wait here, then wake the parked."""
        while self._waiting and (unit := self._least_loaded()) is not None:
            self._send(now, unit, self._waiting.popleft())
        if self.parked:
            self._wake(now)

    def _wake(self, now: float) -> None:
        count = self.parked if self.dead else min(self._free() - len(self._coming), self.parked)
        if count > 0:
            self.parked -= count
            if not self.dead:
                self._coming.extend([now] * count)
            self._port.wake(count)

    def _park(self, request: Request) -> None:
        self.parked += 1
        reason = "has no free slot" if self.is_ready else f"is not ready: {self._reason()}"
        self._port.park(request, f"{self._name} {reason}")

    def _again(self, request: Request, charge: bool) -> None:
        """Have a request judged by the next helper, unless too many have ended over it."""
        self._forget(request)
        if request.client is None:
            return
        request.ends += charge
        if request.ends > MAX_AGAIN:
            self._ends.pop(request.id, None)
            text = f"{self._name}: the helper ended {request.ends} times while it judged this message, last: {self._reason()}"
            self._port.verdict(request, Kind.UNAVAILABLE, text, ())
        elif self.dead:
            self._unavailable(request)
        elif not request.park:
            self._waiting.appendleft(request)
        else:  # its processor is needed elsewhere meanwhile; it comes back when the new helper is ready
            if request.ends:
                self._remember(request)
            self._park(request)

    def _remember(self, request: Request) -> None:
        self._ends.pop(request.id, None)
        self._ends[request.id] = request.ends
        if len(self._ends) > MAX_REMEMBERED:
            del self._ends[next(iter(self._ends))]

    def _late(self, now: float, unit: Unit) -> list[Request]:
        """The open requests that are overdue. What was never written is its helper's fault only if nothing stands before it."""
        late: list[Request] = []
        for request in unit.open.values():
            if now - request.since < self._settings.timeout or (late and not request.tried):
                break
            late.append(request)
        return late

    def _overdue(self, now: float, unit: Unit) -> None:
        if not (late := self._late(now, unit)):
            return
        for request in late:
            del unit.open[request.number]
            self._forget(request)
        text = f"{self._name}: no answer within {show_seconds(self._settings.timeout)}"
        self.leaving(now, unit.index)
        self._port.restart(unit.index, text)
        for request in late:
            if request.client is not None:
                self._port.verdict(request, Kind.TIMEOUT, text, (), charge=self._heard > request.since)

    def _give_up(self, now: float) -> None:
        """The filter is not there: whoever waits is told, and the parked come to be told."""
        self.dead = True
        waiting, self._waiting = self._waiting, deque()
        for request in waiting:
            self._unavailable(request)
        self._wake(now)

    def _unavailable(self, request: Request) -> None:
        self._port.verdict(request, Kind.UNAVAILABLE, f"{self._name} is not ready: {self._reason()}", ())
