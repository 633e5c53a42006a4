"""Run the power-cut storm: only an image of the disk, taken at any instant, is left. All durable mail in it must come out once.

The base directory is in a filesystem image on an xfs, which can copy a file by sharing its blocks. Such a copy is of one instant:
a disk would have this content if the power had failed then. Each copy is mounted and its journal is replayed. An engine runs on
it until it has nothing to do. Then the result is compared with what was durable before the cut.
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
    """The disk at one instant, and what was durable before that."""

    image: Path
    dropped: frozenset[str]
    """Messages in Submitted/ or already taken from it."""
    consumed: frozenset[str]
    """Files that a consumer had durably removed."""


class Load(threading.Thread):
    """A dropper and a consumer that sync everything: what they have noted is durable."""

    def __init__(self, place: Path, ledger: weather.Ledger) -> None:
        super().__init__(name="load", daemon=True)
        self._place = place
        self._ledger = ledger
        self.dropped: list[str] = []
        self.consumed: list[str] = []
        self._over = threading.Event()
        (place / "consumed").mkdir()
        _fsync(place)  # else an early cut would lose it

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
        """Remove every third file durably; the others stay in Outbound."""
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
    """Every drop that was durable before the cut comes out whole, in one place; durably removed files do not come back."""
    disks.need("mkfs.xfs", f"mkfs.{kind}")
    began = time.monotonic()
    chance = weather.seeded(f"power-cut storm on {kind}")
    seen = Counter[str]()
    messages = 0
    with ExitStack() as stack:
        outer = _outer(tmp_path, stack)
        while seen["cuts"] < cuts:
            ledger = weather.Ledger(random.Random(chance.random()), splits=True)
            taken = _live(kind, outer, tmp_path, ledger, chance, min(CUTS_A_RUN, cuts - seen["cuts"]))
            for cut in taken:  # the loop may add more cuts
                taken += _recovered(kind, cut, tmp_path / "after", ledger, chance, seen)
                cut.image.unlink()
            messages += len(ledger.mails)
    print(f"power-cut storm on {kind}: {messages} messages, {dict(seen)}, {time.monotonic() - began:.0f} s")


def _outer(tmp_path: Path, stack: ExitStack) -> Path:
    """Provide the disk on which images can be copied in an instant."""
    image = tmp_path / "outer.img"
    with image.open("wb") as file:
        file.truncate(16 << 30)
    disks.run("mkfs.xfs", "-q", "-m", "reflink=1", image)
    return stack.enter_context(disks.mounted(image, tmp_path / "outer", "loop"))


def _live(kind: str, outer: Path, tmp_path: Path, ledger: weather.Ledger, chance: random.Random, cuts: int) -> list[Cut]:
    """Run an engine under load, and keep images of the disk at some instants."""
    image = outer / "live.img"
    found = list[Cut]()
    disks.make(kind, image)
    with ExitStack() as stack:
        place = stack.enter_context(disks.mounted(image, tmp_path / "live", *OPTIONS[kind]))
        trial = stack.enter_context(Trial(place / "base", weather.config(tmp_path / "markers", splits=True)))
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
    """Cut the power: copy the image as it is now."""
    copy = image.with_name(f"cut{time.monotonic_ns()}.img")
    disks.run("cp", "--reflink=always", image, copy)
    return cut._replace(image=copy)


def _recovered(kind: str, cut: Cut, place: Path, ledger: weather.Ledger, chance: random.Random, seen: Counter[str]) -> list[Cut]:
    """Run an engine on an image until it has nothing to do, and compare. In one of five runs the power fails again during recovery."""
    again = []
    with ExitStack() as stack:
        stack.enter_context(disks.mounted(cut.image, place, *OPTIONS[kind]))
        base = place / "base"
        for half in (base / "Submitted").glob("*.tmp"):
            half.unlink()  # an unfinished drop of the dropper, which does not count as dropped
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
    """Count the messages at the cut by their states."""
    seen["cuts"] += 1
    kinds = {".tmp": "being ingested", ".msg": "being scanned", ".done": "being published"}
    for path in (base / "Queue").iterdir():
        if path.suffix in kinds:
            seen[kinds[path.suffix]] += 1
    seen["on hold"] += len(os.listdir(base / "Hold")) // 2
    seen["staged"] += len(os.listdir(base / "Staged"))


def _compare(place: Path, cut: Cut, ledger: weather.Ledger) -> None:
    for path in sorted((place / "consumed").iterdir()):
        ledger.take(path.name.partition(".")[0], path.read_bytes())
    missing = cut.consumed - set(os.listdir(place / "consumed"))
    weather.take_outbound(place / "base", ledger)
    weather.take_quarantine(place / "base", ledger)

    assert missing == set()
    assert ledger.wrong(sorted(cut.dropped | ledger.came.keys())) == []
