"""Open files of a base directory that another account may have put there."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

__all__ = ["open_plain"]


def open_plain(path: Path | bytes, *, follow: bool = True) -> BinaryIO:
    """Open a file of a base directory for reading. Raises OSError, at once also for a FIFO or a device.

    `follow`: follow a symbolic link to its file; else a link is an OSError, too.
    """
    more = os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | more))  # noqa: SIM115
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "not a regular file", os.fsdecode(path))
