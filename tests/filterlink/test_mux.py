"""Demands on the multiplexer's decisions, on a clock of the test's own; the port writes down what it is told."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from filterlink.frames import Ask, Kind
from filterlink.mux import MAX_AGAIN, Gate
from filterlink.requests import Request
from filterlink.settings import Filter
from filterlink.units import Seconds

Gates = Callable[..., tuple[Gate, "Book"]]


class Book:
    """A port that only writes down."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int, int]] = []
        self.verdicts: list[tuple[Any, int, int, Kind]] = []
        self.parks: list[int] = []
        self.wakes: list[int] = []
        self.restarts: list[int] = []
        self.text = ""
        self.told: Callable[[Request], None] = lambda _: None

    def send(self, unit: int, number: int, message: int) -> None:
        self.sent.append((unit, number, message))

    def verdict(self, request: Request, kind: Kind, text: str, fields: tuple[bytes, ...], charge: bool = False) -> None:
        self.verdicts.append((request.client, request.id, request.n, kind))
        self.text = text
        self.told(request)

    def park(self, request: Request, reason: str) -> None:
        self.parks.append(request.id)
        self.told(request)

    def wake(self, count: int) -> None:
        self.wakes.append(count)

    def restart(self, unit: int, reason: str) -> None:
        self.restarts.append(unit)


def make(ready: bool = True, **values: Any) -> tuple[Gate, Book]:
    book = Book()
    settings = Filter(name="F", program="x", **({"timeout": Seconds(10), "max_in_flight": 2} | values))
    gate = Gate(settings, book, itertools.count(1), 0.0, lambda: "broken")
    if ready:
        for unit in range(settings.instances):
            gate.ready(0.0, unit)
    return gate, book


def ask(id: int, n: int = 1, park: bool = True) -> Ask:
    return Ask(id, n, "F", False, 1, park)


def test_slots_then_parking() -> None:
    """As many are sent as there are slots; the next is parked, and woken when a slot is free."""
    gate, book = make()
    for id in (1, 2, 3):
        gate.ask(1.0, "c", ask(id))
    gate.reply(2.0, 0, 2, Kind.DISCARD, "", ())

    assert book.sent == [(0, 1, 1), (0, 2, 2)]
    assert (book.parks, book.wakes, gate.parked) == ([3], [1], 0)
    assert book.verdicts == [("c", 2, 1, Kind.DISCARD)]


def test_who_may_not_park_waits_first() -> None:
    """park = False waits here, and gets the free slot before any parked message."""
    gate, book = make(max_in_flight=1)
    gate.ask(1.0, "c", ask(1))
    gate.ask(1.0, "c", ask(2))
    gate.ask(1.0, "c", ask(3, park=False))
    gate.reply(2.0, 0, 1, Kind.OK, "", ())

    assert [message for _, _, message in book.sent] == [1, 3]
    assert book.wakes == []


def test_no_more_are_woken_than_there_are_slots() -> None:
    """Those on their way count; those that never come are given up after a second."""
    gate, book = make()
    for id in range(1, 11):
        gate.ask(1.0, "c", ask(id))
    gate.reply(2.0, 0, 1, Kind.OK, "", ())
    gate.reply(2.1, 0, 2, Kind.OK, "", ())
    assert book.wakes == [1, 1]
    gate.tick(2.5)
    assert book.wakes == [1, 1]
    gate.tick(3.2)
    assert book.wakes == [1, 1, 2]


def test_not_ready() -> None:
    """Before the helper is ready messages are parked; then as many are woken as there are slots."""
    gate, book = make(ready=False)
    for id in (1, 2, 3):
        gate.ask(1.0, "c", ask(id))
    gate.ready(2.0, 0)

    assert (book.sent, book.parks, book.wakes) == ([], [1, 2, 3], [2])


def test_away_for_too_long() -> None:
    """After the time-out everybody is told, at once from then on, with the reason, until it is ready again."""
    gate, book = make(ready=False)
    gate.ask(1.0, "c", ask(1))
    gate.ask(1.0, "c", ask(2, park=False))
    gate.tick(10.0)
    gate.ask(11.0, "c", ask(1, n=2))

    assert book.verdicts == [("c", 2, 1, Kind.UNAVAILABLE), ("c", 1, 2, Kind.UNAVAILABLE)]
    assert (book.wakes, gate.parked, "broken" in book.text) == ([1], 0, True)
    gate.ready(12.0, 0)
    gate.ask(12.0, "c", ask(3))
    assert book.sent == [(0, 1, 3)]


def test_overdue() -> None:
    """The overdue request is told, the helper restarted; its neighbour goes to the new one with its time beginning anew."""
    gate, book = make()
    gate.ask(1.0, "c", ask(1, park=False))
    gate.ask(5.0, "c", ask(2, park=False))
    gate.tick(11.0)
    assert (book.verdicts, book.restarts) == ([("c", 1, 1, Kind.TIMEOUT)], [0])
    gate.tick(16.0)
    gate.gone(16.0, 0)
    gate.ready(17.0, 0)
    gate.tick(26.0)

    assert book.sent[2:] == [(0, 3, 2)]
    assert len(book.verdicts) == 1


def test_late_and_double_answers_count_for_nothing() -> None:
    """A number that is not outstanding is refused."""
    gate, book = make()
    gate.ask(1.0, "c", ask(1))

    assert gate.reply(2.0, 0, 1, Kind.OK, "", ()) is True
    assert gate.reply(2.0, 0, 1, Kind.ERROR, "", ()) is False
    assert gate.reply(2.0, 0, 99, Kind.ERROR, "", ()) is False
    assert len(book.verdicts) == 1


@pytest.mark.parametrize("park", [True, False])
def test_poison(park: bool) -> None:
    """A message over which helper after helper ends is UNAVAILABLE at last; one that was never written is not charged."""
    gate, book = make()
    for round in range(MAX_AGAIN + 1):
        gate.ask(1.0, "c", ask(1, n=round, park=park)) if park or not round else None
        gate.ask(1.0, "c", ask(2, n=round, park=park)) if park or not round else None
        poison = next(number for _, number, message in reversed(book.sent) if message == 1)
        gate.written(1.0, 0, poison)
        gate.gone(2.0, 0)
        gate.ready(2.0, 0)

    assert [(id, kind) for _, id, _, kind in book.verdicts] == [(1, Kind.UNAVAILABLE)]


def test_a_client_that_left() -> None:
    """Its scan goes on for nobody; who asks for the message again takes it over, and is the only one to be told."""
    gate, book = make()
    gate.ask(1.0, "old", ask(1))
    gate.client_gone("old")
    gate.ask(2.0, "new", ask(1, n=2))
    gate.reply(3.0, 0, 1, Kind.OK, "", ())

    assert book.sent == [(0, 1, 1)]
    assert book.verdicts == [("new", 1, 2, Kind.OK)]


def test_nobody_is_told_of_a_lost_scan_of_nobody() -> None:
    """The scan of a client that left is not repeated when its helper ends."""
    gate, book = make()
    gate.ask(1.0, "old", ask(1, park=False))
    gate.client_gone("old")
    gate.gone(2.0, 0)
    gate.ready(3.0, 0)

    assert (len(book.sent), book.verdicts) == (1, [])


def test_least_loaded_first() -> None:
    """The next message goes to the helper with the fewest."""
    gate, book = make(instances=2)
    for id in range(1, 5):
        gate.ask(1.0, "c", ask(id))

    assert [unit for unit, _, _ in book.sent] == [0, 1, 0, 1]


def test_never_written_is_never_overdue() -> None:
    """A line that waits behind one which the helper has not read is no fault of its message: it goes to the next helper."""
    gate, book = make()
    gate.ask(1.0, "c", ask(1, park=False))
    gate.ask(1.0, "c", ask(2, park=False))
    gate.written(1.0, 0, 1)
    gate.tick(11.0)

    assert book.verdicts == [("c", 1, 1, Kind.TIMEOUT)]
    gate.gone(12.0, 0)
    gate.ready(12.0, 0)
    assert book.sent[2:] == [(0, 3, 2)]


def test_given_up_while_its_helper_is_being_stopped() -> None:
    """Who is still open in a helper that takes longer than the time-out to end is told as soon as it has."""
    gate, book = make()
    for id, park in ((1, False), (2, True)):
        gate.ask(5.0, "c", ask(id, park=park))
    gate.leaving(6.0, 0)
    gate.tick(16.0)
    gate.gone(17.0, 0)

    assert [(id, kind) for _, id, _, kind in book.verdicts] == [(2, Kind.UNAVAILABLE), (1, Kind.UNAVAILABLE)]
    assert (book.parks, gate.parked) == ([], 0)


def test_lost_wakes_are_made_good_under_load() -> None:
    """A woken message that never comes does not keep its slot for ever, though others are woken and come all the time."""
    gate, book = make()
    for id in range(1, 40):
        gate.ask(0.0, "c", ask(id))
    gate.reply(0.0, 0, 1, Kind.OK, "", ())  # the one that is woken for it never comes
    for step in range(1, 21):
        now = step / 10
        gate.reply(now, 0, next(iter(gate.units[0].open)), Kind.OK, "", ())
        gate.ask(now, "c", ask(100 + step))
        gate.tick(now)

    assert sum(book.wakes) == 21 + 2  # each second another is woken in its place, and none of these comes either


def test_another_manager() -> None:
    """A new queue manager lets all ask again: those that were parked are not woken a second time."""
    gate, book = make(ready=False)
    gate.ask(1.0, "c", ask(1))
    gate.forget_parked()
    gate.ready(2.0, 0)

    assert (gate.parked, book.wakes) == (0, [])


def test_over_for_good() -> None:
    """Once no helper will be started again everybody is told at once."""
    gate, book = make()
    gate.ask(1.0, "c", ask(1, park=False))
    gate.gone(2.0, 0, over=True)
    gate.ask(3.0, "c", ask(2))

    assert [(id, kind) for _, id, _, kind in book.verdicts] == [(1, Kind.UNAVAILABLE), (2, Kind.UNAVAILABLE)]


def test_numbers_never_repeat() -> None:
    """A request that is sent again gets a new number."""
    gate, book = make()
    gate.ask(1.0, "c", ask(1, park=False))
    gate.gone(2.0, 0)
    gate.ready(3.0, 0)

    assert book.sent == [(0, 1, 1), (0, 2, 1)]


def test_stalled() -> None:
    """Requests open and nothing heard for slow_after."""
    gate, _ = make(slow_after=Seconds(5))
    assert gate.stalled(100.0) is False
    gate.ask(100.0, "c", ask(1))
    assert (gate.stalled(104.0), gate.stalled(106.0)) == (False, True)


class AnyOrder(RuleBasedStateMachine):
    """Whatever helpers, clients and the clock do: each question gets one answer, a park or a verdict, and none is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.book = make(instances=2)
        self.now = 0.0
        self.asked = 0
        self.up = {0, 1}

    @rule(park=st.booleans())
    def ask(self, park: bool) -> None:
        self.asked += 1
        self.gate.ask(self.now, "c", ask(self.asked, park=park))

    @rule(unit=st.integers(0, 1), choice=st.integers(0, 3), kind=st.sampled_from([Kind.OK, Kind.ERROR, Kind.FAILURE]))
    def reply(self, unit: int, choice: int, kind: Kind) -> None:
        numbers = list(self.gate.units[unit].open) or [0]
        self.gate.reply(self.now, unit, numbers[choice % len(numbers)], kind, "", ())

    @rule(unit=st.integers(0, 1), planned=st.booleans())
    def end(self, unit: int, planned: bool) -> None:
        for number in list(self.gate.units[unit].open):
            self.gate.written(self.now, unit, number)
        self.gate.gone(self.now, unit, planned=planned)

    @rule(unit=st.integers(0, 1))
    def start(self, unit: int) -> None:
        if not self.gate.units[unit].ready and not self.gate.units[unit].open:
            self.gate.ready(self.now, unit)

    @rule(seconds=st.sampled_from([0.1, 2.0, 6.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.gate.tick(self.now)

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        answered = [id for _, id, _, _ in self.book.verdicts] + self.book.parks
        assert len(answered) == len(set(answered))
        assert len(answered) + self.gate.in_flight + len(self.gate._waiting) == self.asked

    @invariant()
    def the_parked_are_counted(self) -> None:
        assert self.gate.parked + sum(self.book.wakes) == len(self.book.parks)

    @invariant()
    def no_helper_has_too_many(self) -> None:
        assert all(len(unit.open) <= 2 for unit in self.gate.units)

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        """Beside a free slot, or for a filter that was given up."""
        assert not self.gate._waiting or (self.gate._least_loaded() is None and not self.gate.dead)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = profile(max_examples=60, stateful_step_count=40, deadline=None)


class Crowd(RuleBasedStateMachine):
    """Clients that leave and messages that are dispatched anew: each asker that still waits is told once, and nobody else."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.book = make(instances=2, max_in_flight=3)
        self.now = 0.0
        self.dispatch = itertools.count(1)
        self.owed: dict[int, tuple[str, int]] = {}  # n -> who asked for which message
        self.book.told = self._told

    def _told(self, request: Request) -> None:
        assert self.owed.pop(request.n) == (request.client, request.id)

    @rule(client=st.sampled_from("abc"), id=st.integers(1, 8), park=st.booleans())
    def ask(self, client: str, id: int, park: bool) -> None:
        n = next(self.dispatch)
        if id in self.gate._running:  # taken over: the older dispatch is void
            self.owed.pop(self.gate._running[id].n, None)
        self.owed[n] = (client, id)
        self.gate.ask(self.now, client, ask(id, n, park))

    @rule(client=st.sampled_from("abc"))
    def leave(self, client: str) -> None:
        self.gate.client_gone(client)
        self.owed = {n: who for n, who in self.owed.items() if who[0] != client}

    @rule(unit=st.integers(0, 1), choice=st.integers(0, 2))
    def reply(self, unit: int, choice: int) -> None:
        if numbers := list(self.gate.units[unit].open):
            assert self.gate.reply(self.now, unit, numbers[choice % len(numbers)], Kind.OK, "", ())

    @rule(unit=st.integers(0, 1), count=st.integers(0, 3))
    def write(self, unit: int, count: int) -> None:
        """Lines are written in the order of sending."""
        for number in list(self.gate.units[unit].open)[:count]:
            self.gate.written(self.now, unit, number)

    @rule(unit=st.integers(0, 1))
    def leaving(self, unit: int) -> None:
        self.gate.leaving(self.now, unit)

    @rule(unit=st.integers(0, 1), planned=st.booleans())
    def end(self, unit: int, planned: bool) -> None:
        self.gate.gone(self.now, unit, planned=planned)

    @rule(unit=st.integers(0, 1))
    def start(self, unit: int) -> None:
        if not self.gate.units[unit].open:
            self.gate.ready(self.now, unit)

    @rule()
    def manager_is_new(self) -> None:
        self.gate.forget_parked()

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0, 11.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.gate.tick(self.now)

    @invariant()
    def memory_is_bounded(self) -> None:
        gate = self.gate
        assert len(gate._running) <= gate.in_flight <= 6
        assert len(gate._coming) <= 6
        assert gate.parked >= 0
        assert all(
            request in unit.open.values() for request in gate._running.values() for unit in gate.units if request.number in unit.open
        )

    @invariant()
    def a_free_slot_is_offered(self) -> None:
        """Parked messages beside free slots are on their way."""
        assert not self.gate.parked or len(self.gate._coming) >= self.gate._free()

    def teardown(self) -> None:
        """In the end everybody who waits is told."""
        for unit in (0, 1):
            self.gate.gone(self.now, unit, planned=True)
            self.gate.ready(self.now, unit)
        while self.gate.in_flight:
            for unit in (0, 1):
                for number in list(self.gate.units[unit].open):
                    self.gate.reply(self.now, unit, number, Kind.OK, "", ())
        assert self.owed == {}


TestCrowd = Crowd.TestCase
TestCrowd.settings = profile(max_examples=100, stateful_step_count=40, deadline=None)
