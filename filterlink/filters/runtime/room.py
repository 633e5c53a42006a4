"""A folder of our own for copies of messages. Nothing stays behind in it.

The helper removes it at its end; the next helper removes what a killed one left. A lock on the folder shows that it is in
use. The helper's workers hold it, too, because they inherit the open file.
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
NEW_PREFIX = "enqueuer-new-copies-"
"""A folder gets the first name once it is locked: one of that name without a lock is left over from a killed helper."""
NEW = 60.0
"""Seconds after which a folder with the second name is left over, too."""


@contextlib.contextmanager
def room(parent: str = "") -> Iterator[str]:
    """Make a folder in `parent` (else the usual place for temporary files) that only we may enter. Raises OSError."""
    parent = parent or tempfile.gettempdir()
    for prefix, age in ((PREFIX, 0.0), (NEW_PREFIX, NEW)):
        for old in Path(parent).glob(prefix + "*"):
            _remove_if_left(old, age)
    folder = tempfile.mkdtemp(prefix=NEW_PREFIX, dir=parent)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        named = Path(folder).with_name(PREFIX + folder.rpartition(NEW_PREFIX)[2])
        os.rename(folder, named)
        folder = str(named)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_if_left(folder: Path, age: float) -> None:
    """Remove a folder if it is ours, `age` seconds old, and in use by no process."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as undo:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        undo.callback(os.close, lock)
        found = os.fstat(lock)
        if found.st_uid != os.getuid() or time.time() - found.st_ctime < age:
            return
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
