"""The power-cut storm: an image of the disk, taken at any instant, is all that is left. What was durable then comes out of it, once.

The base directory lies in a filesystem image, which lies on an xfs that can copy a file by sharing its blocks: such a copy
is of one instant, and is what a disk would hold if the power had failed then. Each copy is mounted, its journal is replayed,
an engine runs on it until it has nothing to do, and what is there is compared with what was durable before the cut.
"""

import os
import random
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from enqueuer.lab.trial import Trial, signal_all
from tests.storm import disks, weather

CUTS_A_RUN = 20
CUTS_PER_SECOND = 6.0
BATCH = 6
"""Drops that are made durable together."""
OPTIONS = {"ext4": ("loop",), "xfs": ("loop", "nouuid")}


class Cut(NamedTuple):
    """The disk as it was at one instant, and what was durable before that."""

    image: Path
    dropped: frozenset[str]
    """Messages in Submitted/ or beyond it."""
    consumed: frozenset[str]
    """Files that a consumer had taken for good."""


class Load(threading.Thread):
    """A dropper and a consumer that do all with fsync: what they noted down is durable."""

    def __init__(self, place: Path, ledger: weather.Ledger) -> None:
        super().__init__(name="load", daemon=True)
        self._place = place
        self._ledger = ledger
        self.dropped: list[str] = []
        self.consumed: list[str] = []
        self._over = threading.Event()
        (place / "consumed").mkdir()
        _fsync(place)  # or a cut that comes early takes it away

    def run(self) -> None:
        while not self._over.is_set():
            self._drop()
            self._consume()

    def finish(self) -> None:
        self._over.set()
        self.join()

    def _drop(self) -> None:
        folder = self._place / "base/Submitted"
        mails = [self._ledger.make() for _ in range(BATCH)]
        for mail in mails:
            with (folder / f"{mail.name}.tmp").open("wb") as file:
                file.write(mail.data)
                file.flush()
                os.fsync(file.fileno())
        for mail in mails:
            (folder / f"{mail.name}.tmp").rename(folder / f"{mail.name}.eml")
        _fsync(folder)
        self.dropped += [mail.name for mail in mails]

    def _consume(self) -> None:
        """Every third file is taken, for good; the others stay in Outbound."""
        names = []
        for module in (self._place / "base/Outbound").iterdir():
            for path in module.glob("[!.]*"):
                if int(path.stem.partition("-")[0]) % 3 == 0:
                    names.append(f"{module.name}.{path.name}")
                    path.rename(self._place / "consumed" / names[-1])
        if names:
            _fsync(self._place / "consumed")
            self.consumed += names


def _fsync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
@pytest.mark.parametrize("cuts", [pytest.param(2, id="short"), pytest.param(100, id="long", marks=pytest.mark.storm)])
def test_what_was_durable_comes_out_once_after_a_power_cut(kind: str, cuts: int, tmp_path: Path) -> None:
    """Every drop that was durable before the cut comes out in its one place, whole; what a consumer took for good stays taken."""
    disks.need("mkfs.xfs", f"mkfs.{kind}")
    began = time.monotonic()
    chance = weather.seeded(f"power-cut storm on {kind}")
    seen = Counter[str]()
    messages = 0
    with ExitStack() as stack:
        outer = _outer(tmp_path, stack)
        while seen["cuts"] < cuts:
            ledger = weather.Ledger(random.Random(chance.random()))
            taken = _live(kind, outer, tmp_path, ledger, chance, min(CUTS_A_RUN, cuts - seen["cuts"]))
            for cut in taken:  # which may add to them
                taken += _recovered(kind, cut, tmp_path / "after", ledger, chance, seen)
                cut.image.unlink()
            messages += len(ledger.mails)
    print(f"power-cut storm on {kind}: {messages} messages, {dict(seen)}, {time.monotonic() - began:.0f} s")


def _outer(tmp_path: Path, stack: ExitStack) -> Path:
    """The disk on which images can be copied in an instant."""
    image = tmp_path / "outer.img"
    with image.open("wb") as file:
        file.truncate(16 << 30)
    disks.run("mkfs.xfs", "-q", "-m", "reflink=1", image)
    return stack.enter_context(disks.mounted(image, tmp_path / "outer", "loop"))


def _live(kind: str, outer: Path, tmp_path: Path, ledger: weather.Ledger, chance: random.Random, cuts: int) -> list[Cut]:
    """Run an engine under load, and keep what the disk held at some instants."""
    image = outer / "live.img"
    found = list[Cut]()
    disks.make(kind, image)
    with ExitStack() as stack:
        place = stack.enter_context(disks.mounted(image, tmp_path / "live", *OPTIONS[kind]))
        trial = stack.enter_context(Trial(place / "base", weather.config(tmp_path / "markers")))
        load = Load(place, ledger)
        load.start()
        stack.callback(load.finish)
        for _ in range(cuts):
            weather.until(time.monotonic() + chance.expovariate(CUTS_PER_SECOND))
            if chance.random() < 0.1:
                signal_all(trial.pids("queue manager"))
            dropped = frozenset(load.dropped)
            consumed = frozenset(load.consumed)
            found.append(_copy(image, Cut(image, dropped, consumed)))
    image.unlink()
    return found


def _copy(image: Path, cut: Cut) -> Cut:
    """The power fails: the image as it is now."""
    copy = image.with_name(f"cut{time.monotonic_ns()}.img")
    disks.run("cp", "--reflink=always", image, copy)
    return cut._replace(image=copy)


def _recovered(kind: str, cut: Cut, place: Path, ledger: weather.Ledger, chance: random.Random, seen: Counter[str]) -> list[Cut]:
    """Run an engine on what is left until it has nothing to do, and compare. One in five loses its power again while it recovers."""
    again = []
    with ExitStack() as stack:
        stack.enter_context(disks.mounted(cut.image, place, *OPTIONS[kind]))
        base = place / "base"
        for half in (base / "Submitted").glob("*.tmp"):
            half.unlink()  # of the dropper; it was not told that it had dropped anything
        _count(base, seen)
        trial = Trial(base)
        stack.callback(trial.end)
        trial.launch()
        if chance.random() < 0.2:
            weather.until(time.monotonic() + chance.uniform(0.1, 0.8))
            again.append(_copy(cut.image, cut))
        trial.wait(lambda: weather.runs(trial), "the engine runs")
        weather.settled(trial)
        assert trial.stop() == 0, trial.last_words()
        _compare(place, cut, ledger.fresh())
    return again


def _count(base: Path, seen: Counter[str]) -> None:
    """In which states the cut has met messages."""
    seen["cuts"] += 1
    kinds = {".tmp": "being ingested", ".msg": "being judged", ".done": "being published"}
    for path in (base / "Queue").iterdir():
        if path.suffix in kinds:
            seen[kinds[path.suffix]] += 1
    seen["staged"] += len(os.listdir(base / "Staged"))


def _compare(place: Path, cut: Cut, ledger: weather.Ledger) -> None:
    for path in sorted((place / "consumed").iterdir()):
        ledger.take(path.name.partition(".")[0], path.read_bytes())
    missing = cut.consumed - set(os.listdir(place / "consumed"))
    weather.take_outbound(place / "base", ledger)
    weather.take_quarantine(place / "base", ledger)

    assert missing == set()
    assert ledger.wrong(sorted(cut.dropped | ledger.came.keys())) == []
