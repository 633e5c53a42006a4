"""The disk alone: what a mail queue's files and names cost without scans, claims or questions. One process with little Python.

For each message two files are written (as Queue/ and Staged/). The second is published by a rename after one syncfs for a batch of
them, and both the first and a source are unlinked: the same calls as those of the bare loop (bench/limits/bare.py), in one thread.
"""

import ctypes
import os
import time
from pathlib import Path

__all__ = ["rate"]

BATCH = 128


def rate(base: Path, messages: int, data: bytes) -> float:
    """Return messages/s in a folder that has a source for each message, 0 to messages - 1, and folders q and out."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open(base, os.O_RDONLY)
    begun = time.monotonic()
    for start in range(0, messages, BATCH):
        batch = range(start, min(start + BATCH, messages))
        for n in batch:
            _write(f"{base}/q/{n}.msg", data)
            _write(f"{base}/q/{n}.out", data)
        if libc.syncfs(here):
            raise OSError(ctypes.get_errno(), "syncfs")
        for n in batch:
            os.rename(f"{base}/q/{n}.out", f"{base}/out/{n}.msg")
            os.unlink(f"{base}/q/{n}.msg")
            os.unlink(f"{base}/{n:07}.eml")
    os.close(here)
    return messages / (time.monotonic() - begun)


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    os.write(fd, data)
    os.close(fd)
