"""Demands on the order: oldest first, lanes, parking, holding."""

from enqueuer.manager.schedule import BACK_EACH, Entry, Schedule
from enqueuer.policy.lanes import Lanes

SMALL, LARGE = 100, 5000


def _schedule(processors: int = 4, share: float = 0.5) -> Schedule:
    return Schedule(Lanes(1000, share, processors))


def _add(schedule: Schedule, *ids: int, size: int = SMALL) -> None:
    for id in ids:
        schedule.add(Entry(id, f"{id}.a.eml", size, 0.0))


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
    first, second, third = schedule.next(), schedule.next(), schedule.next()
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
