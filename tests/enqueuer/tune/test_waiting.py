import heapq
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.tune.waiting import erlang_c, expect


def test_one_server_is_known() -> None:
    """M/M/1: who comes waits with the probability of the load, for rho / (mu - lambda)."""
    found = expect(load=6.0, servers=1, capacity=10.0)

    assert erlang_c(1, 0.6) == pytest.approx(0.6)
    assert [found.wait, found.whole] == pytest.approx([0.15, 0.25])


def test_tables_say_the_same() -> None:
    """Erlang's C of 10 servers at 8 Erlang, from the tables."""
    assert erlang_c(10, 8.0) == pytest.approx(0.409, abs=0.001)


@given(st.integers(1, 200), st.floats(0.001, 0.999))
def test_it_is_a_probability(servers: int, part: float) -> None:
    """Whatever the count and the load."""
    assert 0 <= erlang_c(servers, servers * part) <= 1


@given(st.integers(1, 100), st.floats(0.01, 0.98))
def test_more_load_is_more_wait(servers: int, part: float) -> None:
    """And at the capacity and beyond there is no end of it."""
    less, more = (expect(load * 10, servers, 10.0) for load in (part, part + 0.01))

    assert less.wait < more.wait
    assert expect(10.0, servers, 10.0).wait == math.inf


def test_a_simulation_says_the_same() -> None:
    """Eight servers at 0.8: a hundred thousand customers wait what the formula says."""
    chance = random.Random(1)
    free = [0.0] * 8
    now = 0.0
    waited = 0.0
    for _ in range(100_000):
        now += chance.expovariate(6.4)
        begin = max(now, heapq.heappop(free))
        heapq.heappush(free, begin + chance.expovariate(1.0))
        waited += begin - now

    assert waited / 100_000 == pytest.approx(expect(6.4, 8, 8.0).wait, rel=0.1)
