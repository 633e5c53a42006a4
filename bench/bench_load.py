"""Steady load: how long does a message take from the drop folder to Outbound, durably, at this many messages a second?

The answer shows what load this machine can take. As long as p99 stays low, the engine keeps up. Where the median rises too, messages
queue. The helper does nothing, so a filter's own time comes on top. A group sync begins at most each 10 ms: the wait for it is in all
figures. Each row is one run of some seconds. The time is from the rename into the drop folder to inotify's event for the file in
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
    """Drop `rate` messages of 8 KiB each second, evenly."""
    data = message(8192)
    with engine(config(8, helper("noop"))) as trial:
        Pile(trial, 500, data).run()  # warm
        note(benchmark, {"dropped a second": rate}, plot=["p50 ms", "p99 ms"])

        def run() -> None:
            times = sorted(latencies(trial, [data] * (SECONDS * rate), rate))
            sample(benchmark, {"p50 ms": quantile(times, 0.5), "p99 ms": quantile(times, 0.99), "longest ms": times[-1]})

        benchmark.pedantic(run, rounds=1)  # type: ignore[no-untyped-call]
