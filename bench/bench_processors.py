"""Throughput against processors: does another processor help, and where is the engine's own limit?

The answer decides `processors` in the config file. As long as the filter waits for something else (a network, a daemon), throughput
rises with their number, up to the limit of the engine on this machine. A filter that computes needs as many processors as there are
cores. Messages of 8 KiB, each durable before it is published. The rate is that from the first rename into the drop folder to the
last message in Outbound. The measuring helpers are tight Python loops that do not read the message (bench/helper.py), so a real
scanner's own work comes on top. YARA-X and ClamAV show that work (ClamAV with one signature, so it scans faster than with the usual
eight million).
"""

import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import Pile, config, engine, helper, message
from bench.record import note
from tests.filterlink.filters.daemons import Clamd

SIZE = 8192
CORES = os.cpu_count() or 1
BUSY = 5
"""Milliseconds of CPU for each message, where the helper computes."""


def counts(short: tuple[int, ...], *full: int) -> list[object]:
    return [*short, *(pytest.param(count, marks=pytest.mark.full) for count in full)]


def measure(benchmark: BenchmarkFixture, processors: int, text: str, messages: int, ideal: float | None = None, series: str = "") -> None:
    data = message(SIZE)
    with engine(text) as trial:
        Pile(trial, 2 * processors, data).run()  # warm

        def setup() -> tuple[tuple[Pile], dict[str, object]]:
            return (Pile(trial, messages, data),), {}

        note(benchmark, {"processors": processors}, messages=messages, ideal=ideal, series=series)
        benchmark.pedantic(Pile.run, setup=setup, rounds=3)  # type: ignore[no-untyped-call]


@pytest.mark.benchmark(group="no filter, and a helper that answers at once")
@pytest.mark.parametrize("processors", counts((1, 4), 2, 8, 16, 64))
@pytest.mark.parametrize("program", [None, helper("noop")], ids=["no filter", "noop"])
def test_the_engine_itself(benchmark: BenchmarkFixture, processors: int, program: str | None) -> None:
    """Measure the engine's own limit: processors beyond the cores add little."""
    measure(benchmark, processors, config(processors, program), 3000, series="helper that answers at once" if program else "no filter")


@pytest.mark.benchmark(group="helper of 20 ms")
@pytest.mark.parametrize("processors", counts((1, 16), 4, 8, 32, 64))
def test_helper_of_20_ms(benchmark: BenchmarkFixture, processors: int) -> None:
    """N processors should do N / 20 ms, up to the engine's own limit."""
    measure(benchmark, processors, config(processors, helper("sleep:20")), 40 * processors, processors / 0.02)


@pytest.mark.full
@pytest.mark.benchmark(group="helper of 200 ms")
@pytest.mark.parametrize("processors", [1, 4, 16, 64])
def test_helper_of_200_ms(benchmark: BenchmarkFixture, processors: int) -> None:
    """N processors should do N / 200 ms."""
    measure(benchmark, processors, config(processors, helper("sleep:200")), 10 * processors, processors / 0.2)


@pytest.mark.full
@pytest.mark.benchmark(group=f"helper that computes for {BUSY} ms, a process of it for each core")
@pytest.mark.parametrize("processors", [1, 2, 4, 8])
def test_helper_that_computes(benchmark: BenchmarkFixture, processors: int) -> None:
    """The cores are the limit: more processors than cores must not make it slower."""
    text = config(processors, helper(f"busy:{BUSY}"), instances=CORES)
    measure(benchmark, processors, text, 200, min(processors, CORES) / BUSY * 1000)


@pytest.mark.full
@pytest.mark.benchmark(group="real scanners")
@pytest.mark.parametrize("processors", [1, 2, 4, 8])
def test_yara(benchmark: BenchmarkFixture, processors: int) -> None:
    """Measure `enqueuer filter yara` with its own rules: it computes, in as many processes as there are cores."""
    program = f"{shlex.quote(sys.executable)} -m enqueuer.cli.app filter yara"
    measure(benchmark, processors, config(processors, program, slots=16), 400, series="yara")


@pytest.fixture
def clamd() -> Iterator[Clamd]:
    with tempfile.TemporaryDirectory() as name:
        daemon = Clamd(Path(name), "MaxThreads 16")
        yield daemon.start()
        daemon.kill()


@pytest.mark.full
@pytest.mark.benchmark(group="real scanners")
@pytest.mark.parametrize("processors", [1, 2, 4, 8])
def test_clamd(benchmark: BenchmarkFixture, processors: int, clamd: Clamd) -> None:
    """Measure `enqueuer filter clamd` with ClamAV's daemon on a Unix socket."""
    program = f"{shlex.quote(sys.executable)} -m enqueuer.cli.app filter clamd --socket {shlex.quote(clamd.socket)}"
    measure(benchmark, processors, config(processors, program, slots=16), 400, series="clamd")
