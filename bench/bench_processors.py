"""Throughput against processors: does another processor help, and where does the engine itself end?

The answer decides `processors` in the config file: as long as the filter waits for something else (a network, a daemon),
throughput rises with the count; without any filter it shows the engine's own ceiling on this machine.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import Pile, config, engine, helper, message

COUNTS = (1, 2, 4, 8, 16)
SIZE = 8192


def _measure(benchmark: BenchmarkFixture, processors: int, program: str | None, count: int) -> None:
    data = message(SIZE)
    with engine(config(processors, program)) as trial:
        Pile(trial, 20, data).run()  # warm

        def setup() -> tuple[tuple[Pile], dict[str, object]]:
            return (Pile(trial, count, data),), {}

        benchmark.extra_info |= {"processors": processors, "messages": count, "bytes": SIZE}
        benchmark.pedantic(Pile.run, setup=setup, rounds=3)  # type: ignore[no-untyped-call]


@pytest.mark.benchmark(group="filter of 50 ms")
@pytest.mark.parametrize("processors", COUNTS)
def test_filter_of_50_ms(benchmark: BenchmarkFixture, processors: int) -> None:
    """A helper that takes 50 ms a message: N processors should do N / 50 ms."""
    _measure(benchmark, processors, helper("sleep:50"), 30 * processors)


@pytest.mark.benchmark(group="no filter")
@pytest.mark.parametrize("processors", COUNTS)
def test_no_filter(benchmark: BenchmarkFixture, processors: int) -> None:
    """No rule names a filter: what the engine itself can do, every message durable before it is published."""
    _measure(benchmark, processors, None, 2000)
