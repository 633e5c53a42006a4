"""A filesystem that hangs when it is told to: `hung.py FOLDER MOUNTPOINT` shows FOLDER, and answers no read and no write
while another process holds the lock of FOLDER.hang. Who has asked it for one does not end by SIGKILL until then. Each request
is a byte in FOLDER.hang. Ends at SIGTERM.
"""

import fcntl
import os
import sys
from typing import Any

import fuse

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.helpers.shared import Shared


class Hung(Shared):
    """As a server that has gone: the requests are taken, and not answered."""

    def __call__(self, op: str, path: str | None, *args: Any) -> Any:
        if op in ("read", "write"):
            with open(f"{self._folder}.hang", "ab") as file:
                os.write(file.fileno(), b".")
                fcntl.flock(file, fcntl.LOCK_SH)
        return super().__call__(op, path, *args)


if __name__ == "__main__":
    fuse.FUSE(Hung(sys.argv[1]), sys.argv[2], foreground=True, direct_io=True)
