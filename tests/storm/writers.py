"""Play slow writers: they write drops in pieces, with pauses, into a folder from which an engine takes them."""

import contextlib
import heapq
import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from ctypes.util import find_library
from pathlib import Path
from typing import BinaryIO

import pytest

from enqueuer.lab.trial import wait
from tests.helpers.paths import HELPERS
from tests.helpers.trace import bare
from tests.storm import weather

NOBODY = 65534


@contextlib.contextmanager
def shared(folder: Path, place: Path, *refused: str, server_of: str = "shared.py") -> Iterator[None]:
    """Show `folder` at `place` by FUSE: a writer in `folder` is then like one on another machine. Skip the test if FUSE is missing.

    `refused`: "link=1", a call that gets this errno.
    """
    missing = [name for name, there in _needs().items() if not there]
    if missing:
        pytest.skip(f"no FUSE here: {', '.join(missing)}")
    for path in (folder, place):
        path.mkdir(exist_ok=True)
    server = subprocess.Popen([sys.executable, str(HELPERS / server_of), str(folder), str(place), *refused])
    try:
        wait(lambda: os.path.ismount(place), 10, f"{place} is mounted")
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False)
        server.send_signal(signal.SIGTERM)
        server.wait(10)


def _needs() -> dict[str, bool]:
    return {
        "root": os.geteuid() == 0,
        "/dev/fuse": os.access("/dev/fuse", os.R_OK | os.W_OK),
        "fusepy": importlib.util.find_spec("fuse") is not None,
        "libfuse2": find_library("fuse") is not None,
    }


class Plan:
    """One drop: its content in pieces, and the pause of its writer after each."""

    def __init__(self, name: str, pauses: Sequence[float], *, keeps_open: bool = True) -> None:
        lines = [f"From: ann@a.example\nTo: bob@b.example\nSubject: {name}\n\n".encode()]
        lines += [f"piece {number} of {name}\n".encode() for number in range(len(pauses))]
        self.name = name
        self.pauses = list(pauses)
        self.pieces = lines
        self.keeps_open = keeps_open
        self.file: BinaryIO | None = None

    @property
    def whole(self) -> bytes:
        return b"".join(self.pieces)

    def step(self, folder: Path, owner: int) -> float | None:
        """Write the next piece; return the seconds until the one after it, or None if the drop is complete."""
        path = folder / f"{self.name}.eml"
        done = len(self.pieces) - len(self.pauses) - 1
        if self.file is None:
            self.file = path.open("ab", buffering=0)
            os.chown(path, owner, -1)
        self.file.write(self.pieces[done])
        if not self.pauses or not self.keeps_open:
            self.file.close()
            self.file = None
        return self.pauses.pop(0) if self.pauses else None


def write_all(folder: Path, plans: Sequence[Plan], owner: int, begin_within: float, chance: random.Random) -> None:
    """Write all drops side by side, each at its own speed."""
    begun = time.monotonic()
    due = [(begun + chance.random() * begin_within, number) for number in range(len(plans))]
    heapq.heapify(due)
    while due:
        moment, number = heapq.heappop(due)
        weather.until(moment)
        if (pause := plans[number].step(folder, owner)) is not None:
            heapq.heappush(due, (time.monotonic() + pause, number))


def delivered(folders: Sequence[Path]) -> list[bytes]:
    """Return the messages without their envelopes."""
    return [bare(path.read_bytes().partition(b"\n\n")[2]) for folder in folders for path in folder.iterdir() if path.suffix == ".msg"]


def expect_whole(
    plans: Sequence[Plan], outbound: Path, wait_for: Callable[[Callable[[], bool], str, float], object], seconds: float
) -> None:
    """Check that each drop comes out once and whole, and that no partial one comes out even meanwhile."""
    wholes = {plan.whole for plan in plans}

    def all_there() -> bool:
        found = delivered([outbound])
        cut = [each for each in found if each not in wholes]
        assert not cut, f"{len(cut)} of {len(found)} are cut, e.g. {cut[0]!r}"
        return len(found) >= len(plans)

    wait_for(all_there, "all are delivered", seconds)
    assert sorted(delivered([outbound])) == sorted(wholes)
