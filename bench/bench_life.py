"""Life cycle: how long do a start, a recovery, a reload and a change of the number of processors take, and how do they affect mail?

The answer shows what a restart costs a busy server, and whether the configuration can change in the middle of the day. Start-up
is from the command to the state "running". Recovery is the same after SIGKILL of a whole engine with this many messages in the queue
(a filter defers them all). The last table is mail at 500 messages/s during an action: the times from drop to Outbound, and
how long the action took.
"""

import threading
import time
from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import Pile, config, engine, folder, helper, lay, message
from bench.load import latencies, quantile
from bench.record import note, sample
from enqueuer.control import client
from enqueuer.lab.trial import Trial

RATE = 500
SECONDS = 4
RELOAD_PATIENCE = 20.0


@pytest.mark.benchmark(group="start-up")
@pytest.mark.parametrize("processors", [4, *(pytest.param(n, marks=pytest.mark.full) for n in (1, 16, 64))])
def test_start(benchmark: BenchmarkFixture, processors: int) -> None:
    """Start on an empty base directory."""
    note(benchmark, {"processors": processors})
    with folder() as path:
        trial = Trial(path / "base", config(processors, helper("noop")))
        benchmark.pedantic(trial.start, teardown=trial.end, rounds=3)  # type: ignore[no-untyped-call]


@pytest.mark.full
@pytest.mark.benchmark(group="start after SIGKILL, with messages in the queue")
@pytest.mark.parametrize("held", [0, 1000, 10_000])
def test_recovery(benchmark: BenchmarkFixture, held: int) -> None:
    """Recover: the engine finds, reads and orders each message's file."""
    note(benchmark, {"messages in the queue": held})
    with engine(config(4, helper("rejected"))) as trial:
        lay(trial.base / "ready", held, message(2048))
        for path in sorted((trial.base / "ready").iterdir()):
            path.rename(trial.base / "Submitted" / path.name)
        trial.wait(lambda: trial.status()["queue"]["deferred"] == held, "all are deferred", 60)
        benchmark.pedantic(trial.start, setup=trial.kill, rounds=3)  # type: ignore[no-untyped-call]


def nothing(_trial: Trial) -> None:
    pass


def reload(trial: Trial) -> None:
    """Change a setting of the filter: the helper is replaced."""
    trial.configure(config(4, helper("noop"), slots=100))
    client.ask(trial.base, {"command": "reload"}, RELOAD_PATIENCE)


def resize(trial: Trial) -> None:
    trial.configure(config(16, helper("noop")))
    client.ask(trial.base, {"command": "reload"}, RELOAD_PATIENCE)
    trial.wait(lambda: trial.status()["processors"]["running"] == 16, "16 processors run")


ACTIONS: dict[str, Callable[[Trial], None]] = {"nothing": nothing, "reload, the helper replaced": reload, "4 to 16 processors": resize}


@pytest.mark.full
@pytest.mark.benchmark(group="500 messages/s while something is done, 4 processors")
@pytest.mark.parametrize("action", ACTIONS)
def test_loaded(benchmark: BenchmarkFixture, action: str) -> None:
    """Measure how the action affects mail."""
    with engine(config(4, helper("noop"))) as trial:
        Pile(trial, 500, message(8192)).run()  # warm
        note(benchmark, {"meanwhile": action}, plot=["p50 ms", "p99 ms"])
        took: list[float] = []

        def act() -> None:
            begun = time.monotonic()
            ACTIONS[action](trial)
            took.append((time.monotonic() - begun) * 1000)

        def run() -> None:
            timer = threading.Timer(SECONDS / 2, act)
            timer.start()
            times = sorted(latencies(trial, [message(8192)] * (RATE * SECONDS), RATE))
            timer.join()
            sample(
                benchmark,
                {"p50 ms": quantile(times, 0.5), "p99 ms": quantile(times, 0.99), "longest ms": times[-1], "it took ms": took[-1]},
            )

        benchmark.pedantic(run, rounds=1)  # type: ignore[no-untyped-call]
