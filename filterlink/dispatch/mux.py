"""Multiplex the requests to one filter: choose their helpers, park messages, find overdue requests. Pure.

This module decides; the MuxPort carries the decisions out. No descriptor, process, clock or log may be used here.

A request is in one place at any instant: open in a unit (a helper process), waiting (park = False, or to be sent again), or gone.
Of parked messages only the number is known: a Wake says how many may come back. Suspects and scans for which no processor waits
(`late`) are known by their id, and woken by it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from filterlink.config.settings import Filter
from filterlink.config.units import show_seconds
from filterlink.dispatch.availability import Availability
from filterlink.dispatch.ends import HelperEnds
from filterlink.dispatch.isolation import Trials
from filterlink.dispatch.replies import Desk
from filterlink.dispatch.requests import WAKE_AGAIN, MuxPort, ScanRequest, Unit
from filterlink.dispatch.slots import Slots
from filterlink.dispatch.suspects import Suspects
from filterlink.protocol.protocol import HelperReply
from filterlink.wire.frames import AnswerKind, Ask, FilterAnswer

__all__ = ["Gate"]


class Gate:
    """All requests to one filter. Each call reports an event; the port gets the resulting orders."""

    def __init__(self, settings: Filter, port: MuxPort, numbers: Iterator[int], now: float, reason: Callable[[], str]) -> None:
        self.units = [Unit(index, over=index >= settings.instances) for index in range(2 * settings.instances)]
        """The second half is for helpers that replace those of the first half (filterlink/helpers/pool.py)."""
        self.answered = 0
        self.dead = False
        """Not ready for longer than the time-out, or never started again: each Ask is answered UNAVAILABLE at once."""
        self.failing = False
        """For longer than the time-out helpers ended over different messages, and answered none: each gets one request at a time."""
        self.backpressure = False
        """Other work waits for the processors: a scan past its grace goes on without a processor."""
        self.slots = Slots(settings, self.units, port)
        self.settings = settings
        self._port = port
        self._numbers = numbers
        self._reason = reason
        self._running: dict[int, ScanRequest] = {}
        self._suspects = Suspects()
        self._desk = Desk(settings, port, self.slots, self._suspects, reason)
        self.pace = self._desk.pace
        self._kept = self._desk.kept
        self._trials = Trials(self._suspects, self.units, port)
        self.availability = Availability(self.units, now)
        self._ends = HelperEnds(port, self.slots, self._suspects, lambda: f"{self._desk.name}: {reason()}")
        self._heard = now

    # Events of clients

    def ask(self, now: float, client: Any, ask: Ask) -> None:
        """Handle a client's request to scan a message."""
        if self._kept and self._desk.answer_kept(now, client, ask):
            return
        if (running := self._running.get(ask.id)) is None or not running.attach(now, client, ask):
            self._admit(now, ScanRequest.of(ask, client, now))
        if self.backpressure and self.stalled(now):
            self._set_aside(now)

    def client_gone(self, client: Any) -> None:
        """Forget a client that has ended. Its scans go on, but no client waits for their answers."""
        self.slots.client_gone(client)
        self._suspects.client_gone(client)

    def abandon(self, now: float, client: Any, id: int) -> None:
        """Drop a request whose door needs no answer. If a helper already has the line, it scans the message, and its answer is dropped."""
        self.slots.abandon(client, id)
        self._suspects.abandon(client, id)
        request = self._running.get(id)
        if request is not None and request.client is client:
            request.client = None
            if self.slots.take_back(request):
                self._forget(request)
                self._suspects.drop(id)
        self._advance(now)

    def evict(self) -> list[ScanRequest]:
        """Give up all requests, open ones too. Return those for which a client waits: the caller redirects them."""
        given_up = [*self.slots.take_open(), *self.slots.take_waiting(), *self._suspects.take_waiting()]
        self._running.clear()
        for request in given_up:
            if request.late:
                self._port.wake_one(request.id)
        return [request for request in given_up if request.client is not None]

    def release(self) -> None:
        """Wake all parked messages."""
        self.slots.wake_all()
        for id in self._suspects.take_away():
            self._port.wake_one(id)

    def forget_parked(self) -> None:
        """Forget all parked messages: the queue manager is a new process, and has all messages ask again without a Wake."""
        self.slots.forget_parked()
        self._suspects.take_away()
        self._trials.forget()
        for request in self.slots.open:
            request.late = False

    def take_parked(self, now: float, old: "Gate") -> None:
        """Take over the messages that are parked under the old settings. If no helper is ready yet, its time-out begins."""
        self.slots.take_parked(old.slots)
        old.release()
        if not self.is_ready:
            self.availability.down_since = now
            self.dead = all(unit.over for unit in self.units)
        if self.dead:
            self._give_up()
        self._advance(now)

    def left(self, id: int) -> None:
        """Forget a message that has left the queue and asks no more."""
        self._ends.acquit(id)
        self._kept.take(id)

    # Events of helpers

    def replies(self, now: float, unit: int, replies: Sequence[HelperReply]) -> list[HelperReply]:
        """Handle answers of a helper. Return the replies whose numbers are not (or no longer) outstanding."""
        open = self.units[unit].open
        unknown = list[HelperReply]()
        for reply in replies:
            if (request := open.pop(reply.number, None)) is None:
                unknown.append(reply)
                continue
            self._forget(request)
            if self._suspects or self._suspects.leaves:
                self._ends.acquit(request.id)
            self.pace.add(now - request.since)
            self.availability.answered(self.units[unit], reply.answer.kind)
            self._desk.answer(request, reply)
        if known := len(replies) - len(unknown):
            self.answered += known
            self._heard = now
            self._ends.doubt.answered()
            self.slots.doubt = self.failing = False
            self._advance(now)
        return unknown

    def ready(self, now: float, unit: int) -> None:
        """Note that the helper has answered INTF."""
        self.units[unit].ready = True
        self.units[unit].over = False
        self.availability.ready(now)
        self.dead = False
        self.slots.expire(now)
        self._advance(now)

    def server(self, now: float, unit: int, trouble: str) -> None:
        """Handle a helper's report about its server; "" = the server answers."""
        self.availability.report(now, self.units[unit], trouble)
        self._advance(now)

    def retire(self, now: float, unit: int) -> None:
        """Retire a helper whose replacement is ready: it answers its open requests, and gets no more."""
        self.units[unit].retiring = True
        self.leaving(now, unit)

    def leaving(self, now: float, unit: int) -> None:
        """Note that the helper is being stopped: it may still answer, but gets no more requests."""
        self.units[unit].ready = False
        self.units[unit].trouble = ""
        self.availability.leaving(now)

    def gone(self, now: float, unit: int, over: bool = False, planned: bool = False) -> None:
        """Handle the end of a helper, whose answers were all read. `over`: it is not started again; `planned`: its end is not a fault."""
        self.leaving(now, unit)
        lost = self._ends.ended(now, self.units[unit], self.answered, planned)
        self.units[unit].over = over
        self.units[unit].retiring = False
        for request in reversed(lost):
            self._again(now, request)
        if all(each.over for each in self.units):
            self.dead = True
            self._give_up()
        self._advance(now)

    # Time

    def tick(self, now: float) -> None:
        """Handle overdue requests, and wake others in place of woken messages that have not come."""
        for unit in self.units:
            if unit.ready or unit.retiring:
                self._overdue(now, unit)
        if not self.dead and self._past(now, self.availability.down_since):
            self.dead = True
            self._give_up()
        if self.availability.absent(now):
            for request in self.slots.take_asked():
                self._unavailable(request)
        if not self.failing and self._ends.doubt.over_many and self._past(now, self._ends.doubt.since):
            self.failing = True
            self._give_up()
        self.slots.expire(now - WAKE_AGAIN)
        self._trials.expire(now - WAKE_AGAIN)
        self._set_aside(now)
        if self.backpressure:
            self._desk.park_woken(now)
        self._advance(now)

    # State

    @property
    def in_flight(self) -> int:
        return sum(len(unit.open) for unit in self.units)

    @property
    def parked(self) -> int:
        """Return the number of messages that wait for this filter without a processor."""
        late = sum(request.late for request in self.slots.open)
        return sum(lane.parked for lane in self.slots.lanes) + self._suspects.away + late

    @property
    def is_idle(self) -> bool:
        """Return whether no request is open or waiting."""
        return not (self.slots.open or self.slots.waiting or self._suspects.waiting)

    @property
    def is_ready(self) -> bool:
        return self.availability.down_since is None

    def stalled(self, now: float) -> bool:
        """Return whether requests are open, but the filter has not answered for slow_after."""
        return now - max(self.slots.oldest, self._heard) > self.settings.slow_after

    # Internals

    def _past(self, now: float, since: float | None) -> bool:
        return since is not None and now - since >= self.settings.timeout

    def _admit(self, now: float, request: ScanRequest) -> None:
        """Send a new request, park it, or let it wait."""
        if request.id in self._suspects and not self.failing:
            unit = self._trials.unit_for(request.id)
        else:
            request.woken = not request.asked and self.slots.lanes[request.large].came()
            unit = self.slots.least_loaded(request.large)
        if self.dead or (self.failing and unit is None) or (request.asked and self.availability.absent(now)):
            self._unavailable(request)
        elif unit is not None:
            self._send(now, unit, request)
        else:
            self._desk.wait(request, self.is_ready)
            self._advance(now)

    def _send(self, now: float, unit: Unit, request: ScanRequest) -> None:
        request.number = next(self._numbers)
        request.since = now
        request.tried = False
        unit.open[request.number] = request
        self._running[request.id] = request
        self._port.send(unit.index, request.number, request.id, request.asked)
        if request.asked:
            self.slots.alternate(now)

    def _forget(self, request: ScanRequest) -> None:
        if self._running.get(request.id) is request:
            del self._running[request.id]

    def _advance(self, now: float) -> None:
        """Fill free slots: first with a suspect's trial, then with waiting requests; then wake parked messages."""
        if self._trials.going_on and (trial := self._trials.advance(now, self.answered, self.slots.alone)) is not None:
            self._send(now, *trial)
        while (pair := self.slots.next()) is not None:
            self._send(now, *pair)
        self.slots.wake(now)
        if self.availability.returns(now):
            self._port.returned()

    def _set_aside(self, now: float) -> None:
        if self.backpressure:
            self._desk.set_aside(now, self.slots.open, self.stalled(now))

    def _again(self, now: float, request: ScanRequest) -> None:
        """Have the next helper scan the message of a request."""
        self._forget(request)
        if request.client is None and not request.late:
            return
        if request.given_up:
            self._desk.unavailable(request, "ended over this message")
        elif self.dead or (request.id in self._suspects and self._past(now, self._ends.doubt.since)):
            self._unavailable(request)
        else:
            self._desk.wait(request, self.is_ready, first=True)

    def _overdue(self, now: float, unit: Unit) -> None:
        if not (late := unit.overdue(now, self.settings.limit)):
            return
        for request in late:
            del unit.open[request.number]
            self._forget(request)
            self._ends.acquit(request.id)  # it ended no helper; scanned beside others, it shows whether they are answered
        text = f"{self._desk.name}: no answer within {show_seconds(self.settings.limit(late[0].size))}"
        self.leaving(now, unit.index)
        unit.retiring = False
        unit.stopped = True
        self._port.restart(unit.index, text)
        for request in late:
            others = self._heard > request.since
            self.availability.overdue(others)
            self._desk.tell(request, FilterAnswer(AnswerKind.TIMEOUT, text, (), others))

    def _give_up(self) -> None:
        """Answer all waiting requests UNAVAILABLE, and wake the parked messages for the same answer."""
        for request in [*self.slots.take_waiting(), *self._suspects.take_waiting()]:
            self._unavailable(request)
        self.release()

    def _unavailable(self, request: ScanRequest) -> None:
        self.availability.unavailable()
        self._desk.unavailable(request, "is not ready" if self.dead or not self.is_ready else "ends over its requests")
