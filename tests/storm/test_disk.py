"""Run the disk storm: no bytes left, no inodes left, read-only, a failing device. No mail is lost, and the engine recovers by itself.

One stack has all four. The base directory is on an ext4, whose image is on a small tmpfs. The image has every block that the ext4
uses; unused blocks are holes. When the tmpfs is full, a write to a new block fails as on a dying disk: write(2) succeeds, and the
sync fails with EIO. The engine runs on a bind mount of the base directory, which can be made read-only. Run and SystemLogs, where
files are open for writing all the time, are separate mounts in it.
"""

import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from enqueuer import basedir
from enqueuer.lab.trial import Trial, TrialError, signal_all, wait
from tests.storm import disks, weather

MEGABYTES = 128
INODES = 4000
RATE = 40
ROUND = 3
"""Troubles until the filesystem is mounted again, so that the output is read from the disk and not from memory."""


class Stack:
    """The filesystems under one engine."""

    def __init__(self, folder: Path, outer: Path, stack: ExitStack) -> None:
        self.outer = outer
        self.disk = folder / "disk"
        self.base = folder / "base"
        self.mount(stack)
        basedir.create(self.disk / "base")
        for path in ("Submitted", "Submitted/.taken", "Queue", "Staged", "Outbound/OUT", "Outbound/SMTP", "Quarantine"):
            _grow(self.disk / "base" / path)

    def mount(self, stack: ExitStack) -> None:
        stack.enter_context(disks.mounted(self.outer / "disk.img", self.disk, "loop"))
        # If the full tmpfs takes a part of a request, Linux' loop device reports all as written. So no request may have two blocks.
        device = os.stat(self.disk).st_dev
        Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/queue/max_sectors_kb").write_text("4")

    def bind(self, stack: ExitStack) -> None:
        for path in (".", "Run", "SystemLogs"):
            stack.enter_context(disks.mounted(self.disk / "base" / path, self.base / path, "bind"))

    # ---- troubles: each lasts until the end of its block

    @contextmanager
    def no_bytes(self) -> Iterator[None]:
        with _filled(self.disk):
            yield

    @contextmanager
    def no_inodes(self) -> Iterator[None]:
        folder = self.disk / "empty"
        folder.mkdir()
        with contextlib.suppress(OSError):
            for number in range(INODES + 1):
                (folder / str(number)).touch()
        yield
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        def done() -> bool:
            with contextlib.suppress(TrialError):  # busy while a file is open for writing
                disks.run("mount", "-o", "remount,bind,ro", self.base)
                return True
            return False

        wait(done, 10.0, "the mount is read-only")
        yield
        disks.run("mount", "-o", "remount,bind,rw", self.base)

    @contextmanager
    def failing(self) -> Iterator[None]:
        disks.run("fstrim", self.disk)
        disks.run("sync", "--file-system", self.disk)  # newly used parts of the filesystem get their blocks
        with _filled(self.outer):
            yield


TROUBLES: dict[str, Callable[[Stack], contextlib.AbstractContextManager[None]]] = {
    "no bytes": Stack.no_bytes,
    "no inodes": Stack.no_inodes,
    "read-only": Stack.read_only,
    "failing": Stack.failing,
}


@contextmanager
def _filled(place: Path) -> Iterator[None]:
    """Fill a filesystem to the last byte."""
    path = place / "filler"
    with path.open("wb") as file, contextlib.suppress(OSError):
        for step in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while True:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), step)
    yield
    path.unlink()


def _grow(folder: Path) -> None:
    """Give a folder the blocks that it will need: they are metadata, and a failed write of metadata shuts the filesystem down."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number:0200}" for number in range(200)]
    for path in paths:
        path.touch()
    for path in paths:
        path.unlink()


class Dropper:
    """Drop messages with fsync. A message that could not be written is dropped again later, under the same name."""

    def __init__(self, folder: Path, ledger: weather.Ledger, chance: random.Random) -> None:
        self._folder = folder
        self._ledger = ledger
        self._chance = chance
        self._again: list[weather.Mail] = []
        self._next = 0.0

    def turn(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._chance.expovariate(RATE)
        mail = self._again.pop() if self._again else self._ledger.make()
        if not self._drop(mail):
            self._again.append(mail)

    def finish(self) -> None:
        def dropped() -> bool:
            self.turn()
            return not self._again

        wait(dropped, 30.0, "the disk takes drops again")

    def _drop(self, mail: weather.Mail) -> bool:
        path = self._folder / f"{mail.name}.tmp"
        try:
            with path.open("wb") as file:
                file.write(mail.data)
                file.flush()
                os.fsync(file.fileno())
            path.rename(path.with_suffix(".eml"))
        except OSError:
            path.unlink(missing_ok=True)
            return False
        return True


@pytest.mark.parametrize("troubles", [pytest.param(2, id="short"), pytest.param(9, id="long", marks=pytest.mark.storm)])
@pytest.mark.parametrize("kinds", [("no bytes", "no inodes", "read-only"), ("failing",)], ids=["full", "failing"])
def test_nothing_is_lost_when_the_disk_fails_and_all_goes_on_afterwards(kinds: tuple[str, ...], troubles: int, tmp_path: Path) -> None:
    """Each message comes out once and whole, also on the disk, after any trouble. It is enough to end the trouble."""
    disks.need("mkfs.ext4", "fstrim")
    began = time.monotonic()
    chance = weather.seeded("disk storm")
    seen = Counter[str]()
    ledger = weather.Ledger(chance)
    with ExitStack() as outer_stack, ExitStack() as stack:
        outer = outer_stack.enter_context(disks.mounted("tmpfs", tmp_path / "outer", f"size={MEGABYTES + 8}M", kind="tmpfs"))
        _make(outer / "disk.img")
        world = Stack(tmp_path, outer, stack)
        while seen.total() < troubles:
            now = chance.choices(kinds, k=min(ROUND, troubles - seen.total()))
            with ExitStack() as bound:
                world.bind(bound)
                _one_round(world, now, ledger, chance, tmp_path / "markers")
            seen.update(now)
            stack.close()
            world.mount(stack)
            _compare(world.disk / "base", ledger)
            print(f"{seen.total()} troubles, {len(ledger.mails)} messages, {time.monotonic() - began:.0f} s", flush=True)
    print(f"disk storm: {len(ledger.mails)} messages, {seen.total()} troubles ({dict(seen)}), {time.monotonic() - began:.0f} s")


def _make(image: Path) -> None:
    """Make an image with every block, so that those of metadata stay; fstrim then removes the unused ones."""
    with image.open("wb") as file:
        file.truncate(MEGABYTES << 20)
    disks.run(*disks.MAKE["ext4"], "-b", "4096", "-m", "0", "-N", str(INODES), image)
    with image.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, MEGABYTES << 20)


def _one_round(world: Stack, kinds: list[str], ledger: weather.Ledger, chance: random.Random, markers: Path) -> None:
    dropper = Dropper(world.disk / "base/Submitted", ledger, chance)
    with Trial(world.base, weather.config(markers, log_level="failures", min_free=chance.choice(("0%", "1%")))) as trial:
        for kind in kinds:
            weather.until(time.monotonic() + chance.uniform(0, 0.5), dropper.turn)
            with TROUBLES[kind](world):
                weather.until(time.monotonic() + chance.uniform(0.3, 1.5), dropper.turn)
                if chance.random() < 0.3:
                    signal_all(trial.pids("queue manager"))
                weather.until(time.monotonic() + chance.uniform(0.3, 1.0), dropper.turn)
            dropper.finish()
            weather.settled(trial)
        assert trial.stop() == 0, trial.last_words()


def _compare(base: Path, ledger: weather.Ledger) -> None:
    weather.take_outbound(base, ledger)
    weather.take_quarantine(base, ledger)

    assert ledger.wrong(ledger.mails) == []
