import msgspec

from enqueuer.tune.advice import advise
from enqueuer.tune.doubt import doubts
from enqueuer.tune.verdict import Cpu, TuneStep


def step(processors: int, rate: float = 100.0, spread: float | None = 0.02, outside: float = 0.0, idle: float = 0.0) -> TuneStep:
    cpu = Cpu(cores=2, busy=0.9, outside=outside, idle_outside=idle)
    return TuneStep(processors=processors, rate=rate, spread=spread, busy=1, scanning=1, parked=0, piled_up=0, scans=(), cpu=cpu, disk=0.0)


QUIET = [step(1), step(2), step(4)]


def test_a_quiet_measurement_has_no_doubt() -> None:
    assert doubts(QUIET, QUIET) == []


def test_other_programs_are_a_doubt() -> None:
    """One step of many is enough. The smaller of their use in the step and their use without mail counts."""
    steps = [step(1), step(2, outside=1.4, idle=2.0), step(4)]

    assert doubts(steps, steps) == [
        "other programs used up to 1.4 of 2 cores during the measurement. Run it again when the machine is quiet."
    ]


def test_the_daemon_of_a_scanner_is_no_other_program() -> None:
    """It uses the CPU only while there is mail."""
    steps = [step(1, outside=1.0, idle=0.05), step(2, outside=1.8, idle=0.1), step(4, outside=1.9, idle=0.1)]

    assert doubts(steps, steps) == []


def test_a_throughput_that_varies_is_a_doubt() -> None:
    """Only the steps that decide the recommendation count."""
    wavering = step(4, spread=0.35)

    [found] = doubts([*QUIET[:2], wavering], [wavering])
    assert found.startswith("the throughput with 4 processors varied by ±35%. Run it again when the machine is quiet")
    assert doubts([*QUIET[:2], wavering], [QUIET[1]]) == []


def test_an_unknown_spread_is_a_doubt() -> None:
    [found] = doubts(QUIET, [step(2, spread=None)])

    assert found == "too few messages came out to see how much the throughput varies. Run it again with more --seconds."


def test_fewer_than_three_counts_are_a_doubt() -> None:
    assert doubts(QUIET[:1], [])[0].startswith("only 1 count of processors was measured, and 3 are needed.")
    assert doubts(QUIET[:2], [])[0].startswith("only 2 counts of processors were measured")


def test_the_advice_carries_them() -> None:
    """The steps with more slots count, too."""
    assert advise(QUIET).doubts == ()
    raised = [msgspec.structs.replace(step(8, 500.0), spread=0.5)]
    assert any("with 8 processors" in each for each in advise(QUIET, raised).doubts)
