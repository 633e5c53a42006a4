"""Demands on how doors and the queue share the slots of a filter: in turns, whoever asks faster."""

from collections import deque

import pytest

from filterlink.config.units import Seconds
from filterlink.dispatch.mux import Gate
from filterlink.protocol.protocol import HelperReply
from filterlink.wire.frames import AnswerKind, FilterAnswer
from tests.filterlink.dispatch.test_mux import Book, ask, make, of_door

DOORS = 1000
"""The ids of messages of doors begin here."""


class Traffic:
    """Doors with some requests at a time, and a queue whose messages ask, are parked, and ask again when they are woken."""

    def __init__(self, slots: int, at_doors: int, processors: int, *, large: bool = False, slow: int = 0) -> None:
        self.gate: Gate
        self.book: Book
        self.gate, self.book = make(max_in_flight=slots)
        self.now = 1.0
        self.large = large
        self.coming: deque[int] = deque([slow] * 10_000)
        """For each message that will be woken: rounds until it is here."""
        self.here: list[int] = []
        self.seen = 0
        self.fresh = iter(range(1, DOORS))
        self.of_doors = iter(range(DOORS, 10 * DOORS))
        self.answered: list[int] = []
        for _ in range(at_doors):
            self.door_asks()
        for _ in range(processors):
            self.processor_asks()

    def door_asks(self) -> None:
        self.gate.ask(self.now, "door", of_door(next(self.of_doors)))

    def processor_asks(self) -> None:
        self.gate.ask(self.now, "processor", ask(next(self.fresh), large=self.large))

    def round(self, *, door_first: bool) -> None:
        """The oldest open request is answered. Its door asks about another message, and woken messages come."""
        self.now += 0.01
        number, request = next(iter(self.gate.units[0].open.items()))
        self.answered.append(request.id)
        self.gate.replies(self.now, 0, [HelperReply(number, FilterAnswer(AnswerKind.OK))])
        if request.id >= DOORS and door_first:
            self.door_asks()
        self.come()
        if request.id >= DOORS and not door_first:
            self.door_asks()
        elif request.id < DOORS:
            self.processor_asks()

    def come(self) -> None:
        wakes = sum(self.book.wakes) + sum(self.book.large_wakes)
        self.here += [self.coming.popleft() for _ in range(wakes - self.seen)]
        self.seen = wakes
        for _ in range(self.here.count(0)):
            self.processor_asks()
        self.here = [rounds - 1 for rounds in self.here if rounds]

    def share_of_doors(self, rounds: int, *, door_first: bool = True) -> float:
        for _ in range(rounds):
            self.round(door_first=door_first)
        late = self.answered[20:]
        return sum(id >= DOORS for id in late) / len(late)


@pytest.mark.parametrize("door_first", [True, False])
@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize(("at_doors", "processors"), [(40, 10), (1, 10), (4, 10), (40, 2)])
def test_doors_and_the_queue_take_turns(at_doors: int, processors: int, slots: int, large: bool, door_first: bool) -> None:
    """A flood of either leaves the other its part; who asks little may get less than half, because it has asked for no more."""
    share = Traffic(slots, at_doors, processors, large=large).share_of_doors(200, door_first=door_first)

    assert share >= min(0.25, at_doors / slots / 8)
    assert share <= 0.8


def test_doors_need_not_wait_for_woken_messages() -> None:
    """A woken message whose processor takes its time leaves no slot empty meanwhile; then it gets the next one."""
    traffic = Traffic(1, 40, 10, slow=5)
    for _ in range(100):
        traffic.round(door_first=True)
        assert traffic.gate.in_flight == 1

    assert sum(id < DOORS for id in traffic.answered) >= 10


def test_only_with_doors_a_woken_message_waits_here() -> None:
    """Else it is parked again: its processor does other work meanwhile."""
    gate, book = make(max_in_flight=1)
    for id in (1, 2):
        gate.ask(1.0, "c", ask(id))
    gate.replies(2.0, 0, [HelperReply(1, FilterAnswer(AnswerKind.OK))])
    gate.ask(2.0, "c", ask(3))  # as if it was woken
    gate.ask(2.0, "c", ask(2, n=2))

    assert (book.wakes, book.parks, len(gate.slots.waiting)) == ([1], [2, 2], 0)


def test_a_processor_does_not_wait_long_behind_a_door() -> None:
    """If other work waits for it, it gets its Park after the grace, as for a scan."""
    gate, book = make(max_in_flight=1, slow_after=Seconds(5))
    gate.ask(1.0, "c", ask(1))
    gate.ask(1.0, "door", of_door(10))
    gate.ask(1.0, "c", ask(2))
    gate.replies(1.5, 0, [HelperReply(1, FilterAnswer(AnswerKind.OK))])
    gate.ask(1.6, "c", ask(2, n=2))
    assert (book.wakes, book.parks, [request.id for request in gate.slots.waiting]) == ([1], [2], [2])
    gate.backpressure = True
    gate.tick(3.5)
    assert len(gate.slots.waiting) == 1
    gate.tick(3.7)

    assert (gate.slots.waiting, book.parks, gate.parked) == ([], [2, 2], 1)
