"""Neighbours: do small messages wait for large, slow or hung scans?

The answer decides whether slow scans require more `processors`. Lanes, parking and grace should keep small messages
moving beside any others. 4 processors, a filter that takes 20 ms for a small message, 40 of them a second; times are from
the drop to Outbound. "Over its own time" is the rest after the filter's 20 ms; a part of it is the wait for a group
sync. A slow small scan holds a processor for 100 ms (its grace) before it is set aside. A scan by a filter that is not known to
hang yet holds it for 1 s. So slow scans that come all at once have an effect for a moment. Large ones, which have their own lane, have
none.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import Pile, engine, helper, message
from bench.load import latencies, quantile
from bench.record import note, sample
from enqueuer.lab.trial import Trial

OWN = 20
RATE = 40
COUNT = 240
SMALL = 4096
LARGE = 2 << 20
SCANS = """
[enqueuer]
processors = 4
[[filters]]
name = "F"
program = "{program}"
max_in_flight = 100
pipelining = true
[[filters]]
name = "Hung"
program = "{program}"
max_in_flight = 100
pipelining = true
[[rules]]
name = "the hung one"
conditions = [["Message Size", "greater than", "100K"], ["Message Size", "less than", "1M"]]
actions = [["ExternalFilter", "Hung"], ["Stop Processing"]]
[[rules]]
name = "scan"
priority = 4
actions = [["ExternalFilter", "F"]]
[[routes]]
recipient = "*"
to = "OUT"
"""


def delayed(milliseconds: int, size: int) -> bytes:
    """Return a message for which the helper takes this long."""
    return b"X-Delay: %d\n" % milliseconds + message(size)


HUNG = "20 messages for a hung filter, once it is stalled"
CASES = {
    "alone": [],
    "20 large scans of 2 s": [delayed(2000, LARGE)] * 20,
    "50 slow small scans of 2 s": [delayed(2000, SMALL)] * 50,
    HUNG: [delayed(1_000_000, 200_000)] * 20,
}


@pytest.mark.benchmark(group="small messages beside others, 4 processors")
@pytest.mark.parametrize("beside", [name if n < 2 else pytest.param(name, marks=pytest.mark.full) for n, name in enumerate(CASES)])
def test_small_messages(benchmark: BenchmarkFixture, beside: str) -> None:
    """Drop the others, then 240 small messages at 40 a second."""
    with engine(SCANS.format(program=helper(f"told:{OWN}"))) as trial:
        Pile(trial, 20, message(SMALL)).run()  # warm
        note(benchmark, {"beside": beside}, plot=["p50 ms", "p99 ms"])

        def run() -> None:
            _drop(trial, beside)
            times = sorted(latencies(trial, [message(SMALL)] * COUNT, RATE))
            p50 = quantile(times, 0.5)
            p99 = quantile(times, 0.99)
            sample(benchmark, {"p50 ms": p50, "p99 ms": p99, "p99 ms over its own time": p99 - OWN})

        benchmark.pedantic(run, rounds=1)  # type: ignore[no-untyped-call]


def _drop(trial: Trial, beside: str) -> None:
    for n, data in enumerate(CASES[beside]):
        trial.drop(f"neighbour{n}", data)
    if beside == HUNG:
        trial.wait(lambda: trial.status()["filters"][1]["state"] == "stalled", "the filter is known to hang")
