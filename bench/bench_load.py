"""Steady load: how long does a message take from the drop folder to Outbound, durable, while so many come each second?

The answer says what load this machine carries: as long as p99 stays low, the engine keeps up; where the median rises too, messages
queue. A no-op helper, so a filter's own time comes on top. A group sync begins each 10 ms at the most: the wait for it is in all figures.
Each row is one run of some seconds; the time is from the rename into the drop folder to inotify's word that the file is in
Outbound.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import Pile, config, engine, helper, message
from bench.load import latencies, quantile
from bench.record import note, sample

SECONDS = 4
FULL = [pytest.param(rate, marks=pytest.mark.full) for rate in (500, 2000, 3000, 4000)]


@pytest.mark.benchmark(group="from drop to Outbound under steady load, 8 processors")
@pytest.mark.parametrize("rate", [1000, *FULL])
def test_steady_load(benchmark: BenchmarkFixture, rate: int) -> None:
    """`rate` messages of 8 KiB are dropped each second, evenly."""
    data = message(8192)
    with engine(config(8, helper("noop"))) as trial:
        Pile(trial, 500, data).run()  # warm
        note(benchmark, {"dropped a second": rate}, plot=["p50 ms", "p99 ms"], scale="log")

        def run() -> None:
            times = sorted(latencies(trial, [data] * (SECONDS * rate), rate))
            sample(benchmark, {"p50 ms": quantile(times, 0.5), "p99 ms": quantile(times, 0.99), "longest ms": times[-1]})

        benchmark.pedantic(run, rounds=1)  # type: ignore[no-untyped-call]
