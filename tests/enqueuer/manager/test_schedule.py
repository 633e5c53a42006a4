"""Demands on the order: oldest first, lanes, parking, holding, suspects; and on the events that a state allows."""

from collections.abc import Callable
from typing import get_args

import pytest

from enqueuer.manager.schedule import BACK_EACH, MAX_REASON, Entry, Schedule
from enqueuer.manager.states import TRANSITIONS, Event, IllegalEvent, State
from enqueuer.policy.lanes import Lanes

SMALL = 100
LARGE = 5000


def _schedule(processors: int = 4, share: float = 0.5) -> Schedule:
    return Schedule(Lanes(1000, share, processors))


def _add(schedule: Schedule, *ids: int, size: int = SMALL) -> None:
    for id in ids:
        schedule.add(Entry(id, b"", size, 0.0))


def _next(schedule: Schedule) -> Entry:
    entry = schedule.next()
    assert entry is not None
    return entry


def _all(schedule: Schedule, most: int = 100) -> list[int]:
    """Dispatch until nothing more may go."""
    found: list[int] = []
    while len(found) < most and (entry := schedule.next()) is not None:
        found.append(entry.id)
    return found


def test_the_oldest_goes_first_whatever_its_lane() -> None:
    schedule = _schedule()
    _add(schedule, 3, 1)
    _add(schedule, 2, size=LARGE)

    assert _all(schedule) == [1, 2, 3]


def test_large_messages_never_take_all_processors() -> None:
    """Of four processors two may be busy with large ones; small ones behind them go on."""
    schedule = _schedule()
    _add(schedule, 1, 2, 3, 4, size=LARGE)
    _add(schedule, 5, 6)

    assert _all(schedule) == [1, 2, 5, 6]
    assert (schedule.lane("waiting", large=True), schedule.lane("active", large=True)) == (2, 2)

    schedule.remove(schedule.entries[1])
    assert _all(schedule) == [3]


def test_lane_limits() -> None:
    """At least one, and never all but where there is only one."""
    assert [Lanes(0, 0.5, n).limit for n in (1, 2, 3, 4, 9)] == [1, 1, 1, 2, 4]
    assert [Lanes(0, 1.0, n).limit for n in (1, 2, 8)] == [1, 1, 7]
    assert Lanes(0, 0.01, 8).limit == 1


def test_parked_messages_wait_for_their_own_filter() -> None:
    """A wake of one filter lets the oldest of its own go on, as many as it has room for."""
    schedule = _schedule(8)
    _add(schedule, 1, 2, 3)
    for entry in [schedule.next(), schedule.next()]:
        assert entry is not None
        schedule.park(entry, "A")
    third = schedule.next()
    assert third is not None
    schedule.park(third, "B")

    schedule.wake("A", 1)
    assert _all(schedule) == [1]
    schedule.wake("B", 5)
    assert _all(schedule) == [3]
    assert schedule.counts["parked"] == 1


def test_two_wakes_that_overtake_two_parks_wake_both() -> None:
    """Each WAKE has a free slot behind it: the second one must not take the place of the first."""
    schedule = _schedule(8)
    _add(schedule, 1, 2, 3)
    first = schedule.next()
    second = schedule.next()
    third = schedule.next()
    assert first is not None
    assert second is not None
    assert third is not None
    schedule.wake("A", 1)
    schedule.wake("A", 1)
    for entry in (first, second, third):
        schedule.park(entry, "A")

    assert [first.state, second.state, third.state] == ["waiting", "waiting", "parked"]


def test_a_wake_that_overtakes_the_park_is_not_lost() -> None:
    """The filter may have room again before the processor's PARKED has come."""
    schedule = _schedule()
    _add(schedule, 1)
    entry = schedule.next()
    assert entry is not None

    schedule.wake("A", 1)
    schedule.park(entry, "A")

    assert _all(schedule) == [1]


def test_a_new_multiplexer_wakes_everybody() -> None:
    schedule = _schedule()
    _add(schedule, 1, 2)
    for entry, filter in [(schedule.next(), "A"), (schedule.next(), "B")]:
        assert entry is not None
        schedule.park(entry, filter)

    schedule.wake_all()

    assert _all(schedule) == [1, 2]


def test_held_messages_come_back_at_their_time() -> None:
    schedule = _schedule()
    _add(schedule, 1, 2)
    for until in (20.0, 10.0):
        entry = schedule.next()
        assert entry is not None
        schedule.defer(entry, "A", until)

    assert schedule.release_due(5.0) == 10.0
    assert _all(schedule) == []
    assert schedule.release_due(10.0) == 20.0
    assert _all(schedule) == [2]
    assert schedule.release_due(20.0) is None
    assert _all(schedule) == [1]


def _held(filter: str, until: dict[int, float]) -> Schedule:
    """A schedule in which that filter holds these until then."""
    schedule = _schedule()
    _add(schedule, *until)
    for _ in until:
        entry = schedule.next()
        assert entry is not None
        schedule.defer(entry, filter, until[entry.id])
    return schedule


def test_what_is_held_comes_back_sooner_in_order_and_one_by_one() -> None:
    """Of one filter, the oldest first, none later than it was to come before; the heap's older word counts no more."""
    schedule = _held("A", {1: 500.0, 2: 500.0, 3: 10.0})
    schedule.hasten({"A", "B"}, 20.0, 400.0)

    assert schedule.release_due(9.0) == 10.0
    assert schedule.release_due(10.0) == 20.0
    assert _all(schedule) == [3]
    assert schedule.release_due(20.0) == 20.0 + BACK_EACH
    assert _all(schedule) == [1]
    schedule.defer(schedule.entries[1], "A", 900.0)
    assert schedule.release_due(500.0) == 900.0
    assert _all(schedule) == [2]


def test_a_shorter_retry_after_counts_for_what_is_held_already() -> None:
    """Of any filter; a longer one does not: what was promised holds. What the machine put off is no filter's."""
    schedule = _held("A", {1: 500.0, 2: 50.0})
    schedule.hasten(frozenset(), 0.0, 100.0)
    assert schedule.release_due(0.0) == 50.0
    assert schedule.release_due(50.0) == 100.0

    schedule = _held("", {1: 500.0})
    schedule.hasten({"A"}, 0.0, 100.0)
    assert schedule.release_due(0.0) == 500.0


def test_counts_and_the_oldest_are_true_after_any_walk() -> None:
    schedule = _schedule()
    _add(schedule, 1, 2)
    _add(schedule, 3, size=LARGE)
    first = schedule.next()
    assert first is not None
    schedule.settle(first)

    assert schedule.counts == {"waiting": 2, "active": 0, "settling": 1, "parked": 0, "deferred": 0}
    oldest = schedule.oldest()
    assert oldest is not None
    assert oldest.id == 2
    schedule.remove(first)
    assert len(schedule) == 2


def test_a_changed_lane_border_counts_from_the_next_dispatch() -> None:
    """What is active frees the lane that it took, whatever the border is by then."""
    schedule = _schedule()
    _add(schedule, 1, size=LARGE)
    entry = schedule.next()
    assert entry is not None
    schedule.lanes = Lanes(10_000, 0.5, 4)

    schedule.wait(entry)

    assert (schedule.lane("active", large=True), schedule.lane("waiting", large=False)) == (0, 1)


def test_an_entry_begins_as_new_and_unknown() -> None:
    """The defaults are what recovery and claims rely on: nothing is ingested, counted, suspect or given up."""
    entry = Entry(1, b"", 10, 0.0)

    assert (entry.state, entry.ingested, entry.counted, entry.large, entry.apart) == ("new", False, False, False, False)
    assert (entry.was_held, entry.suspect, entry.own) == (False, False, False)
    assert (entry.n, entry.refusals, entry.begun, entry.deaths, entry.aside, entry.until) == (0, 0, 0, 0, 0.0, 0.0)


# Events and states


def _enter(schedule: Schedule, state: State) -> Entry:
    """A message that has come to that state."""
    entry = Entry(1, b"1.a.eml", SMALL, 0.0)
    if state != "new":
        schedule.add(entry)
    if state not in ("new", "waiting"):
        assert schedule.next() is entry
    reach: dict[State, Callable[[], None]] = {
        "settling": lambda: schedule.settle(entry),
        "parked": lambda: schedule.park(entry, "A"),
        "deferred": lambda: schedule.defer(entry, "A", 9.0),
        "gone": lambda: schedule.remove(entry),
    }
    reach.get(state, lambda: None)()
    assert entry.state == state
    return entry


METHODS: dict[Event, Callable[[Schedule, Entry], object]] = {
    "add": Schedule.add,
    "suspect": Schedule.suspect,
    "dispatch": lambda schedule, _: schedule.next(),
    "park": lambda schedule, entry: schedule.park(entry, "A"),
    "defer": lambda schedule, entry: schedule.defer(entry, "A", 9.0),
    "wait": Schedule.wait,
    "settle": Schedule.settle,
    "remove": Schedule.remove,
}


@pytest.mark.parametrize("event", [event for event in get_args(Event) if event != "dispatch"])
@pytest.mark.parametrize("state", get_args(State))
def test_each_method_does_what_the_table_says(state: State, event: Event) -> None:
    """An event that the state does not allow raises, and changes no count."""
    schedule = _schedule()
    entry = _enter(schedule, state)
    before = dict(schedule.counts)
    if (then := TRANSITIONS[state].get(event)) is None:
        with pytest.raises(IllegalEvent, match=f"message 1 is {state}"):
            METHODS[event](schedule, entry)
        assert (entry.state, schedule.counts) == (state, before)
    else:
        METHODS[event](schedule, entry)
        assert entry.state == then
        assert schedule.counts == dict.fromkeys(schedule.counts, 0) | ({} if then == "gone" else {then: 1})


@pytest.mark.parametrize("state", get_args(State))
def test_only_what_waits_is_dispatched(state: State) -> None:
    schedule = _schedule()
    entry = _enter(schedule, state)

    assert (schedule.next() is entry) is ("dispatch" in TRANSITIONS[state])


def test_a_second_message_of_one_id_is_a_fault_of_ours() -> None:
    schedule = _schedule()
    _add(schedule, 1)

    with pytest.raises(IllegalEvent, match="message 1 is waiting"):
        _add(schedule, 1)
    assert (len(schedule), schedule.counts["waiting"]) == (1, 1)


def test_a_wake_that_is_owed_lets_only_an_active_message_go_on() -> None:
    """Parking what is deferred is a fault of ours, whatever is owed."""
    schedule = _schedule()
    _add(schedule, 1, 2)
    deferred = _next(schedule)
    _ = _next(schedule)
    schedule.defer(deferred, "A", 9.0)
    schedule.wake("A", 1)

    with pytest.raises(IllegalEvent, match="message 1 is deferred: the event park"):
        schedule.park(deferred, "A")


# Suspects


def _suspects(*ids: int) -> Schedule:
    schedule = _schedule()
    _add(schedule, *ids)
    for id in ids:
        schedule.suspect(schedule.entries[id])
    return schedule


def test_suspects_run_one_at_a_time_and_others_beside_them() -> None:
    schedule = _suspects(1, 2)
    _add(schedule, 3, 4)

    assert _all(schedule) == [1, 3, 4]
    assert schedule.entries[1].suspect
    schedule.settle(schedule.entries[1])
    assert _all(schedule) == [2]


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_suspect_takes_no_place_of_a_lane(size: int) -> None:
    """It goes by the lane of suspects, although large messages have all the places that they may take."""
    schedule = _schedule(2)
    _add(schedule, 1, size=LARGE)
    _add(schedule, 2, size=size)
    schedule.suspect(schedule.entries[2])

    assert _all(schedule) == [1, 2]


def test_the_next_suspect_runs_when_the_one_before_is_set_aside_or_gone() -> None:
    schedule = _suspects(1, 2, 3)
    schedule.park(_next(schedule), "A")
    assert _all(schedule) == [2]
    schedule.wake("A", 1)
    assert _all(schedule) == []
    schedule.remove(schedule.entries[2])
    assert _all(schedule) == [1]
    schedule.defer(schedule.entries[1], "A", 10.0)
    assert _all(schedule) == [3]


def test_one_that_is_cleared_keeps_no_suspect_waiting() -> None:
    """It is as others are: it goes by its own lane, beside a suspect."""
    schedule = _suspects(1, 2)
    first = _next(schedule)
    first.suspect = False
    schedule.defer(first, "A", 0.0)
    schedule.release_due(0.0)

    assert _all(schedule) == [1, 2]


# Parking, and wakes that are owed


def _active(schedule: Schedule, *ids: int, size: int = SMALL) -> list[Entry]:
    _add(schedule, *ids, size=size)
    return [_next(schedule) for _ in ids]


def test_a_wake_lets_the_oldest_go_on_and_owes_no_more_than_work_is_under_way() -> None:
    """Three places for one message that is parked and one that a processor has: one is owed, and not for ever."""
    schedule = _schedule(8)
    first, second = _active(schedule, 1, 2)
    schedule.park(first, "A")
    schedule.wake("A", 3)
    assert (first.state, second.state) == ("waiting", "active")

    schedule.park(second, "A")
    assert second.state == "waiting"
    for entry in (_next(schedule), _next(schedule)):
        schedule.park(entry, "A")
    assert (first.state, second.state) == ("parked", "parked")


def test_a_wake_goes_to_the_oldest_as_many_as_there_is_room_for() -> None:
    schedule = _schedule(8)
    for entry in reversed(_active(schedule, 1, 2, 3)):
        schedule.park(entry, "A")
    schedule.wake("A", 2)

    assert _all(schedule) == [1, 2]
    assert schedule.entries[3].state == "parked"


def test_a_wake_is_of_one_lane() -> None:
    schedule = _schedule(8)
    (small,) = _active(schedule, 1)
    (large,) = _active(schedule, 2, size=LARGE)
    schedule.park(small, "A")
    schedule.park(large, "A")

    schedule.wake("A", 2, large=True)
    assert (small.state, large.state) == ("parked", "waiting")
    schedule.wake("A", 2)
    assert small.state == "waiting"


def test_an_owed_wake_is_of_one_lane_and_one_filter() -> None:
    schedule = _schedule(8)
    first, second = _active(schedule, 1, 2)
    schedule.wake("A", 1, large=True)
    schedule.wake("B", 1)
    schedule.park(first, "A")
    assert first.state == "parked"
    schedule.park(second, "B")
    assert second.state == "waiting"


def test_what_was_parked_in_the_other_lane_before_is_woken_in_its_own() -> None:
    """large_over has changed since: the list of the old lane has an id that counts no more."""
    schedule = _schedule(8)
    (entry,) = _active(schedule, 1, size=LARGE)
    schedule.park(entry, "A")
    schedule.wake_one("A", 1)
    schedule.lanes = Lanes(10_000, 0.5, 8)
    schedule.wait(_next(schedule))
    schedule.park(_next(schedule), "A")

    schedule.wake("A", 1, large=True)
    assert (schedule.counts["parked"], entry.large) == (1, False)
    schedule.wake("A", 1)
    assert entry.state == "waiting"


def test_what_was_parked_for_another_filter_before_is_woken_by_its_own() -> None:
    schedule = _schedule()
    (entry,) = _active(schedule, 1)
    schedule.park(entry, "A")
    schedule.wake_one("A", 1)
    schedule.park(_next(schedule), "B")

    schedule.wake("A", 1)
    assert schedule.counts["parked"] == 1
    schedule.wake("B", 1)
    assert entry.state == "waiting"


def test_what_is_parked_apart_is_woken_by_its_id_alone() -> None:
    """Another id, another filter and a wake of the lane leave it; so does a wake that the lane is owed."""
    schedule = _schedule()
    first, second = _active(schedule, 1, 2)
    schedule.park(first, "A", apart=True)
    schedule.wake("A", 1)
    schedule.park(second, "A", apart=True)
    schedule.wake_one("B", 1)
    schedule.wake_one("A", 7)
    assert (first.state, second.state) == ("parked", "parked")

    schedule.wake_one("A", 1)
    assert (first.state, second.state) == ("waiting", "parked")
    schedule.wake_one("A", 1)
    assert first.state == "waiting"


def test_one_that_was_parked_apart_once_is_parked_as_others_are_later() -> None:
    schedule = _schedule()
    (entry,) = _active(schedule, 1)
    schedule.park(entry, "A", apart=True)
    schedule.wake_one("A", 1)
    schedule.park(_next(schedule), "A")

    assert not entry.apart
    schedule.wake("A", 1)
    assert entry.state == "waiting"


def test_a_wake_of_the_lane_leaves_what_is_parked_apart_now_and_was_not_before() -> None:
    """The list of the lane still has its id."""
    schedule = _schedule()
    (entry,) = _active(schedule, 1)
    schedule.park(entry, "A")
    schedule.wake_one("A", 1)
    schedule.park(_next(schedule), "A", apart=True)

    schedule.wake("A", 1)
    assert entry.state == "parked"


def test_a_wake_by_id_that_overtakes_the_park_is_owed_once() -> None:
    """It takes nothing of what the lane is owed."""
    schedule = _schedule()
    first, second = _active(schedule, 1, 2)
    schedule.wake_one("A", 1)
    schedule.wake("A", 1)
    schedule.park(first, "A", apart=True)
    schedule.park(second, "A")
    assert (first.state, second.state) == ("waiting", "waiting")

    schedule.park(_next(schedule), "A", apart=True)
    assert first.state == "parked"


def test_a_wake_by_id_is_owed_to_no_other_state() -> None:
    """What waits goes on anyway; what is deferred or decided meanwhile is owed nothing."""
    schedule = _schedule()
    _add(schedule, 1)
    schedule.wake_one("A", 1)
    schedule.park(_next(schedule), "A")
    assert schedule.entries[1].state == "parked"


@pytest.mark.parametrize("event", ["defer", "settle", "remove"])
def test_an_owed_wake_ends_with_what_the_processor_did(event: Event) -> None:
    schedule = _schedule()
    (entry,) = _active(schedule, 1)
    schedule.wake_one("A", 1)
    METHODS[event](schedule, entry)
    if event == "settle":
        schedule.defer(entry, "A", 0.0)
    if event == "remove":
        _add(schedule, 1)
    else:
        schedule.wait(entry)

    schedule.park(_next(schedule), "A")
    assert schedule.entries[1].state == "parked"


def test_a_new_multiplexer_owes_nothing() -> None:
    """What the old one woke is forgotten: the lists, the wakes of lanes and those by id."""
    schedule = _schedule(8)
    first, second, third = _active(schedule, 1, 2, 3)
    schedule.park(first, "A")
    schedule.wake("B", 1)
    schedule.wake_one("A", 2)
    schedule.wake_all()
    schedule.park(second, "A", apart=True)
    schedule.park(third, "B")

    assert [first.state, second.state, third.state] == ["waiting", "parked", "parked"]


# What others see


def test_since_when_it_is_set_aside_counts_through_tries_for_one_filter() -> None:
    """Reasons are cut; a wait ends them."""
    schedule = _schedule()
    (entry,) = _active(schedule, 1)
    schedule.park(entry, "A", now=5.0, reason="x" * (MAX_REASON + 1))
    assert (entry.filter, entry.aside, entry.reason) == ("A", 5.0, "x" * 200)

    schedule.wake("A", 1)
    assert entry.reason == ""
    schedule.defer(_next(schedule), "A", 9.0, now=7.0, reason="busy")
    assert (entry.aside, entry.reason, entry.until) == (5.0, "busy", 9.0)
    schedule.defer(entry, "B", 9.0, now=8.0)
    assert (entry.filter, entry.aside) == ("B", 8.0)


def test_without_a_time_it_is_set_aside_from_the_first() -> None:
    schedule = _schedule(8)
    first, second = _active(schedule, 1, 2)
    schedule.park(first, "A")
    schedule.defer(second, "A", 9.0)

    assert (first.aside, second.aside) == (0.0, 0.0)
    schedule.defer(second, "A", 9.0, now=3.0)
    assert second.aside == 3.0


def test_how_many_are_before_it_in_its_lane() -> None:
    schedule = _schedule()
    _add(schedule, 1, 3, 5)
    _add(schedule, 2, 4, size=LARGE)
    _next(schedule)

    assert [schedule.older(schedule.entries[id]) for id in (3, 5, 4)] == [0, 1, 1]


def test_the_gauges_of_the_board() -> None:
    """waiting, active, parked, deferred, since when the oldest waits, small waiting and active, large waiting and active, settling."""
    schedule = _schedule(9)
    assert schedule.gauges() == (0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    small = _active(schedule, 1, 2, 3, 4, 5)
    large = _active(schedule, 6, 7, size=LARGE)
    schedule.settle(small[0])
    schedule.park(small[1], "A")
    schedule.defer(small[2], "A", 9.0)
    schedule.settle(large[0])
    schedule.add(Entry(10, b"", LARGE, 2.5))
    schedule.add(Entry(11, b"", SMALL, 3.0))
    schedule.add(Entry(12, b"", SMALL, 3.5))

    assert schedule.gauges() == (3, 5, 1, 1, 2_500_000_000, 2, 2, 1, 1, 2)
    oldest = schedule.oldest()
    assert oldest is not None
    assert oldest.id == 10


def test_nothing_is_the_oldest_of_nothing() -> None:
    schedule = _schedule()
    assert schedule.oldest() is None
    (entry,) = _active(schedule, 1)
    assert (schedule.oldest(), schedule.next(), entry.state) == (None, None, "active")


def test_exactly_large_over_is_small() -> None:
    schedule = _schedule()
    _add(schedule, 1, size=1000)
    _add(schedule, 2, size=1001)

    assert (schedule.lane("waiting", large=False), schedule.lane("waiting", large=True)) == (1, 1)


def test_what_is_deferred_longer_by_a_later_word_is_not_offered_at_the_earlier_time() -> None:
    schedule = _held("A", {1: 5.0})
    schedule.defer(schedule.entries[1], "A", 9.0)

    assert schedule.release_due(5.0) == 9.0
    assert schedule.entries[1].state == "deferred"


def test_what_left_while_it_was_deferred_is_not_offered() -> None:
    schedule = _held("A", {1: 5.0, 2: 5.0})
    schedule.remove(schedule.entries[1])
    schedule.settle(schedule.entries[2])

    assert schedule.release_due(6.0) is None
    assert _all(schedule) == []


def test_hasten_leaves_what_comes_sooner_and_what_is_not_deferred() -> None:
    schedule = _held("A", {1: 50.0, 2: 300.0, 3: 301.0})
    _add(schedule, 4)
    schedule.entries[4].filter = "A"
    schedule.hasten({"A"}, 100.0, 300.0)

    assert [schedule.entries[id].until for id in (1, 2, 3, 4)] == [50.0, 100.0 + BACK_EACH, 100.0 + 2 * BACK_EACH, 0.0]


def test_the_age_of_deferred_mail_is_that_of_the_one_deferred_for_longest() -> None:
    """A further try does not reset the time. A message that has left no longer counts."""
    schedule = _schedule()
    assert schedule.deferred_since() == 0.0
    for id, now in ((1, 10.0), (2, 20.0)):
        _add(schedule, id)
        schedule.next()
        schedule.defer(schedule.entries[id], "A", 100.0, now=now)
    assert schedule.deferred_since() == 10.0
    schedule.wait(schedule.entries[1])
    assert schedule.deferred_since() == 20.0
    schedule.next()
    schedule.defer(schedule.entries[1], "A", 100.0, now=30.0)
    assert schedule.deferred_since() == 10.0
    schedule.remove(schedule.entries[1])
    assert schedule.deferred_since() == 20.0
    schedule.wait(schedule.entries[2])
    assert schedule.deferred_since() == 0.0
