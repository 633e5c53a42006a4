"""Surroundings made for one engine: `Trial.prefix` for namespaces of its own. All of them need root, and skip the test without."""

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storm.writers import shared

__all__ = ["Place", "hanging", "in_namespaces"]


FORGET = "grep -o ' /[^ ]*pytest-of-[^ ]*' /proc/mounts | sort -r | xargs -r umount -l || true"
"""The mounts of other tests: a copy in a namespace keeps the disk below them busy."""


def in_namespaces(script: str, *flags: str) -> tuple[str, ...]:
    """A prefix that runs `script` in new namespaces, then what follows in its place. `flags` are those of unshare(1).

    With --user there is no mount namespace, as nothing may be unmounted in one.
    """
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare(1)")
    mounts = () if "--user" in flags else ("--mount", "--propagation", "private")
    prefix = ("unshare", *mounts, *flags, "sh", "-ec", f'{FORGET if mounts else ""}\n{script}\nexec "$@"', "sh")
    tried = subprocess.run((*prefix, "true"), capture_output=True, text=True, timeout=30, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no such namespace here: {tried.stderr.strip()}")
    return prefix


class Place:
    """A mounted filesystem that can be made to hang."""

    def __init__(self, folder: Path, mount: Path) -> None:
        self.mount = mount
        self._lock = folder.with_name(folder.name + ".hang").open("ab")

    def hang(self) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    @property
    def asked(self) -> int:
        """How often it was asked for something."""
        return os.fstat(self._lock.fileno()).st_size

    def close(self) -> None:
        self._lock.close()

    def release(self) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_UN)


@contextlib.contextmanager
def hanging(folder: Path, mount: Path) -> Iterator[Place]:
    """Show `folder` at `mount`; it has a file "file"."""
    place = Place(folder, mount)
    with shared(folder, mount, server_of="hung.py"):
        (folder / "file").write_bytes(b"x")
        try:
            yield place
        finally:
            place.close()
