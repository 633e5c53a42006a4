"""Durability: what does a promise cost?

The answer decides `durability`: group (one sync of the filesystem for all messages that are ready), each (every file and folder for
itself, in the order of the commit, for filesystems that promise less) or off (a power cut may lose mail). 4 processors, 8 KiB, a
helper that answers at once, unchanged mail; the bare loop in turns with the same promise. `each` waits for the device: on a device
that is slow to flush, or in a machine whose host lies about flushing, the figures say something else. There the bare loop is no
limit: it waits for one file after the other, while the engine begins the writing of all before it waits for the first.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.ratio import Case, beside


@pytest.mark.full
@pytest.mark.benchmark(group="durability, 4 processors")
@pytest.mark.parametrize("durability", ["group", "each", "off"])
def test_durability(benchmark: BenchmarkFixture, durability: str) -> None:
    """The same pile, three promises."""
    beside(benchmark, {"durability": durability}, Case(messages=4000, durability=durability, links=True))
