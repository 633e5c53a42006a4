import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.tune.measure import StatusSample, rate_of, spread_of, waits


def sample(at: float, done: int) -> StatusSample:
    return StatusSample(at, done, 1, 1, 0, 0, False, {})


def test_the_rate_is_taken_between_rounds() -> None:
    """Four that end together each 0.5 s are 8/s, wherever the looks begin and end."""
    looks = [sample(at / 20, 4 * (at // 10)) for at in range(3, 78)]

    assert rate_of(looks) == pytest.approx(8)


@given(st.floats(0.1, 1000), st.integers(20, 200))
def test_a_steady_rate_is_found(rate: float, looks: int) -> None:
    """Within what a count can tell."""
    samples = [sample(at * 0.05, int(at * 0.05 * rate)) for at in range(looks)]
    done = samples[-1].done

    assert done < 3 or rate_of(samples) == pytest.approx(rate, rel=2 / done + 0.05 / 0.05 / looks + 0.5 / done)


def test_the_spread_is_that_of_the_parts() -> None:
    """Half the range of their rates: 10/s, then 30/s, are 20/s with half of it in both directions."""
    even = [sample(at * 0.05, at) for at in range(80)]
    uneven = [sample(at * 0.1, at if at < 40 else 40 + 3 * (at - 40)) for at in range(80)]

    assert spread_of(even) == pytest.approx(0)
    assert spread_of(uneven) == pytest.approx(0.5, abs=0.05)
    assert spread_of([sample(at * 0.5, 4 * at) for at in range(8)]) == pytest.approx(0)  # rounds that end together


def test_a_spread_of_too_few_messages_is_unknown() -> None:
    """It is not zero, which would look like a good result."""
    assert spread_of([sample(0, 0), sample(1, 1), sample(2, 2), sample(3, 3)]) is None


def test_too_little_is_no_rate() -> None:
    """One instant says nothing, nor does none."""
    assert rate_of([]) == rate_of([sample(0, 0), sample(1, 5)]) == 0.0


def test_waits_are_read_from_the_log() -> None:
    """From the drop's time to the disposition line; other names are other people's."""
    at = time.mktime((2026, 11, 24, 10, 0, 1, 0, 0, -1)) + 0.25
    lines = [
        "10:00:01.260 2 QUEUE([7]) from <>, 9 bytes, 1.eml",
        "10:00:01.750 2 QUEUE([7]) enqueued: OUT",
        "10:00:01.260 2 QUEUE([8]) from <>, 9 bytes, other.eml",
        "10:00:02.000 2 QUEUE([8]) enqueued: OUT",
        "10:00:01.260 2 QUEUE([9]) from <>, 9 bytes, 2.eml",
    ]

    assert waits({"1.eml": at, "2.eml": at}, lines) == [pytest.approx(0.5)]


def test_midnight_may_lie_between() -> None:
    """The log has the time of day only."""
    at = time.mktime((2026, 11, 24, 23, 59, 59, 0, 0, -1)) + 0.9
    lines = ["00:00:00.050 2 QUEUE([7]) from <>, 9 bytes, 1.eml", "00:00:00.150 2 QUEUE([7]) enqueued: OUT"]

    assert waits({"1.eml": at}, lines) == [pytest.approx(0.25)]
