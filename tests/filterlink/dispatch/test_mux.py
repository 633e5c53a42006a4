"""Demands on the multiplexer's decisions, on a clock of the test's own; the port writes down what it is told."""

import itertools
from collections.abc import Callable
from typing import Any

from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from filterlink.config.settings import Filter
from filterlink.config.units import Seconds
from filterlink.dispatch.mux import Gate
from filterlink.dispatch.requests import ScanRequest
from filterlink.dispatch.suspects import LEAVES, ROW
from filterlink.protocol.protocol import HelperReply
from filterlink.wire.frames import AnswerKind, Ask, FilterAnswer

Gates = Callable[..., tuple[Gate, "Book"]]


class Book:
    """A port that only writes down."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int, int]] = []
        self.asked: list[int] = []
        """Messages whose lines named Asked/."""
        self.verdicts: list[tuple[Any, int, int, AnswerKind]] = []
        self.parks: list[int] = []
        self.aparts: list[int] = []
        self.wakes: list[int] = []
        self.large_wakes: list[int] = []
        self.calls: list[int] = []
        self.charged: list[int] = []
        self.restarts: list[int] = []
        self.returns = 0
        self.text = ""
        self.unwritten: set[int] = set()
        """Numbers of requests whose lines can be taken back."""
        self.told: Callable[[ScanRequest], None] = lambda _: None

    def send(self, unit: int, number: int, message: int, asked: bool) -> None:
        self.sent.append((unit, number, message))
        if asked:
            self.asked.append(message)

    def take_back(self, unit: int, number: int) -> bool:
        return number in self.unwritten

    def verdict(self, request: ScanRequest, answer: FilterAnswer) -> None:
        self.verdicts.append((request.client, request.id, request.n, answer.kind))
        self.text = answer.text
        self.told(request)

    def park(self, request: ScanRequest, reason: str, apart: bool = False) -> None:
        (self.aparts if apart else self.parks).append(request.id)
        self.text = reason
        self.told(request)

    def wake(self, count: int, large: bool = False) -> None:
        (self.large_wakes if large else self.wakes).append(count)

    def wake_one(self, id: int) -> None:
        self.calls.append(id)

    def guilty(self, request: ScanRequest, reason: str) -> None:
        self.charged.append(request.id)

    def returned(self) -> None:
        self.returns += 1

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


def ask(id: int, n: int = 1, park: bool = True, large: bool = False, size: int = 1) -> Ask:
    return Ask(id, n, "F", large, size, park)


def of_door(id: int, n: int = 1, large: bool = False, park: bool = False) -> Ask:
    return Ask(id, n, "F", large, 1, park, asked=True)


def test_slots_then_parking() -> None:
    """As many are sent as there are slots; the next is parked, and woken when a slot is free."""
    gate, book = make()
    for id in (1, 2, 3):
        gate.ask(1.0, "c", ask(id))
    gate.replies(2.0, 0, [HelperReply(2, FilterAnswer(AnswerKind.DISCARD))])

    assert book.sent == [(0, 1, 1), (0, 2, 2)]
    assert (book.parks, book.wakes, gate.parked) == ([3], [1], 0)
    assert book.verdicts == [("c", 2, 1, AnswerKind.DISCARD)]


def test_who_may_not_park_waits_first() -> None:
    """park = False waits here, and gets the free slot before any parked message."""
    gate, book = make(max_in_flight=1)
    gate.ask(1.0, "c", ask(1))
    gate.ask(1.0, "c", ask(2))
    gate.ask(1.0, "c", ask(3, park=False))
    gate.replies(2.0, 0, [HelperReply(1, FilterAnswer(AnswerKind.OK))])

    assert [message for _, _, message in book.sent] == [1, 3]
    assert book.wakes == []


def test_no_more_are_woken_than_there_are_slots() -> None:
    """Those on their way count; those that never come are given up after a second."""
    gate, book = make()
    for id in range(1, 11):
        gate.ask(1.0, "c", ask(id))
    gate.replies(2.0, 0, [HelperReply(1, FilterAnswer(AnswerKind.OK))])
    gate.replies(2.1, 0, [HelperReply(2, FilterAnswer(AnswerKind.OK))])
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

    assert book.verdicts == [("c", 2, 1, AnswerKind.UNAVAILABLE), ("c", 1, 2, AnswerKind.UNAVAILABLE)]
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
    assert (book.verdicts, book.restarts) == ([("c", 1, 1, AnswerKind.TIMEOUT)], [0])
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

    assert gate.replies(2.0, 0, [HelperReply(1, FilterAnswer(AnswerKind.OK))]) == []
    assert gate.replies(2.0, 0, [HelperReply(1, FilterAnswer(AnswerKind.ERROR))]) == [HelperReply(1, FilterAnswer(AnswerKind.ERROR))]
    assert gate.replies(2.0, 0, [HelperReply(99, FilterAnswer(AnswerKind.ERROR))]) == [HelperReply(99, FilterAnswer(AnswerKind.ERROR))]
    assert (len(book.verdicts), gate.answered) == (1, 1)


def test_many_answers_of_one_read() -> None:
    """Each goes to who asked, those among them that nobody asked for are told of, and who waits gets the slots."""
    gate, book = make(max_in_flight=3)
    for id in range(1, 6):
        gate.ask(1.0, f"c{id}", ask(id, park=False))
    read = [
        HelperReply(2, FilterAnswer(AnswerKind.OK)),
        HelperReply(9, FilterAnswer(AnswerKind.ERROR)),
        HelperReply(1, FilterAnswer(AnswerKind.DISCARD)),
        HelperReply(2, FilterAnswer(AnswerKind.FAILURE)),
    ]

    assert gate.replies(2.0, 0, read) == [read[1], read[3]]
    assert [(client, kind) for client, _, _, kind in book.verdicts] == [("c2", AnswerKind.OK), ("c1", AnswerKind.DISCARD)]
    assert (gate.answered, list(gate.units[0].open)) == (2, [3, 4, 5])


def answered(gate: Gate, now: float, unit: int = 0) -> list[int]:
    """Everything that is open in a helper is answered OK; the messages."""
    found = [(number, request.id) for number, request in gate.units[unit].open.items()]
    for number, _ in found:
        gate.replies(now, unit, [HelperReply(number, FilterAnswer(AnswerKind.OK))])
    return [id for _, id in found]


def end(gate: Gate, now: float, unit: int = 0) -> None:
    """A helper ends over all that it has, and another one is ready."""
    for number in gate.units[unit].open:
        gate.units[unit].written(now, [number])
    gate.gone(now, unit)
    gate.ready(now, unit)


def test_suspects_are_judged_alone_and_only_the_guilty_is_charged() -> None:
    """Four are open when the helper ends: nobody is charged. Then each has the helper for itself; the one that ends it is."""
    gate, book = make(max_in_flight=4)
    for id in (1, 2, 3, 4):
        gate.ask(1.0, "c", ask(id, park=False))
    deaths = 0
    while gate.in_flight and deaths < 6:
        ids = [request.id for request in gate.units[0].open.values()]
        if 3 in ids:
            deaths += 1
            assert deaths == 1 or ids == [3]
            end(gate, 2.0)
        else:
            assert len(ids) == 1
            answered(gate, 2.0)
        if deaths == 5:
            gate.left(3)

    assert [id for _, id, _, _ in book.verdicts] == [1, 2, 4]
    assert book.charged == [3] * 4  # all but the first; once it was proved guilty, nobody else is needed to prove it


def test_a_suspect_is_charged_again_once_another_was_answered() -> None:
    gate, book = make(max_in_flight=2)
    for id in (1, 2):
        gate.ask(1.0, "c", ask(id, park=False))
    end(gate, 2.0)
    for round in range(5):
        gate.ask(2.0, "c", ask(10 + round, park=False))
        while (ids := [request.id for request in gate.units[0].open.values()]) != [1]:
            assert len(ids) <= 1, "beside a suspect, or in doubt, nothing else is open"
            answered(gate, 2.0)
        end(gate, 2.0)

    assert book.charged == [1] * 4  # the first time nobody was answered since it became a suspect


def test_an_outage_that_comes_after_a_proof_charges_nobody_else() -> None:
    """One was proved guilty once, as may happen; then helpers end over all others too: that is the filter."""
    gate, book = make(max_in_flight=2, timeout=Seconds(1000))
    for id in (1, 2):
        gate.ask(1.0, "c", ask(id, park=False))
    end(gate, 2.0)
    while [request.id for request in gate.units[0].open.values()] != [1]:
        answered(gate, 2.0)
    end(gate, 2.0)
    for id in (3, 4, 5):
        gate.ask(2.5, "c", ask(id, park=False))
    charged = len(book.charged)
    for _ in range(100):
        end(gate, 3.0)

    assert set(book.charged) <= {1}
    assert len(book.charged) <= charged + 1


def test_alone_with_the_filter_nobody_is_charged_for_a_day() -> None:
    """A message that ends helpers, and no other one to tell whether the filter is well: for long it may be the filter, but not for ever."""
    gate, book = make(timeout=Seconds(10**6))
    gate.ask(0.0, "c", ask(1, park=False))
    for hour in range(24):
        end(gate, hour * 3600.0)
    assert book.charged == []
    for _ in range(5):
        end(gate, ROW + 60.0)

    assert book.charged == [1] * 5


def test_a_suspect_that_is_overdue_alone_is_judged_beside_others_again() -> None:
    """It ended no helper. Alone it would never be charged for the time it takes, and others would wait for each of its trials."""
    gate, book = make(max_in_flight=2)
    gate.ask(0.0, "c", ask(1, park=False))
    gate.ask(5.0, "c", ask(2, park=False))
    for number in (1, 2):
        gate.units[0].written(5.0 * (number - 1), [number])
    gate.tick(10.5)  # the helper is stopped over the first, and the second is a suspect
    end(gate, 11.0)
    gate.tick(22.0)
    end(gate, 23.0)
    assert [id for _, id, _, kind in book.verdicts if kind is AnswerKind.TIMEOUT] == [1, 2]

    gate.ask(24.0, "c", ask(3, park=False))
    answered(gate, 24.0)
    for id in (2, 4):
        gate.ask(25.0, "c", ask(id, n=2, park=False))
    assert [request.id for request in gate.units[0].open.values()] == [2, 4]


def leave(gate: Gate, now: float) -> None:
    """The helper leaves in good order, though requests are open, and another one is ready."""
    for number in gate.units[0].open:
        gate.units[0].written(now, [number])
    gate.gone(now, 0, planned=True)
    gate.ready(now, 0)


def test_who_is_open_whenever_helpers_leave_is_tried_alone() -> None:
    """Status 0 is no fault; but the third helper that leaves over the same message does not leave for its own reasons."""
    gate, book = make(max_in_flight=2)
    gate.ask(1.0, "c", ask(1, park=False))
    for id in range(2, 2 + LEAVES):
        gate.ask(1.0, "c", ask(id, park=False))
        number = next(number for number, request in gate.units[0].open.items() if request.id == id)
        gate.replies(1.0, 0, [HelperReply(number, FilterAnswer(AnswerKind.OK))])
        leave(gate, 1.0)
    gate.ask(2.0, "c", ask(10, park=False))

    assert [request.id for request in gate.units[0].open.values()] == [1], "it has the new helper for itself"
    assert book.charged == []
    end(gate, 2.0)  # which has answered nobody, so that its status says nothing
    assert book.charged == [1]


def test_helpers_that_answer_one_and_leave_make_nobody_guilty() -> None:
    """Messages wait through many of them; each comes to its answer."""
    gate, book = make(max_in_flight=8)
    for id in range(1, 21):
        gate.ask(1.0, "c", ask(id, park=False))
    rounds = 0
    while gate.in_flight:
        rounds += 1
        gate.replies(1.0, 0, [HelperReply(next(iter(gate.units[0].open)), FilterAnswer(AnswerKind.OK))])
        leave(gate, 1.0)

    assert (rounds, len(book.verdicts), book.charged) == (20, 20, [])


def test_an_outage_charges_nobody() -> None:
    """Helper after helper ends over whatever it is asked: no message is to blame, however long that goes on."""
    gate, book = make(max_in_flight=4, timeout=Seconds(1000))
    for id in range(1, 20):
        gate.ask(1.0, "c", ask(id, park=False))
    for _ in range(100):
        assert gate.in_flight
        end(gate, 2.0)
        assert gate.in_flight <= 1, "in doubt one at a time"

    assert (book.charged, book.verdicts) == ([], [])
    while gate.in_flight:
        answered(gate, 3.0)
    assert sorted(id for _, id, _, _ in book.verdicts) == list(range(1, 20))


def test_a_filter_that_ends_over_everything_for_too_long_is_away() -> None:
    """After the time-out who waits is told, as of one that cannot start; from then on one message tries it, the others are told at once."""
    gate, book = make()
    gate.ask(1.0, "c", ask(1, park=False))
    gate.ask(1.0, "c", ask(2))
    end(gate, 2.0)
    end(gate, 6.0)
    gate.ask(6.0, "c", ask(2, n=2))
    end(gate, 7.0)
    gate.tick(12.0)
    gate.ask(12.0, "c", ask(2, n=3))
    gate.ask(12.0, "c", ask(3))

    assert (gate.failing, [(id, kind) for _, id, _, kind in book.verdicts]) == (
        True,
        [(2, AnswerKind.UNAVAILABLE), (3, AnswerKind.UNAVAILABLE)],
    )
    answered(gate, 13.0)
    gate.ask(13.0, "c", ask(4))
    assert (gate.failing, gate.in_flight) == (False, 1)


def test_a_parked_suspect_is_woken_by_its_id() -> None:
    """It is parked apart; its turn comes when the helper has nothing else, and nothing else goes to the helper before it is there."""
    gate, book = make()
    gate.ask(1.0, "c", ask(1))
    gate.ask(1.0, "c", ask(2))
    end(gate, 2.0)
    assert (book.aparts, book.calls, gate.parked) == ([2, 1], [1], 1)
    gate.ask(2.1, "c", ask(3))
    assert (book.parks, gate.in_flight) == ([3], 0)
    gate.ask(2.2, "c", ask(1, n=2))

    assert gate.units[0].open.keys() == {3}
    assert answered(gate, 2.3) == [1]
    assert book.calls == [1, 2]
    assert book.wakes == []
    gate.tick(4.0)  # it does not come
    assert book.wakes == [1]


def test_never_written_is_no_suspect() -> None:
    gate, book = make()
    gate.ask(1.0, "c", ask(1))
    gate.gone(2.0, 0)

    assert (book.parks, book.aparts) == ([1], [])


def test_large_messages_leave_slots_to_small_ones() -> None:
    """They take their share of the slots at most, and are woken for those only; nobody starves."""
    gate, book = make(max_in_flight=4)
    for id in (1, 2, 3, 4):
        gate.ask(1.0, "c", ask(id, large=True))
    assert ([message for _, _, message in book.sent], book.parks) == ([1, 2], [3, 4])
    for id in (5, 6, 7):
        gate.ask(1.0, "c", ask(id))
    assert ([message for _, _, message in book.sent], book.parks) == ([1, 2, 5, 6], [3, 4, 7])
    gate.replies(2.0, 0, [HelperReply(3, FilterAnswer(AnswerKind.OK))])  # a small one leaves
    assert (book.wakes, book.large_wakes) == ([1], [])
    gate.replies(2.0, 0, [HelperReply(1, FilterAnswer(AnswerKind.OK))])
    assert (book.wakes, book.large_wakes) == ([1], [1])


def test_with_one_slot_the_lanes_take_turns() -> None:
    gate, _ = make(max_in_flight=1)
    gate.ask(1.0, "c", ask(1))
    for id in range(2, 12):
        gate.ask(1.0, "c", ask(id, large=id % 2 == 0, park=False))
    order = []
    while gate.in_flight:
        order += answered(gate, 2.0)

    lanes = [id % 2 == 0 for id in order[1:]]
    assert all(one is not other for one, other in itertools.pairwise(lanes))


def test_past_its_grace_a_scan_goes_on_without_a_processor() -> None:
    """Only when other work waits. The answer is kept for the message, which is woken for it, and gets it at once."""
    gate, book = make(slow_after=Seconds(5))
    gate.ask(10.0, "c", ask(1))
    gate.tick(14.0)
    assert book.aparts == []
    gate.backpressure = True
    gate.tick(14.1)
    assert (book.aparts, gate.parked, gate.in_flight) == ([1], 1, 1)
    gate.replies(16.0, 0, [HelperReply(1, FilterAnswer(AnswerKind.ERROR, "bad", (b"X-A: 1",)))])
    assert (book.calls, book.verdicts) == ([1], [])
    gate.ask(16.1, "d", ask(1, n=2))

    assert book.verdicts == [("d", 1, 2, AnswerKind.ERROR)]
    assert (len(book.sent), book.text) == (1, "bad")


def test_grace_follows_the_median() -> None:
    """Four times the median, a tenth of a second at least, slow_after at most; at once while the filter is stalled."""
    gate, book = make(slow_after=Seconds(5), max_in_flight=10, timeout=Seconds(1000))
    gate.backpressure = True
    for round in range(20):
        gate.ask(round * 10.0, "c", ask(round))
        gate.replies(round * 10.0 + 0.5, 0, [HelperReply(round + 1, FilterAnswer(AnswerKind.OK))])
    gate.ask(300.0, "c", ask(50))
    gate.tick(301.9)
    assert book.aparts == []
    gate.tick(302.0)
    assert book.aparts == [50]
    gate.tick(305.1)
    gate.ask(305.2, "c", ask(51))
    assert book.aparts == [50, 51], "stalled: it is asked all the same, and nobody waits"
    assert gate.in_flight == 2


def test_a_late_time_out_reaches_the_message() -> None:
    gate, book = make(slow_after=Seconds(1))
    gate.backpressure = True
    gate.ask(1.0, "c", ask(1))
    gate.tick(3.0)
    gate.tick(11.0)
    assert (book.aparts, book.restarts, book.calls) == ([1], [0], [1])
    gate.ask(11.1, "c", ask(1, n=2))

    assert book.verdicts == [("c", 1, 2, AnswerKind.TIMEOUT)]


def test_who_may_not_park_is_never_set_aside() -> None:
    gate, book = make(slow_after=Seconds(1))
    gate.backpressure = True
    gate.ask(1.0, "c", ask(1, park=False))
    gate.tick(9.0)

    assert book.aparts == []


def test_large_messages_may_take_longer() -> None:
    gate, book = make(timeout_per_mb=Seconds(2))
    gate.ask(1.0, "c", ask(1, size=10 << 20, large=True))
    gate.tick(30.0)
    assert book.restarts == []
    gate.tick(31.0)
    assert book.restarts == [0]


def test_a_client_that_left() -> None:
    """Its scan goes on for nobody; who asks for the message again takes it over, and is the only one to be told."""
    gate, book = make()
    gate.ask(1.0, "old", ask(1))
    gate.client_gone("old")
    gate.ask(2.0, "new", ask(1, n=2))
    gate.replies(3.0, 0, [HelperReply(1, FilterAnswer(AnswerKind.OK))])

    assert book.sent == [(0, 1, 1)]
    assert book.verdicts == [("new", 1, 2, AnswerKind.OK)]


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
    gate.units[0].written(1.0, [1])
    gate.tick(11.0)

    assert book.verdicts == [("c", 1, 1, AnswerKind.TIMEOUT)]
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

    assert [(id, kind) for _, id, _, kind in book.verdicts] == [(2, AnswerKind.UNAVAILABLE), (1, AnswerKind.UNAVAILABLE)]
    assert (book.parks, gate.parked) == ([], 0)


def test_lost_wakes_are_made_good_under_load() -> None:
    """A woken message that never comes does not keep its slot for ever, though others are woken and come all the time."""
    gate, book = make()
    for id in range(1, 40):
        gate.ask(0.0, "c", ask(id))
    gate.replies(0.0, 0, [HelperReply(1, FilterAnswer(AnswerKind.OK))])  # the one that is woken for it never comes
    for step in range(1, 21):
        now = step / 10
        gate.replies(now, 0, [HelperReply(next(iter(gate.units[0].open)), FilterAnswer(AnswerKind.OK))])
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

    assert [(id, kind) for _, id, _, kind in book.verdicts] == [(1, AnswerKind.UNAVAILABLE), (2, AnswerKind.UNAVAILABLE)]


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


def test_the_message_of_a_door_is_in_asked_for_the_next_helper_too() -> None:
    gate, book = make()
    gate.ask(1.0, "door", of_door(10))
    gate.ask(1.0, "c", ask(2))
    gate.gone(2.0, 0)
    gate.ready(2.0, 0)

    assert [message for _, _, message in book.sent] == [10, 2, 10]
    assert book.asked == [10, 10]


def test_a_request_of_a_door_is_never_parked_nor_set_aside() -> None:
    """Whatever its Ask says: the queue manager could wake no message of a door. Doors wait for themselves."""
    gate, book = make(slow_after=Seconds(1), max_in_flight=1)
    gate.backpressure = True
    for id in (10, 11):
        gate.ask(1.0, "door", of_door(id, park=True))
    gate.ask(2.0, "door", of_door(10, n=2, park=True))
    gate.tick(9.0)

    assert (book.parks, book.aparts, book.wakes) == ([], [], [])
    answered(gate, 9.0)
    answered(gate, 9.0)
    assert [id for _, id, _, _ in book.verdicts] == [10, 11]


def test_an_abandoned_request_that_waits_is_dropped() -> None:
    """Whoever else asks about a message of that number is not concerned."""
    gate, book = make(max_in_flight=1)
    gate.ask(1.0, "c", ask(1))
    for id in (10, 11):
        gate.ask(1.0, "door", of_door(id))
    gate.ask(1.0, "other", of_door(10))
    gate.abandon(1.5, "door", 10)
    gate.abandon(1.5, "other", 11)
    gate.abandon(1.5, "door", 99)
    order = [answered(gate, 2.0) for _ in range(4)]

    assert order == [[1], [11], [10], []]
    assert [client for client, *_ in book.verdicts] == ["c", "door", "other"]


def test_an_abandoned_line_that_is_not_written_is_taken_back() -> None:
    """Its slot is free for the next one at once. A helper that has its line scans it for nothing."""
    gate, book = make()
    for id in (10, 11, 12):
        gate.ask(1.0, "door", of_door(id))
    gate.units[0].written(1.0, [1])
    book.unwritten = {2}
    gate.abandon(1.5, "door", 11)
    assert list(gate.units[0].open) == [1, 3]
    gate.abandon(1.5, "door", 10)
    gate.abandon(1.5, "door", 12)
    assert list(gate.units[0].open) == [1, 3], "the helper has them"
    assert gate.replies(2.0, 0, [HelperReply(number, FilterAnswer(AnswerKind.OK)) for number in (1, 3)]) == []

    assert (book.verdicts, gate.is_idle, gate._running) == ([], True, {})


def test_an_abandoned_suspect_is_none() -> None:
    """Neither waiting, nor on trial: the helper that was kept for it is free for others. The same if its door ends."""
    gate, book = make()
    for end_of in ("abandon", "client_gone"):
        for id in (10, 11):
            gate.ask(1.0, "door", of_door(id))
        end(gate, 2.0)
        [tried] = [request.id for request in gate.units[0].open.values()]
        book.unwritten = set(gate.units[0].open) if end_of == "abandon" else set()
        if end_of == "abandon":
            gate.abandon(3.0, "door", 21 - tried)
            gate.abandon(3.0, "door", tried)
        else:
            gate.client_gone("door")
            answered(gate, 3.0)
        gate.ask(4.0, "c", ask(1, park=False))
        gate.ask(4.0, "c", ask(2, park=False))
        answered(gate, 4.0)
        answered(gate, 4.0)

        assert [id for _, id, _, _ in book.verdicts] == [1, 2]
        assert (len(gate._suspects), gate.is_idle) == (0, True)
        book.verdicts.clear()


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

    @rule(
        unit=st.integers(0, 1),
        choices=st.lists(st.integers(0, 3), min_size=1, max_size=4),
        kind=st.sampled_from([AnswerKind.OK, AnswerKind.ERROR, AnswerKind.FAILURE]),
    )
    def reply(self, unit: int, choices: list[int], kind: AnswerKind) -> None:
        """Some of what it has in work, some of it twice, or what it has not."""
        numbers = list(self.gate.units[unit].open) or [0]
        before = self.gate.answered
        read = [HelperReply(numbers[choice % len(numbers)], FilterAnswer(kind)) for choice in choices]
        unknown = self.gate.replies(self.now, unit, read)
        assert self.gate.answered - before == len(read) - len(unknown) == len({each.number for each in read} - {0})

    @rule(unit=st.integers(0, 1), planned=st.booleans())
    def end(self, unit: int, planned: bool) -> None:
        for number in list(self.gate.units[unit].open):
            self.gate.units[unit].written(self.now, [number])
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
        answered = [id for _, id, _, _ in self.book.verdicts] + self.book.parks + self.book.aparts
        assert len(answered) == len(set(answered))
        waiting = self.gate.slots.waiting + self.gate._suspects.waiting
        assert len(answered) + self.gate.in_flight + len(waiting) == self.asked

    @invariant()
    def the_parked_are_counted(self) -> None:
        assert sum(lane.parked for lane in self.gate.slots.lanes) + sum(self.book.wakes) == len(self.book.parks)
        assert self.gate._suspects.away + len(self.book.calls) == len(self.book.aparts)

    @invariant()
    def no_helper_has_too_many(self) -> None:
        assert all(len(unit.open) <= 2 for unit in self.gate.units)

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        """Beside a free slot, or for a filter that was given up."""
        assert not self.gate.slots.waiting or (self.gate.slots.least_loaded(False) is None and not self.gate.dead)


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

    def _told(self, request: ScanRequest) -> None:
        assert self.owed.pop(request.n) == (request.client, request.id)

    @rule(client=st.sampled_from("abc"), id=st.integers(1, 8), park=st.booleans())
    def ask(self, client: str, id: int, park: bool) -> None:
        n = next(self.dispatch)
        if id in self.gate._running:  # taken over: the older dispatch is void
            self.owed.pop(self.gate._running[id].n, None)
        self.owed[n] = (client, id)
        self.gate.ask(self.now, client, ask(id, n, park))

    @rule(client=st.sampled_from("abc"), id=st.integers(11, 14), large=st.booleans())
    def ask_for_a_door(self, client: str, id: int, large: bool) -> None:
        n = next(self.dispatch)
        if id in self.gate._running:
            self.owed.pop(self.gate._running[id].n, None)
        self.owed[n] = (client, id)
        self.gate.ask(self.now, client, of_door(id, n, large))

    @rule(client=st.sampled_from("abc"), id=st.integers(11, 14), unwritten=st.booleans())
    def abandon(self, client: str, id: int, unwritten: bool) -> None:
        request = self.gate._running.get(id)
        self.book.unwritten = {request.number} if unwritten and request is not None and not request.tried else set()
        self.gate.abandon(self.now, client, id)
        self.owed = {n: who for n, who in self.owed.items() if who != (client, id)}

    @rule(client=st.sampled_from("abc"))
    def leave(self, client: str) -> None:
        self.gate.client_gone(client)
        self.owed = {n: who for n, who in self.owed.items() if who[0] != client}

    @rule(unit=st.integers(0, 1), choices=st.sets(st.integers(0, 2), min_size=1))
    def reply(self, unit: int, choices: set[int]) -> None:
        if numbers := list(self.gate.units[unit].open):
            read = [HelperReply(number, FilterAnswer(AnswerKind.OK)) for number in {numbers[choice % len(numbers)] for choice in choices}]
            assert not self.gate.replies(self.now, unit, read)

    @rule(unit=st.integers(0, 1), count=st.integers(0, 3))
    def write(self, unit: int, count: int) -> None:
        """Lines are written in the order of sending."""
        for number in list(self.gate.units[unit].open)[:count]:
            self.gate.units[unit].written(self.now, [number])

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

    @rule(pressed=st.booleans())
    def press(self, pressed: bool) -> None:
        self.gate.backpressure = pressed

    @invariant()
    def memory_is_bounded(self) -> None:
        gate = self.gate
        assert len(gate._running) <= gate.in_flight <= 6
        assert sum(len(lane.coming) for lane in gate.slots.lanes) <= 6
        assert gate.parked >= 0
        assert all(
            request in unit.open.values() for request in gate._running.values() for unit in gate.units if request.number in unit.open
        )

    @invariant()
    def a_free_slot_is_offered(self) -> None:
        """Parked messages beside free slots are on their way."""
        slots = self.gate.slots
        small, large = slots.lanes
        assert not small.parked or len(small.coming) + len(large.coming) >= slots.room(False)

    def teardown(self) -> None:
        """In the end everybody who waits is told."""
        for unit in (0, 1):
            self.gate.gone(self.now, unit, planned=True)
            self.gate.ready(self.now, unit)
        for _ in range(20):
            self.now += 2.0  # those that were woken and do not come have been waited for
            self.gate.tick(self.now)
            for unit in (0, 1):
                for number in list(self.gate.units[unit].open):
                    self.gate.replies(self.now, unit, [HelperReply(number, FilterAnswer(AnswerKind.OK))])
        assert self.owed == {}


TestCrowd = Crowd.TestCase
TestCrowd.settings = profile(max_examples=100, stateful_step_count=40, deadline=None)


def test_a_door_does_not_wait_for_a_filter_that_cannot_start() -> None:
    """Its MTA gets an answer after ten seconds, and at once from then on; the messages of the queue wait for the time-out."""
    gate, book = make(ready=False, timeout=Seconds(120))
    gate.ask(1.0, "door", of_door(10))
    gate.ask(1.0, "c", ask(1))
    gate.tick(9.0)
    assert book.verdicts == []
    gate.tick(10.0)
    assert book.verdicts == [("door", 10, 1, AnswerKind.UNAVAILABLE)]
    assert "is not ready" in book.text
    gate.ask(11.0, "door", of_door(11))
    assert book.verdicts[1:] == [("door", 11, 1, AnswerKind.UNAVAILABLE)]
    assert (book.parks, gate.parked) == ([1], 1)
    gate.ready(12.0, 0)
    gate.ask(12.0, "door", of_door(12))
    assert (0, 1, 12) in [(unit, 1, message) for unit, _, message in book.sent]
