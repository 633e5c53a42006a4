"""Backlog: does a full drop folder make the engine slow, or large?

The answer shows what an outage of an hour costs afterwards. The drop folder holds this many messages of 1 KiB when the engine starts
(4 processors, a helper that answers at once). The rate is that of the first 20,000 that it publishes, or of all, once it has listed
the folder. Memory is the queue manager's private memory at that time, beyond that of an engine without a backlog. "listed" is the time
from "running" until it knows all names. The largest backlog is a million, or as many names as the filesystem has inodes for.
"""

import os
import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import PATIENCE, config, folder, helper, lay, message, published, rate, until
from bench.procs import private_mib, roles
from bench.record import note, sample
from enqueuer.lab.trial import Trial

MOST = 20_000
MILLION = 1_000_000
AHEAD = 2000
"""The most messages that are claimed ahead; further names wait in the drop folder."""


@pytest.mark.benchmark(group="backlog, 4 processors")
@pytest.mark.parametrize("names", [1000, *(pytest.param(n, marks=pytest.mark.full) for n in (10_000, 100_000, MILLION))])
def test_backlog(benchmark: BenchmarkFixture, names: int) -> None:
    """The backlog is in the drop folder, not in the queue: 1000 are claimed ahead."""
    with folder() as path:
        trial = Trial(path / "base", config(4, helper("noop")))
        with trial:
            empty = _memory(trial)
        names = min(names, _room(path))
        lay(trial.base / "Submitted", names, message(1024))
        note(benchmark, {"names": names}, judged=["messages/s"])

        def run() -> None:
            with trial:
                begun = time.monotonic()
                trial.wait(lambda: _known(trial) >= max(names - AHEAD, 1), "the folder is listed", PATIENCE)
                listed = time.monotonic() - begun
                memory = _memory(trial)
                until(trial, min(names, MOST))
            sample(benchmark, {"messages/s": rate(published(trial.base)[:MOST]), "listed s": listed, "MiB more": memory - empty})

        benchmark.pedantic(run, rounds=1)  # type: ignore[no-untyped-call]


def _room(path: Path) -> int:
    """Return the number of files for which there are inodes, with a reserve for the engine and other programs."""
    return int(os.statvfs(path).f_favail * 0.9)


def _known(trial: Trial) -> int:
    status = trial.status()
    return int(status["spool"]["waiting"] + status["totals"]["received"])


def _memory(trial: Trial) -> float:
    return private_mib(roles(trial)["queue manager"][0])
