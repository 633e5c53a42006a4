import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.tune.law import Law, fit

COUNTS = (1, 2, 4, 8, 16, 32, 64)
RATES = st.floats(0.01, 10_000)
PARTS = st.one_of(st.just(0.0), st.floats(1e-4, 0.9))
COSTS = st.one_of(st.just(0.0), st.floats(1e-6, 0.05))


def points(law: Law, counts: tuple[int, ...] = COUNTS) -> list[tuple[int, float]]:
    return [(n, law.at(n)) for n in counts]


@given(RATES, PARTS, COSTS)
def test_a_known_curve_is_found_again(rate: float, sigma: float, kappa: float) -> None:
    """Whatever it is: the curve itself, and its three numbers."""
    law = Law(rate, sigma, kappa)
    found = fit(points(law))

    assert found.error < 1e-4
    assert found.law.rate == pytest.approx(rate, rel=1e-3)
    assert found.law.sigma == pytest.approx(sigma, rel=1e-2, abs=1e-3)
    assert found.law.kappa == pytest.approx(kappa, rel=1e-2, abs=1e-5)


@given(RATES, st.floats(0, 0.5), st.floats(0, 0.01), st.lists(st.floats(-0.05, 0.05), min_size=7, max_size=7))
def test_noise_moves_it_little(rate: float, sigma: float, kappa: float, noise: list[float]) -> None:
    """Five in a hundred up and down do not make the curve differ by more than twenty at any count measured."""
    law = Law(rate, sigma, kappa)
    noisy = [(n, value * (1 + part)) for (n, value), part in zip(points(law), noise, strict=True)]
    found = fit(noisy).law

    assert all(found.at(n) == pytest.approx(law.at(n), rel=0.2) for n in COUNTS)


@given(st.lists(RATES, min_size=1, max_size=7))
def test_any_points_give_a_law(rates: list[float]) -> None:
    """With nothing below zero in it, however odd the points are."""
    found = fit(list(zip(COUNTS, rates, strict=False)))

    assert found.law.rate > 0
    assert min(found.law.sigma, found.law.kappa) >= 0
    assert all(0 < found.law.at(n) < math.inf for n in COUNTS)


def test_one_point_says_that_all_helps() -> None:
    """Nothing speaks of contention yet."""
    assert fit([(4, 100.0)]).law == Law(25.0)


def test_the_peak() -> None:
    """Where the curve turns down, or never."""
    assert Law(1.0, 0.0, 0.01).peak == pytest.approx(10)
    assert Law(1.0, 0.0, 0.01).at(10) > max(Law(1.0, 0.0, 0.01).at(9), Law(1.0, 0.0, 0.01).at(11))
    assert Law(1.0, 0.5).peak == math.inf


def test_nothing_measured_is_an_error() -> None:
    """No law is made up."""
    with pytest.raises(ValueError, match="nothing was measured"):
        fit([])
