"""The lock that shows that a door process lives: Incoming/<door>.lock, held (flock) until the process ends in any way.

A fork of the door without an exec holds the lock, too. No call here waits.
"""

import contextlib
import errno
import fcntl
import os

from enqueuer.queue.directory import names

__all__ = ["DoorLock", "held"]

MOST = 9999
"""Door processes of one kind. Dead ones count until their files are removed."""
_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class DoorLock:
    """The name of a door process and its lock. The names of the door's files begin with it."""

    def __init__(self, kind: str) -> None:
        """`kind`: the protocol of the door, as "smtp". Raises OSError."""
        self._kind = kind
        self._door, self._fd = _make(kind)

    def name(self) -> str:
        """Return the door's name. It changes if its lock file was removed: ask before each message. Raises OSError."""
        if not _is_at(self._fd, _path(self._door)):
            old = self._fd
            self._door, self._fd = _make(self._kind)
            os.close(old)
        return self._door

    def close(self) -> None:
        """Give the lock up, as the end of the process does."""
        os.close(self._fd)


def held(path: str) -> bool:
    """Return whether a living process holds the lock of the file at `path`. Raises OSError if that cannot be found out."""
    try:
        fd = os.open(path, _LOOK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _make(kind: str) -> tuple[str, int]:
    """Make the first lock file whose name is free, and lock it. If a recovery removes it in between, take the next name."""
    for number in range(1, MOST + 1):
        door = f"{kind}-{number}"
        try:
            fd = os.open(_path(door), _MAKE, 0o640)
        except FileExistsError:
            continue
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(fd, _path(door)):
                return door, fd
        os.close(fd)
    raise OSError(errno.EUSERS, f"{MOST} doors", _path(kind))


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _path(door: str) -> str:
    return "Incoming/" + names.door_lock(door)
