import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.tune.advice import advise, counts, gained, goes_on
from enqueuer.tune.verdict import Cpu, Scans, TuneStep


def step(processors: int, rate: float, slots: int = 0, parked: float = 0.0, cpu: float = 0.2) -> TuneStep:
    scans = (Scans("F", min(processors, slots), slots),) if slots else ()
    return TuneStep(
        processors=processors,
        rate=rate,
        spread=0.01,
        busy=min(processors, slots or processors),
        scanning=min(processors, slots or processors),
        parked=parked,
        piled_up=0.0,
        scans=scans,
        cpu=Cpu(cores=2, busy=cpu, helpers=2 * cpu),
        disk=0.0,
    )


def sweep(rate: float, cap: float, slots: int = 0, most: int = 64, cpu: float = 0.2) -> list[TuneStep]:
    """As tune goes: doubled until more bring nothing."""
    steps: list[TuneStep] = []
    for n in counts(4, most):
        steps.append(step(n, min(n * rate, cap), slots, max(0.0, n - slots) if slots else 0.0, cpu))
        if not goes_on(steps):
            break
    return steps


def test_counts_are_doubled_and_have_todays() -> None:
    """Also where more are configured than would be tried."""
    assert counts(4) == [1, 2, 4, 8, 16, 32, 64]
    assert counts(6, 16) == [1, 2, 4, 6, 8, 16]
    assert counts(100)[-2:] == [64, 100]


def test_it_ends_when_more_bring_nothing() -> None:
    """After one doubling where it is seen why, else after two."""
    assert [each.processors for each in sweep(50, 800)] == [1, 2, 4, 8, 16, 32, 64]
    assert [each.processors for each in sweep(50, 800, slots=16)] == [1, 2, 4, 8, 16, 32]
    assert [each.processors for each in sweep(50, 100, cpu=1.0)] == [1, 2, 4]
    assert [each.processors for each in sweep(50, 50, cpu=1.0)] == [1, 2, 4]  # with two the reason is seen; three are needed
    assert [each.processors for each in sweep(50, 1e9)] == [1, 2, 4, 8, 16, 32, 64]


def test_full_slots_give_their_count() -> None:
    """The knee and what is recommended; the law is that of the counts below the cap."""
    found = advise(sweep(50, 800, slots=16), configured=4)

    assert (found.verdict.kind, found.step.processors, found.knee) == ("filter slots", 16, 16)
    assert found.fit.law.rate == pytest.approx(50)
    assert max(found.fit.law.sigma, found.fit.law.kappa) < 1e-9
    assert found.now is not None
    assert found.now.processors == 4


def test_a_filter_that_computes_gives_the_cores() -> None:
    """Two cores, two processors."""
    found = advise(sweep(50, 100, slots=16, cpu=1.0))

    assert (found.verdict.kind, found.step.processors, found.knee) == ("scanner CPU", 2, 2)


def test_more_slots_are_recommended_where_they_bring_much() -> None:
    """The smallest of those that do as much as the best."""
    steps = sweep(50, 800, slots=16)
    raised = [step(32, 1500, 32, 1), step(64, 1530, 64, 1)]

    assert advise(steps, raised).best == raised[0]
    assert advise(steps, [step(32, 810, 32, 1)]).best == steps[4]
    assert gained(steps[4], raised[0])
    assert not gained(steps[4], step(32, 900))


@given(st.floats(1, 100), st.floats(100, 5000), st.lists(st.floats(-0.02, 0.02), min_size=7, max_size=7))
def test_what_is_recommended_is_within_a_step_of_the_best(rate: float, cap: float, noise: list[float]) -> None:
    """Of the smallest count that reaches the best throughput, with two in a hundred of noise."""
    steps = [msgspec.structs.replace(each, rate=each.rate * (1 + part)) for each, part in zip(sweep(rate, cap), noise, strict=False)]
    found = advise(steps).step
    needed = next(n for n in (*counts(4), 64) if n == 64 or n * rate >= cap)

    assert needed / 2 <= found.processors <= needed * 2 or found.processors == steps[-1].processors


def test_one_processor_is_never_recommended() -> None:
    """One processor is not recommended, not even if it does as much as all other counts, or more."""
    for rates in ((50.0, 50.0, 50.0), (50.0, 40.0, 30.0)):
        found = advise([step(2**power, rate) for power, rate in enumerate(rates)])
        assert (found.step.processors, found.processors) == (2, 2)


def test_no_more_processors_than_slots_are_recommended() -> None:
    """More processors could not use the filter, and the config check would warn of them."""
    assert advise([step(1, 10, 3), step(2, 20, 3), step(4, 30, 3), step(8, 30, 3)]).processors == 3
    assert advise([step(1, 10, 1), step(2, 10, 1), step(4, 10, 1)]).processors == 2


def test_nothing_measured_is_an_error() -> None:
    """No advice is made up."""
    with pytest.raises(ValueError, match="nothing was measured"):
        advise([])
