"""Size: what do large messages cost?

The answer says where the copying of bytes overtakes the handling of files: up to some 64 KiB a message costs what its files cost,
beyond that what its bytes cost (read once, written once, hashed once; unchanged mail is published by a hard link, not a copy). 4
processors, a helper that answers at once, group durability; the bare loop with hard links in turns. Over `large_over` (1 MiB)
messages take half of the processors at the most.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.ratio import Case, beside

KIB = 1024
COUNTS = {1: 4000, 8: 4000, 64: 2000, 1024: 400, 10 * 1024: 60}


@pytest.mark.benchmark(group="size of a message, 4 processors, unchanged mail")
@pytest.mark.parametrize("kib", [1024, *(pytest.param(kib, marks=pytest.mark.full) for kib in COUNTS if kib != 1024)])
def test_size(benchmark: BenchmarkFixture, kib: int) -> None:
    """The same number of processors, larger mail."""
    beside(benchmark, {"KiB": kib}, Case(messages=COUNTS[kib], size=kib * KIB, links=True))
    benchmark.extra_info["scale"] = "log"
