"""The key by which the engine knows the facts of a client that `submit` wrote: 32 random bytes in `Queue/.key`, mode 0600."""

import contextlib
import fcntl
import os
import secrets

from enqueuer.queue.directory.disk import Disk, DiskPort, contents

__all__ = ["FILE", "NEXT", "make", "read"]

FILE = "Queue/.key"
NEXT = "Queue/.key.tmp"
SIZE = 32
_MAKE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read(disk: DiskPort) -> bytes:
    """Return the key; b"" if there is none."""
    found = contents(disk, FILE, SIZE + 1)
    return found if len(found) == SIZE else b""


def make() -> bytes:
    """Return the key, and make it durably if there is none yet. Raises OSError.

    The lock lets one process at a time make it, and is gone with that process. What a killed one left is used again.
    """
    with contextlib.closing(Disk()) as disk:
        if key := read(disk):
            return key
        fd = os.open(NEXT, _MAKE, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if not (key := read(disk)):
                key = secrets.token_bytes(SIZE)
                os.ftruncate(fd, 0)
                os.pwrite(fd, key, 0)
                os.fsync(fd)
                os.rename(NEXT, FILE)
                disk.fsync("Queue")
            return key
        finally:
            os.close(fd)
