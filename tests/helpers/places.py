"""Make surroundings for one engine: namespaces (a `Trial.prefix`) and hanging filesystems. They need root, and else skip the test."""

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
"""Shell line that removes the mounts of other tests: a copy in a namespace would keep the disk below them busy."""


def in_namespaces(script: str, *flags: str) -> tuple[str, ...]:
    """Return a prefix that runs `script` in new namespaces and then becomes the command after it. `flags`: of unshare(1).

    With --user there is no mount namespace, because in one with a user namespace no mount could be removed.
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
        """Return the number of requests so far."""
        return os.fstat(self._lock.fileno()).st_size

    def close(self) -> None:
        self._lock.close()

    def release(self) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_UN)


@contextlib.contextmanager
def hanging(folder: Path, mount: Path) -> Iterator[Place]:
    """Show `folder`, with a file "file" in it, at `mount` for the duration of the block."""
    place = Place(folder, mount)
    with shared(folder, mount, server_of="hung.py"):
        (folder / "file").write_bytes(b"x")
        try:
            yield place
        finally:
            place.close()
