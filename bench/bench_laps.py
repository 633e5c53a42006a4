"""What do the engine's own clocks cost (`enqueuer status --verbose`)?

The answer is small, so it is measured twice. Engines with and without clocks are started in turns and get the same pile. The measure is
the CPU time of all processes of an engine per message, as the kernel counts it. Starts differ by some percent in any case.
So the medians of two dozen starts show a cost of several percent, but not one below 1 %. The calls of one message, repeated a
hundred thousand times, show that one: compare it with the CPU of a message. The row that measures each message, instead of one in
16, shows what the sample saves.
"""

import sys
import time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import Pile, config, engine, helper, message
from bench.profile import engine_cpu
from bench.record import note, sample
from enqueuer.ipc import timings
from enqueuer.ipc.scoreboard import Scoreboard
from enqueuer.lab import trial as trials

MESSAGES = 2000
ROUNDS = 12
START = "import sys; from enqueuer.ipc import timings; {change}; from enqueuer.cli.app import main; sys.exit(main())"
WAYS = {"without": "timings.StageTimings.start = timings.StageTimings.next = timings.StageTimings.turn = lambda *_: None", "with": "pass"}


@pytest.fixture(scope="module")
def measured() -> dict[str, list[tuple[float, float]]]:
    """Return, for each way, CPU microseconds a message and messages/s of each start, taken in turns."""
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for n in range(ROUNDS):
        for way in sorted(WAYS, reverse=n % 2 == 0):
            found[way].append(_once(WAYS[way]))
    return found


def _once(change: str) -> tuple[float, float]:
    usual = trials.ENGINE
    trials.ENGINE = (sys.executable, "-c", START.format(change=change))
    try:
        with engine(config(4, helper("noop"))) as trial:
            Pile(trial, 500, message(8192)).run()  # warm
            pile = Pile(trial, MESSAGES, message(8192))
            before = engine_cpu(trial)
            begun = time.monotonic()
            pile.run()
            seconds = time.monotonic() - begun
            return (engine_cpu(trial) - before) * 1e6 / MESSAGES, MESSAGES / seconds
    finally:
        trials.ENGINE = usual


@pytest.mark.full
@pytest.mark.benchmark(group="engines with and without their own clocks")
@pytest.mark.parametrize("way", WAYS)
def test_engines(benchmark: BenchmarkFixture, measured: dict[str, list[tuple[float, float]]], way: str) -> None:
    """Measure 4 processors, a helper that answers at once, 8 KiB."""
    note(benchmark, {"clocks": way}, plot=["CPU us a message"])
    for cpu, rate in measured[way]:
        sample(benchmark, {"CPU us a message": cpu, "messages/s": rate})
    benchmark.pedantic(lambda: None, rounds=1)  # type: ignore[no-untyped-call]


@pytest.mark.benchmark(group="the calls of one message")
@pytest.mark.parametrize("every", [timings.SAMPLE, 1])
def test_the_calls_of_one_message(benchmark: BenchmarkFixture, every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the calls of processor and queue manager, with a turn of its loop for each message."""
    monkeypatch.setattr(timings, "SAMPLE", every)
    board = Scoreboard()
    count = 100_000
    processor = timings.StageTimings(board.processor_timings(0), timings.PROCESSOR)
    turns, settler = (timings.StageTimings(board.manager_timings, timings.MANAGER) for _ in range(2))

    def run() -> None:
        for n in range(count):
            turns.turn("intake")
            turns.next("dispatch")
            turns.next("")
            processor.start(n, "reading")
            for state in ("reading", "filter", "rules", "writing", "idle"):
                processor.next(state)
            settler.start(n, "commit")
            for step in ("publish", "count", "unlink", ""):
                settler.next(step)

    note(benchmark, {"measured, one in": every}, plot=["us a message"])
    for _ in range(3):
        begun = time.perf_counter()
        run()
        sample(benchmark, {"us a message": (time.perf_counter() - begun) * 1e6 / count})
    benchmark.pedantic(lambda: None, rounds=1)  # type: ignore[no-untyped-call]
