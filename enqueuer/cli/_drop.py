"""Write drops for `submit`: first all files, complete and synced, then one rename each. The renames are the commit.

A caller sends its mail again after any failure. So an error after the first rename only warns, and never fails the command.
"""

import contextlib
import ctypes
import itertools
import os
import pwd
import secrets
import shutil
import signal
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from enqueuer.queue.directory.layout import TAKEN
from enqueuer.queue.message.printable import printable
from enqueuer.system import inherited

__all__ = ["Drops", "engine_account"]

FOLDER = "Submitted"
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end the command. They wait from the first rename on."""
_count = itertools.count(1)
_libc = ctypes.CDLL(None, use_errno=True)


class Drops:
    """The drops of one command, in the base directory. Use it as a context: at its end, files without a final name are removed."""

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix
        self._written: list[str] = []
        self._fd = -1
        """The last file, open: it gives access to the filesystem if the folder itself may not be opened."""

    def __enter__(self) -> "Drops":
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._written:
            with contextlib.suppress(OSError):
                os.unlink(f"{FOLDER}/{name}.tmp")
        if self._fd >= 0:
            os.close(self._fd)

    def write(self, pieces: Iterable[bytes], source: BinaryIO) -> None:
        """Write one complete file under another name, and sync it. Raises OSError."""
        name = f"{time.time_ns()}-{os.getpid()}-{next(_count)}-{secrets.token_hex(8)}"
        fd = os.open(f"{FOLDER}/{name}.tmp", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._written.append(name)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fd
        with os.fdopen(fd, "wb", closefd=False) as file:
            file.writelines(pieces)
            shutil.copyfileobj(source, file, 1 << 20)
            file.flush()
            _let_the_engine_read(fd)
            os.fsync(fd)

    def commit(self) -> int:
        """Give each file its final name, and print the names; return how many there are. Raises OSError as long as none has its name."""
        with _undisturbed():
            names = [f"{name}{self._suffix}" for name in self._rename()]
            self._sync()
            try:
                print("\n".join(map(printable, names)), flush=True)
            except (OSError, ValueError, AttributeError) as error:
                _warn(f"{len(names)} messages are in, and their names cannot be printed: {error}")
                os.close(1)  # the interpreter also flushes at its end
                inherited.fill_standard()
        return len(names)

    def _rename(self) -> Iterator[str]:
        done: list[str] = []
        for name in list(self._written):
            try:
                os.rename(f"{FOLDER}/{name}.tmp", f"{FOLDER}/{name}{self._suffix}")
            except OSError as error:
                if not done:
                    raise
                left = len(self._written)
                _warn(f"{left} of {left + len(done)} messages are not in: {error.strerror}; send those again that are not named here")
                break
            self._written.remove(name)
            done.append(name)
        return iter(done)

    def _sync(self) -> None:
        """Sync the names: by the folder, if it may be opened, otherwise with the whole filesystem."""
        try:
            folder = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            folder = -1
        try:
            if folder >= 0:
                os.fsync(folder)
            elif _libc.syncfs(self._fd):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        except OSError as error:
            _warn(f"the mail is in, but the disk does not confirm its name: {error.strerror}; a power cut may still lose it")
        finally:
            if folder >= 0:
                os.close(folder)


def engine_account() -> int:
    """Return the account of the engine: the owner of `.taken`. Raises OSError."""
    try:
        return os.stat(TAKEN).st_uid
    except OSError:
        return os.stat(FOLDER).st_uid


def _let_the_engine_read(fd: int) -> None:
    """Give the drop the narrowest mode that lets the engine read it. The umask does not count: it is for files of the dropper's own use."""
    mode = _mode(engine_account(), os.fstat(fd), os.stat(FOLDER))
    try:
        os.fchmod(fd, mode)
    except OSError:  # a filesystem without modes of its own
        if os.fstat(fd).st_mode & mode != mode:
            raise


def _mode(engine: int, drop: os.stat_result, folder: os.stat_result) -> int:
    if engine in (0, drop.st_uid):
        return 0o600
    if folder.st_mode & stat.S_ISGID and drop.st_gid in _groups(engine):
        return 0o640
    return 0o644


def _groups(account: int) -> Sequence[int]:
    """Return the groups of an account, from the machine's databases."""
    try:
        known = pwd.getpwuid(account)
    except KeyError:
        return ()
    return os.getgrouplist(known.pw_name, known.pw_gid)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold signals back that would end the command, and drop those that came: the work in between cannot be undone."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    try:
        yield
    finally:
        while signal.sigtimedwait(ENDS, 0) is not None:
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _warn(text: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(f"enqueuer: {text}", file=sys.stderr)
