"""Demands on finding what a filter sends around: an unbroken row of copies, and nothing that others drop."""

import random
from collections.abc import Iterator

import pytest

from enqueuer.ipc.frames import LOOP_SAMPLE
from enqueuer.manager.loops import FORGET, LEAST, MINUTE, MOST_CLOSED, MOST_KNOWN, OFTEN, SET_BACK, SURE, WATCHED, LoopDetector

SECOND = 10**9


def _loops(most: int = LEAST) -> LoopDetector:
    made = LoopDetector()
    made.most = most
    return made


def _around(loops: LoopDetector, rounds: int, key: bytes = b"A", start: int = 0) -> list[bool]:
    """A helper works a second on each copy, and writes the next one in the middle of it."""
    begins = range(start, start + rounds * SECOND, SECOND)
    return [loops.stopped((key, b"", b""), "Loop", begin - SECOND // 2, begin, begin + SECOND - 1, begin + SECOND - 1) for begin in begins]


def test_a_row_longer_than_max_hops_is_a_circle() -> None:
    """The filter is named; from then on no filter is asked for such messages."""
    loops = _loops(most=50)

    assert _around(loops, 50) == [False] * 50
    assert loops.closed(0) == ()
    assert _around(loops, 1, start=50 * SECOND) == [True]
    assert loops.closed(51 * SECOND) == ((b"A", "Loop"),)


def test_the_same_file_dropped_again_and_again_is_none() -> None:
    """All are there before the first is judged, or each comes when the one before is done."""
    loops = _loops()

    for n in range(100):
        begin = 100 * SECOND + n * SECOND
        assert not loops.stopped((b"at once",), "F", n, begin, begin + SECOND, begin + SECOND)
        assert not loops.stopped((b"one by one",), "F", begin, begin + 5000, begin + 9000, begin + 9000)
        assert not loops.stopped((b"as fast as they go",), "F", begin, begin + 5000, begin + 3 * SECOND, begin + 3 * SECOND)


def _judged(interval: float, latency: float) -> Iterator[tuple[int, int, int]]:
    """One message dropped 2000 times, through four processors: when each was decided, made, and begun; by whole ticks of 4 ms."""
    chance = random.Random(1)
    free = [0.0] * 4
    made = 0.0
    found = list[tuple[float, float, float]]()
    for _ in range(2000):
        made += chance.expovariate(1 / interval)
        first = free.index(min(free))
        begun = max(free[first], made + chance.uniform(0.0005, 0.002))
        free[first] = begun + chance.expovariate(1 / latency) + 0.0003
        found.append((free[first], made, begun))
    for decided, made, begun in sorted(found):
        yield int(decided * 250) * SECOND // 250, int(made * 250) * SECOND // 250, int(begun * 250) * SECOND // 250


@pytest.mark.parametrize("latency", [0.0002, 0.001, 0.005, 0.02, 0.2])
@pytest.mark.parametrize("interval", [0.0001, 0.001, 0.005, 0.015, 0.02, 0.1])
def test_one_message_dropped_at_any_pace_is_no_circle(interval: float, latency: float) -> None:
    """Spam that comes a thousand times and is discarded each time is discarded a thousand times."""
    loops = _loops(most=1)

    for decided, made, begun in _judged(interval, latency):
        assert not loops.stopped((b"A", b"B", b""), "F", made, begun, decided, decided)
        assert not loops.passed(b"C", "F", made, begun, decided, decided)


def _round(n: int) -> tuple[int, int, int, int]:
    """When the nth copy was made, begun and decided: in the middle of the one before."""
    begin = n * SECOND
    return begin - SECOND // 2, begin, begin + SECOND - 1, begin + SECOND - 1


@pytest.mark.parametrize("place", [1, 2])
def test_one_thing_that_stays_makes_a_circle_of_a_longer_row(place: int) -> None:
    """It is closed for a minute only: other mail of that sender, or of that name, is closed with it."""
    loops = _loops()
    for n in range(SURE + 1):
        kinds = [b"%d-%d" % (n, each) for each in range(3)]
        kinds[place] = b"A"
        assert loops.stopped(kinds, "Loop", *_round(n)) is (n == SURE)

    now = SURE * SECOND
    assert loops.closed(now) == ((b"A", "Loop"),)
    assert loops.closed(now + 2 * MINUTE) == ()


def test_what_is_held_is_a_circle_by_nothing_less_than_the_same_message() -> None:
    """An outage holds whatever one sender writes, at any pace, and sends none of it to Bad/."""
    loops = _loops()

    assert [loops.deferred(b"A", "F", *_round(n)) for n in range(SURE + 1)] == [False] * SURE + [True]
    assert loops.closed(SURE * SECOND) == ((b"A", "F"),)


def test_two_out_of_order_do_not_hide_a_circle() -> None:
    """Where rows have to be long one that breaks is set back only; one message dropped at any pace is no loop all the same."""
    loops = _loops()
    order = [n + 1 if n % 40 == 20 else n - 1 if n % 40 == 21 else n for n in range(1000)]

    assert any(loops.passed(b"A", "F", *_round(n)) for n in order)


def test_what_passes_and_comes_again_is_watched_and_then_found() -> None:
    """Of what is enqueued few are told, until one kind was told often: then all are asked for, and a row is one."""
    loops = _loops()
    for n in range(OFTEN):
        assert loops.closed(n * SECOND) == ()
        assert not loops.passed(b"A", "F or G", *_round(LOOP_SAMPLE * n))
    assert loops.closed(LOOP_SAMPLE * OFTEN * SECOND) == ((b"A", ""),)

    start = LOOP_SAMPLE * OFTEN + 1
    found = [loops.passed(b"A", "F or G", *_round(n)) for n in range(start, start + SURE + 1)]
    assert found == [False] * SURE + [True]
    assert loops.closed((start + SURE) * SECOND) == ((b"A", "F or G"),)


def test_what_only_comes_often_is_watched_for_a_while() -> None:
    """One message dropped any number of times: then it is left alone, for as many."""
    loops = _loops()
    now = 0
    watched = []
    for n in range(OFTEN + 2 * WATCHED):
        now = n * SECOND
        assert not loops.passed(b"A", "F", n, now, now + 1, now + 1)
        watched.append(loops.closed(now) != ())
    assert sum(watched) == WATCHED

    for _ in range(OFTEN):
        loops.passed(b"A", "F", now, now, now + 1, now + 1)
    assert loops.closed(now) == ((b"A", ""),)
    assert loops.closed(now + 2 * MINUTE) == ()


def test_within_one_tick_of_the_clock_of_files() -> None:
    """A fast helper makes the copy, and is done, before that clock has moved."""
    loops = _loops()
    found = [loops.stopped((b"A",), "Loop", 10 * SECOND, 10 * SECOND, 10 * SECOND, 10 * SECOND + n) for n in range(LEAST + 1)]

    assert found == [False] * LEAST + [True]


def test_what_is_not_seen_for_long_is_open_again() -> None:
    loops = _loops()
    _around(loops, LEAST + 1)
    assert loops.closed(LEAST * SECOND + FORGET) != ()

    assert loops.closed((LEAST + 2) * SECOND + FORGET) == ()


def test_an_administrators_word_opens_all() -> None:
    loops = _loops()
    _around(loops, LEAST + 1)
    loops.forget()

    assert loops.closed(0) == ()
    assert not any(_around(loops, LEAST, start=100 * SECOND))


@pytest.mark.parametrize("count", [MOST_KNOWN + 10])
def test_memory_is_bounded(count: int) -> None:
    """Rows and loops of any number: the last ones are known."""
    loops = _loops()
    for n in range(count):
        _around(loops, LEAST + 1, b"%d" % n)

    closed = loops.closed(0)
    assert len(closed) == MOST_CLOSED
    assert closed[-1] == (b"%d" % (count - 1), "Loop")
    assert len(loops._rows) == MOST_KNOWN


def test_the_numbers_are_those_that_were_measured() -> None:
    """Rows by chance were measured with these (docstrings of loops.py): another number needs another measurement."""
    assert (LEAST, SURE, SET_BACK, OFTEN, WATCHED) == (30, 100, 8, 8, 1000)
    assert (MOST_KNOWN, MOST_CLOSED, MINUTE, FORGET) == (4096, 100, 60 * SECOND, 3600 * SECOND)
    assert LOOP_SAMPLE == 17
    assert LoopDetector().most == 50


def test_a_circle_is_closed_to_the_last_moment_of_its_time() -> None:
    loops = _loops()
    _around(loops, LEAST + 1)
    last = (LEAST + 1) * SECOND - 1  # when the last copy was decided

    assert loops.closed(last + FORGET) == ((b"A", "Loop"),)
    assert loops.closed(last + FORGET + 1) == ()


def test_what_is_watched_is_so_for_a_minute_from_its_last_copy() -> None:
    loops = _loops()
    for n in range(OFTEN + 1):
        loops.passed(b"A", "F", 0, SECOND, SECOND, n * SECOND)

    assert loops.closed(OFTEN * SECOND + MINUTE) == ((b"A", ""),)
    assert loops.closed(OFTEN * SECOND + MINUTE + 1) == ()


def test_a_row_that_breaks_is_set_back_and_no_further_than_to_its_beginning() -> None:
    """A long row that breaks once needs SET_BACK more copies; one that has just begun begins again."""
    loops = _loops()
    found = [loops.deferred(b"A", "F", *_round(n)) for n in range(50)]
    found += [loops.deferred(b"A", "F", *_round(n)) for n in range(100, 170)]
    assert found.index(True) == SURE + SET_BACK + 1

    assert [loops.deferred(b"B", "F", *_round(2 * n)) for n in range(3)] == [False] * 3
    found = [loops.deferred(b"B", "F", *_round(n)) for n in range(100, 100 + SURE + 1)]
    assert found.index(True) == SURE


def test_a_short_row_that_breaks_begins_again() -> None:
    """What a filter stopped is a loop sooner, so nothing is left of the row."""
    loops = _loops()
    _around(loops, LEAST)

    assert _around(loops, LEAST + 1, start=1000 * SECOND) == [False] * LEAST + [True]


@pytest.mark.parametrize(("created", "longer"), [(-1, False), (0, True), (SECOND - 1, True), (SECOND, False)])
def test_a_copy_was_made_while_the_one_before_was_scanned(created: int, longer: bool) -> None:
    """From the tick in which that one began to the tick in which it was decided; what is beside them breaks the row."""
    loops = _loops()
    _around(loops, LEAST)
    began = (LEAST - 1) * SECOND

    assert loops.stopped((b"A",), "Loop", began + created, began + 2 * SECOND, began + 3 * SECOND, began + 3 * SECOND) is longer


def test_a_copy_is_not_older_than_the_end_of_the_last_but_one() -> None:
    """Two processors: the one before began early. A copy that was made before the last but one was decided proves no row."""
    loops = _loops()
    _around(loops, LEAST - 1)
    end = (LEAST - 1) * SECOND - 1  # when the last but one was decided
    loops.stopped((b"A",), "Loop", end, 0, end + SECOND, end + SECOND)

    assert not loops.stopped((b"A",), "Loop", end - 1, end + SECOND, end + 2 * SECOND, end + 2 * SECOND)


def test_a_closed_kind_is_watched_no_more() -> None:
    """Each kind is named once to the processors."""
    loops = _loops()
    for n in range(OFTEN):
        loops.passed(b"A", "F", *_round(2 * n))
    assert loops.closed(OFTEN * SECOND) == ((b"A", ""),)

    _around(loops, LEAST + 1, start=100 * SECOND)
    assert loops.closed(140 * SECOND) == ((b"A", "Loop"),)


def test_the_watched_and_the_counted_are_bounded() -> None:
    """The kinds that were reported last are known; one that comes again counts as seen last."""
    loops = _loops()
    for n in range(MOST_CLOSED + 1):
        for _ in range(OFTEN):
            loops.passed(b"%d" % n, "F", 0, SECOND, SECOND, SECOND)
    watched = [kind for kind, _ in loops.closed(SECOND)]
    assert watched == [b"%d" % n for n in range(1, MOST_CLOSED + 1)]

    for n in range(MOST_KNOWN + 1):
        loops.passed(b"once %d" % n, "F", 0, SECOND, SECOND, SECOND)
        loops.passed(b"again", "F", 0, SECOND, SECOND, SECOND) if n < OFTEN - 2 else None
    assert len(loops._told) == MOST_KNOWN
