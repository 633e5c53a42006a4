"""Serve a filesystem that hangs on demand: `hung.py FOLDER MOUNTPOINT` shows FOLDER by FUSE.

It answers no read and no write while another process holds the lock of FOLDER.hang. SIGKILL does not end a process that waits
for such an answer. Each request adds a byte to FOLDER.hang. SIGTERM ends the program.
"""

import fcntl
import os
import sys
from typing import Any

import fuse

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.helpers.shared import Shared


class Hung(Shared):
    """A filesystem like that of a lost server: it takes requests, but does not answer them."""

    def __call__(self, op: str, path: str | None, *args: Any) -> Any:
        if op in ("read", "write"):
            with open(f"{self._folder}.hang", "ab") as file:
                os.write(file.fileno(), b".")
                fcntl.flock(file, fcntl.LOCK_SH)
        return super().__call__(op, path, *args)


if __name__ == "__main__":
    fuse.FUSE(Hung(sys.argv[1]), sys.argv[2], foreground=True, direct_io=True)
