"""Demands on what an end of a helper does to the messages that doors ask about. Those of the queue are in test_mux."""

from filterlink.config.units import Seconds
from filterlink.dispatch.ends import MOST_ENDS
from filterlink.dispatch.mux import Gate
from filterlink.dispatch.suspects import LEAVES
from filterlink.protocol.protocol import HelperReply
from filterlink.wire.frames import AnswerKind, FilterAnswer
from tests.filterlink.dispatch.test_mux import answered, ask, end, leave, make, of_door


def open_in(gate: Gate, unit: int = 0) -> list[int]:
    return [request.id for request in gate.units[unit].open.values()]


def test_a_message_of_a_door_that_ends_a_helper_alone_is_given_up() -> None:
    """The door gets the reason, the manager no charge, and the next helper another message."""
    gate, book = make()
    gate.ask(1.0, "door", of_door(10))
    end(gate, 2.0)
    gate.ask(3.0, "c", ask(2))

    assert book.verdicts == [("door", 10, 1, AnswerKind.UNAVAILABLE)]
    assert book.text == 'filter "F" ended over this message: broken'
    assert (book.charged, open_in(gate), len(gate._suspects)) == ([], [2], 0)


def test_beside_others_it_is_tried_again_alone_and_only_once() -> None:
    gate, book = make(max_in_flight=3)
    for id in (10, 11, 12):
        gate.ask(1.0, "door", of_door(id))
    end(gate, 2.0)
    rounds = 0
    while gate.in_flight and rounds < 10:
        rounds += 1
        assert len(open_in(gate)) == 1
        if open_in(gate) == [11]:
            end(gate, 3.0)
        else:
            answered(gate, 3.0)

    assert {id: kind for _, id, _, kind in book.verdicts} == {10: AnswerKind.OK, 11: AnswerKind.UNAVAILABLE, 12: AnswerKind.OK}
    assert (rounds, book.charged, book.calls, book.wakes) == (3, [], [], [])


def test_helpers_that_end_over_everything_end_over_each_message_twice_at_most() -> None:
    """In an outage, too: no message of a door ends helper after helper."""
    gate, book = make(max_in_flight=4, timeout=Seconds(1000))
    for id in range(10, 30):
        gate.ask(1.0, "door", of_door(id))
    ends = 0
    while gate.in_flight:
        ends += 1
        assert ends <= 20 * MOST_ENDS
        end(gate, 2.0)

    assert sorted(id for _, id, _, kind in book.verdicts if kind is AnswerKind.UNAVAILABLE) == list(range(10, 30))
    assert all(sum(message == id for _, _, message in book.sent) <= MOST_ENDS for id in range(10, 30))


def test_beside_others_twice() -> None:
    """A suspect may be cleared without a trial, if there are too many of them. It still has its count."""
    gate, book = make()
    for id in (10, 11):
        gate.ask(1.0, "door", of_door(id))
    end(gate, 2.0)
    [tried] = open_in(gate)
    other = 21 - tried
    gate.left(other)
    answered(gate, 3.0)
    gate.ask(3.0, "door", of_door(12))
    assert open_in(gate) == [other, 12]
    end(gate, 4.0)

    assert book.verdicts[-1] == ("door", other, 1, AnswerKind.UNAVAILABLE)
    assert answered(gate, 5.0) == [12]


def test_beside_an_overdue_message_it_is_not_alone() -> None:
    """We ended that helper, over another message."""
    gate, book = make()
    gate.ask(0.0, "c", ask(1, park=False))
    gate.ask(5.0, "door", of_door(10))
    for number in (1, 2):
        gate.units[0].written(5.0 * (number - 1), [number])
    gate.tick(10.5)
    end(gate, 11.0)

    assert [(id, kind) for _, id, _, kind in book.verdicts] == [(1, AnswerKind.TIMEOUT)]
    assert (open_in(gate), answered(gate, 12.0)) == ([10], [10])


def test_helpers_that_leave_over_it_again_and_again() -> None:
    """Status 0 is no fault, but a helper that answers one and then leaves over this message would do so for ever."""
    gate, book = make(max_in_flight=2)
    gate.ask(1.0, "door", of_door(10))
    rounds = 0
    while gate.in_flight:
        rounds += 1
        assert rounds <= LEAVES + 1
        gate.ask(1.0, "c", ask(rounds))
        for number in [number for number, request in gate.units[0].open.items() if request.id == rounds]:
            gate.replies(1.0, 0, [HelperReply(number, FilterAnswer(AnswerKind.OK))])
        leave(gate, 1.0)

    assert book.verdicts[-1] == ("door", 10, 1, AnswerKind.UNAVAILABLE)
    assert len(gate._suspects) == len(gate._suspects.leaves) == 0


def test_one_of_a_door_that_has_gone_is_no_suspect() -> None:
    """It would never come to be tried."""
    gate, book = make()
    gate.ask(1.0, "door", of_door(10))
    gate.ask(1.0, "c", ask(2, park=False))
    gate.client_gone("door")
    end(gate, 2.0)

    assert list(gate._suspects) == [2]
    assert answered(gate, 3.0) == [2]
    assert (len(gate._suspects), [id for _, id, _, _ in book.verdicts]) == (0, [2])
