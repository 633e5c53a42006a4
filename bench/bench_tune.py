"""`enqueuer tune`: does it name the right bottleneck, and a number as good as the best?

The answer decides whether to follow its advice. Three set-ups have a known bottleneck: a helper that sleeps for 20 ms, with 16
slots (filter slots); one that computes for 20 ms, one message after the other (scanner CPU); and a disk that does 300 writes a
second (disk; a loop device that the kernel throttles, as root). For comparison, piles of messages with fixed numbers are measured
as in the other benchmarks. "best of the piles" is the smallest number that reaches 0.95 of the highest rate; tune's is right within
a doubling of it.
`--keep-slots` is set here: otherwise the first goes on to 64 slots, and recommends them. A wrong bottleneck fails.
"""

import contextlib
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import Pile, config, engine, folder, helper, message
from bench.record import note, sample
from enqueuer import basedir
from enqueuer.tune.advice import Advice, advise
from enqueuer.tune.rig import Stop
from enqueuer.tune.session import TuneListener, TunePlan, measure

THROTTLE = Path("/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device")
WRITES = 300
"""Writes a second, as on a disk of the last century."""
SECONDS = 40.0
ENOUGH = 0.95


@contextlib.contextmanager
def slow_disk(where: Path) -> Iterator[Path]:
    """Yield a folder on an ext4 of its own on a throttled loop device."""
    image = where / "image"
    place = where / "slow"
    with image.open("wb") as file:
        file.truncate(1 << 30)
    _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
    loop = _run("losetup", "--find", "--show", str(image)).strip()
    number = _run("losetup", "--list", "--noheadings", "--output", "MAJ:MIN", loop).strip()
    place.mkdir()
    _run("mount", loop, str(place))
    try:
        THROTTLE.write_text(f"{number} {WRITES}")
        yield place
    finally:
        THROTTLE.write_text(f"{number} 0")
        _run("umount", str(place))
        _run("losetup", "--detach", loop)


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def tuned(base: Path, text: str, data: bytes) -> Advice:
    basedir.create(base)
    (base / basedir.CONFIG).write_text(text)
    found = measure(TunePlan(base=base, messages=[data], seconds=SECONDS, keep_slots=True), TuneListener(), Stop())
    assert not found.trouble
    return advise(found.steps)


def piles(text: str, counts: tuple[int, ...], each: int, data: bytes) -> dict[int, float]:
    """Return messages/s by number: the median of three piles."""
    rates = {}
    for count in counts:
        with engine(text.replace("processors = 4", f"processors = {count}")) as trial:
            found = []
            for _ in range(3):
                pile = Pile(trial, max(8, each * count), data)
                found.append(max(8, each * count) / _seconds(pile))
            rates[count] = statistics.median(found)
    return rates


def _seconds(pile: Pile) -> float:
    began = time.monotonic()
    pile.run()
    return time.monotonic() - began


def held_against(benchmark: BenchmarkFixture, name: str, kind: str, advice: Advice, rates: dict[int, float]) -> None:
    """Note tune's advice beside the results of the piles."""
    best = min(count for count, rate in rates.items() if rate >= ENOUGH * max(rates.values()))
    count = advice.step.processors
    note(benchmark, {"set-up": name}, plot=["processors of tune", "best of the piles"], judged=["throughput there, ratio"])
    there = rates.get(count, 0.0) / max(rates.values())
    sample(benchmark, {"processors of tune": count, "best of the piles": best, "knee": advice.knee, "throughput there, ratio": there})

    assert advice.verdict.kind == kind, advice.verdict
    assert best / 2 <= count <= best * 2, (count, rates)


@pytest.mark.full
@pytest.mark.benchmark(group="tune beside piles of messages")
@pytest.mark.parametrize(
    ("name", "program", "kind", "counts", "each"),
    [
        ("sleeps 20 ms, 16 slots", "sleep:20", "filter slots", (1, 4, 8, 16, 32), 25),
        ("computes 20 ms", "busy:20", "scanner CPU", (1, 2, 4, 8), 15),
    ],
)
def test_a_filter(benchmark: BenchmarkFixture, name: str, program: str, kind: str, counts: tuple[int, ...], each: int) -> None:
    """Compare: a filter that waits needs its slots filled, one that computes needs a core."""
    text = config(4, helper(program), slots=16)
    data = message(8192)
    with folder() as path:
        advice: Advice = benchmark.pedantic(tuned, args=(path / "base", text, data), rounds=1)  # type: ignore[no-untyped-call]
    held_against(benchmark, name, kind, advice, piles(text, counts, each, data))


@pytest.mark.full
@pytest.mark.benchmark(group="tune beside piles of messages")
def test_a_slow_disk(benchmark: BenchmarkFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare on a slow disk: one processor is as good as many."""
    if os.geteuid() or not THROTTLE.exists():
        pytest.skip("a slow disk takes root and the blkio controller of cgroup v1")
    text = config(4, helper("noop"), slots=16)
    data = message(8192)
    with folder() as path, slow_disk(path) as slow:
        advice: Advice = benchmark.pedantic(tuned, args=(slow / "base", text, data), rounds=1)  # type: ignore[no-untyped-call]
        monkeypatch.setattr("tempfile.tempdir", str(slow))
        held_against(benchmark, f"{WRITES} writes/s", "disk", advice, piles(text, (1, 2, 4), 300, data))
