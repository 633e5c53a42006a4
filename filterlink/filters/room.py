"""A folder of our own for copies of messages, in which nothing is left behind.

It is removed with the helper; what a killed one left is removed by the next. A lock on the folder says that it is in use:
the helper's workers hold it with it, as they inherit the open file.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["room"]

PREFIX = "enqueuer-copies-"
NEW = 60.0
"""Seconds for which a folder is left alone: its maker may not have locked it yet."""


@contextlib.contextmanager
def room(parent: str = "") -> Iterator[str]:
    """Have a folder in `parent` (else the usual place for temporary files) that only we may enter. Raises OSError."""
    parent = parent or tempfile.gettempdir()
    for old in Path(parent).glob(PREFIX + "*"):
        _remove_if_left(old)
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_if_left(folder: Path) -> None:
    """Remove it if it is ours and nobody uses it."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as undo:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        undo.callback(os.close, lock)
        found = os.fstat(lock)
        if found.st_uid != os.getuid() or time.time() - found.st_ctime < NEW:
            return
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
