"""Beside the limit: how close does the engine come to what this machine can do?

The bare loop (bench/limits/bare.py) does the same durable work and nothing else: no rules, lanes, log, recovery or watcher. The
disk alone writes, syncs, renames and unlinks the same files in one process, without claims, questions or a second process. A ratio
near 1 shows that a faster engine needs less work, not faster code. Each row is measured in turns, from the same pile, on the same
filesystem. All rates are read from what was published, so they include neither start-up nor the program that drops the mail. Both
publish "unchanged" mail by hard link.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import folder, lay, message
from bench.limits import disk
from bench.ratio import Case, beside
from bench.record import note, sample

NOOP = {
    "helper that answers at once; the engine links, the bare loop adds a field": Case(messages=5000),
    "helper that answers at once; both publish unchanged mail": Case(messages=5000, links=True),
    "helper that answers at once; both add a field": Case(messages=5000, helper="header"),
}


@pytest.mark.parametrize("processors", [4, *(pytest.param(n, marks=pytest.mark.full) for n in (1, 8))])
@pytest.mark.parametrize("work", [pytest.param(case, marks=pytest.mark.benchmark(group=name)) for name, case in NOOP.items()], ids=range(3))
def test_noop(benchmark: BenchmarkFixture, processors: int, work: Case) -> None:
    """Measure the engine's own cost: nothing waits for a filter."""
    beside(benchmark, {"processors": processors}, work._replace(processors=processors))


@pytest.mark.full
@pytest.mark.benchmark(group="helper of 20 ms, beside the bare loop")
@pytest.mark.parametrize("processors", [1, 8, 16, 32, 64])
def test_helper_of_20_ms(benchmark: BenchmarkFixture, processors: int) -> None:
    """Measure what processors are for: to wait side by side."""
    beside(benchmark, {"processors": processors}, Case(processors, 50 + 50 * processors, helper="sleep:20"))


@pytest.mark.full
@pytest.mark.benchmark(group="the disk alone")
@pytest.mark.parametrize("size", [8192])
def test_disk(benchmark: BenchmarkFixture, size: int) -> None:
    """Write two files, rename one of them, unlink the other and a source; one syncfs for 128 messages."""
    note(benchmark, {"bytes": size})

    def run() -> None:
        with folder() as base:
            (base / "q").mkdir()
            (base / "out").mkdir()
            lay(base, 6000, message(size))
            sample(benchmark, {"messages/s": disk.rate(base, 6000, message(size))})

    benchmark.pedantic(run, rounds=3)  # type: ignore[no-untyped-call]
