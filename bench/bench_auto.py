"""`processors = "auto"`: does it find the number that the load needs, and does it settle?

The filter takes 200 ms and scans any number of messages at the same time, so only processors are scarce. The first table is a pile
of messages, with fixed numbers and with auto, which begins with 2. It shows the cost of growing. The second is a square wave, 60
messages/s for 3 s and nothing for 5 s, again and again, with `auto_idle = "2s"`. This is the worst case: each pause is long enough
to let processors go, and each wave needs them again. The number may swing a few times. Then the patience is longer than the pauses,
and the number stays. A round of the wave takes 8 s by design. With the usual `auto_idle = "30s"` the same happens with pauses of
minutes.
"""

import re
import time
from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import Pile, config, engine, helper, message, until
from bench.record import note, sample
from enqueuer.lab.trial import Trial

MESSAGES = 600
WAVES = 8
ON = 3.0
OFF = 5.0
RATE = 60
CHANGE = re.compile(r"ENQUEUER processors (\d+) -> (\d+): ")


def text(processors: str, idle: str = "30s") -> str:
    lines = f'processors = {processors}\nauto_idle = "{idle}"\nauto_min = 2\nauto_max = 32'
    return config(4, helper("sleep:200")).replace("processors = 4", lines)


@pytest.mark.full
@pytest.mark.benchmark(group="a pile of messages, helper of 200 ms")
@pytest.mark.parametrize("processors", ["2", "8", "32", "auto"])
def test_a_pile(benchmark: BenchmarkFixture, processors: str) -> None:
    """Auto begins with 2 of them; a fixed 32 has nothing to find out."""
    data = message(8192)
    count = MESSAGES if processors != "2" else MESSAGES // 5
    with engine(text('"auto"' if processors == "auto" else processors)) as trial:
        Pile(trial, 2, data).run()
        note(benchmark, {"processors": processors}, messages=count)
        benchmark.pedantic(Pile.run, setup=lambda: ((Pile(trial, count, data),), {}), rounds=1)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def waved() -> Iterator[Trial]:
    """Run one engine for all waves, because it remembers the last one."""
    with engine(text('"auto"', "2s")) as trial:
        yield trial


@pytest.mark.full
@pytest.mark.benchmark(group="a square wave of 3 s on, 5 s off, helper of 200 ms")
@pytest.mark.parametrize("wave", range(1, WAVES + 1))
def test_a_square_wave(benchmark: BenchmarkFixture, waved: Trial, wave: int) -> None:
    """Count the changes within each wave and its pause."""
    before = len(CHANGE.findall(waved.log()))
    enqueued = waved.status()["totals"]["enqueued"]
    note(benchmark, {"wave": wave}, plot=["changes", "processors at its end"], judged=[])
    benchmark.pedantic(_wave, args=(waved, wave), rounds=1)  # type: ignore[no-untyped-call]
    until(waved, enqueued + int(ON * RATE))
    changes = len(CHANGE.findall(waved.log()))
    now = waved.status()["processors"]["configured"]
    sample(benchmark, {"changes": changes - before, "processors at its end": now})


def _wave(trial: Trial, wave: int) -> None:
    data = message(8192)
    began = time.monotonic()
    for n in range(int(ON * RATE)):
        time.sleep(max(0.0, began + n / RATE - time.monotonic()))
        trial.drop(f"{wave}-{n}", data)
    time.sleep(max(0.0, began + ON + OFF - time.monotonic()))
