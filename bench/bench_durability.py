"""Durability: what does a promise cost?

The answer decides `durability`: group (one sync of the filesystem for all ready messages), each (every file and folder by itself, in the
order of the commit, for filesystems that promise less) or off (a power cut may lose mail). 4 processors, 8 KiB, a
helper that answers at once, unchanged mail; the bare loop in turns with the same promise. `each` waits for the device: with a device
that flushes slowly, or a host that only pretends to flush, the figures differ. With `each` the bare loop is no
limit: it waits for one file after the other, while the engine starts all writes before it waits for the first.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.ratio import Case, beside
from bench.results import in_force
from enqueuer.queue.directory.durability import Durability


@pytest.mark.full
@pytest.mark.benchmark(group="durability, 4 processors")
@pytest.mark.parametrize("durability", ["group", "each", "off"])
def test_durability(benchmark: BenchmarkFixture, durability: Durability) -> None:
    """Measure the same pile with three promises. The filesystem may force another one, for the bare loop too."""
    force = in_force(durability)
    named = durability if force == durability else f"{durability} asked, {force} in force"
    beside(benchmark, {"durability": named}, Case(messages=4000, durability=durability, links=True))
