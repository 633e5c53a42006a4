"""Size: what do large messages cost?

The answer shows where the cost of bytes exceeds the cost of files. Up to about 64 KiB a message costs what its files cost,
beyond that what its bytes cost (read once, written once, hashed once; unchanged mail is published by a hard link, not a copy). 4
processors, a helper that answers at once; the bare loop with hard links in turns. Messages over `large_over` (1 MiB)
take at most half of the processors.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.ratio import Case, beside

KIB = 1024
COUNTS = {1: 4000, 8: 4000, 64: 2000, 1024: 400, 10 * 1024: 60}


@pytest.mark.benchmark(group="size of a message, 4 processors, unchanged mail")
@pytest.mark.parametrize("kib", [1024, *(pytest.param(kib, marks=pytest.mark.full) for kib in COUNTS if kib != 1024)])
def test_size(benchmark: BenchmarkFixture, kib: int) -> None:
    """Measure larger mail with the same number of processors."""
    beside(benchmark, {"KiB": kib}, Case(messages=COUNTS[kib], size=kib * KIB, links=True))
