"""Make filesystems for a storm: images on loop devices, small tmpfs. This needs root; else the storm is skipped, with the reason."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from enqueuer.lab.trial import TrialError, wait

MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0"),
    "xfs": ("mkfs.xfs", "-q"),
    "btrfs": ("mkfs.btrfs", "-q"),
}
MEGABYTES = {"ext4": 96, "xfs": 320, "btrfs": 128}
"""Sizes of the images. An xfs or btrfs cannot be smaller."""


def need(*programs: str) -> None:
    """Skip the test, with the reason, if filesystems cannot be made and mounted."""
    absent = [name for name in (*programs, "mount", "umount") if shutil.which(name) is None]
    reason = "not root" if os.geteuid() else f"not installed: {', '.join(absent)}" if absent else _forbidden()
    if reason:
        print(f"skipped: {reason}")
        pytest.skip(reason)


def _forbidden() -> str:
    """Return why this process may not mount, as for root in a container; an empty text if it may."""
    here = Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0]
    return "" if int(here, 16) >> 21 & 1 else "may not mount (no CAP_SYS_ADMIN)"


def run(*command: str | Path) -> None:
    """Run a program. Raises CalledProcessError with its output."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise TrialError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")


def make(kind: str, image: Path) -> None:
    """Make a new, sparse image with a filesystem."""
    with image.open("wb") as file:
        file.truncate(MEGABYTES[kind] << 20)
    run(*MAKE[kind], image)


@contextlib.contextmanager
def mounted(source: Path | str, place: Path, *options: str, kind: str = "") -> Iterator[Path]:
    """Mount the filesystem until the end of the block."""
    place.mkdir(exist_ok=True)
    kinds = ("-t", kind) if kind else ()
    run("mount", *kinds, *(("-o", ",".join(options)) if options else ()), source, place)
    try:
        yield place
    finally:
        _unmount(place)


def _unmount(place: Path) -> None:
    def gone() -> bool:
        return subprocess.run(["umount", str(place)], capture_output=True, check=False).returncode == 0

    try:
        wait(gone, 10.0, f"{place} is unmounted")
    except TrialError:
        run("umount", "--lazy", place)
        raise
