"""Compress the closed files of the Server Log, and delete them by age and by total size. A thread of the logger process.

The thread has the lowest priority. zlib and the disk run without the interpreter's lock, so the logger goes on reading its channel. A
thread dies with its process. A child process would outlive it, and would hold copies of the logger's sockets.

A kill at any instant loses no line. The compressed file gets its name when it is whole and on the disk. Only then is the plain file
removed. The next start removes a .tmp that a kill left behind, and compresses its file again.

What it only logs: a file that cannot be compressed or deleted. It is tried again after an hour, or when the next file is closed.
"""

import contextlib
import gzip
import logging
import os
import stat
import threading
import time
import zlib
from pathlib import Path
from typing import BinaryIO

from enqueuer.log import dayfiles
from enqueuer.log.dayfiles import DayFile
from enqueuer.system.openfile import open_plain
from filterlink.config.settings import LEVELS
from filterlink.config.units import show_size

__all__ = ["LogRetention"]

log = logging.getLogger("LOG")

PIECE = 256 << 10
"""Bytes that are compressed at once."""
AGAIN = 3600.0
"""Seconds between two looks without a reason."""
LOWEST = 19
"""The niceness of the thread."""
DAY = 86400.0
SHOWN = 3
"""Names of deleted files in one line of the log."""


class LogRetention:
    """Keeps the folder of the log within the limits of the configuration. `configure`, `start` and `wake` are for the logger's loop."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._keep = float("inf")
        self._limit = 0
        self._due = threading.Event()
        self._problem = ""
        """The last problem that was logged. The same one is not logged again."""

    def configure(self, keep: float, limit: int) -> None:
        """`keep`: seconds after the end of a file's day, infinity = always. `limit`: bytes of all files, 0 = no limit."""
        self._keep = keep
        self._limit = limit
        self.wake()

    def start(self) -> None:
        threading.Thread(target=self._run, name="retention", daemon=True).start()

    def wake(self) -> None:
        """A file was closed, or the limits have changed."""
        self._due.set()

    def tidy(self, now: float) -> None:
        """Compress the closed files, then delete those that are too old or over the size limit."""
        problem = ""
        try:
            for file in self._closed():
                problem = self._pack(file) or problem
            problem = self._delete(now) or problem
        except OSError as error:
            problem = f"the folder of the log cannot be tidied: {error}"
        if problem and problem != self._problem:
            log.warning("%s", problem)
        self._problem = problem

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST)  # of this thread only
        while True:
            self._due.wait(AGAIN)
            self._due.clear()
            try:
                self.tidy(time.time())
            except Exception:
                log.exception("the thread that compresses the log has failed: this is a fault in Enqueuer, please report it")

    def _closed(self) -> list[DayFile]:
        """Return the closed files that are not compressed, the oldest first. Remove what a killed logger left half-written."""
        names = os.listdir(self._folder)
        for name in names:
            if name.endswith(dayfiles.TEMPORARY) and dayfiles.parse(name.removesuffix(dayfiles.TEMPORARY)) is not None:
                with contextlib.suppress(OSError):
                    (self._folder / name).unlink()
        return [file for file in dayfiles.in_order(names) if not file.is_open and not file.packed]

    def _pack(self, file: DayFile) -> str:
        """Replace a file by its compressed copy. Return what prevents that."""
        plain = self._folder / file.name
        packed = self._folder / file._replace(packed=True).name
        if not _is_ours(plain):
            return ""
        try:
            with open_plain(plain, follow=False) as source:
                if not _is_copy(packed, source):
                    self._compress(source, packed)
            plain.unlink()
        except OSError as error:
            return f"{file.name} cannot be compressed, and stays as it is: {error.strerror}"
        return ""

    def _compress(self, source: BinaryIO, packed: Path) -> None:
        temporary = packed.with_name(f"{packed.name}.tmp")
        made = os.stat(source.fileno())
        source.seek(0)
        try:
            with open(temporary, "xb", opener=_private) as file:
                with gzip.GzipFile(packed.name, "wb", 6, file, made.st_mtime) as compressor:
                    while piece := source.read(PIECE):
                        compressor.write(piece)
                file.flush()
                os.fchmod(file.fileno(), made.st_mode & 0o777)
                os.utime(file.fileno(), ns=(made.st_atime_ns, made.st_mtime_ns))
                os.fsync(file.fileno())
            temporary.rename(packed)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _delete(self, now: float) -> str:
        """Delete the files that are too old or over the size limit. Return what prevents that."""
        sizes = {}
        for name in os.listdir(self._folder):
            path = self._folder / name
            if (file := dayfiles.parse(name)) is not None and _is_ours(path):
                sizes[file] = path.lstat().st_size
        old, over = dayfiles.expired(sizes, now, self._keep, self._limit)
        problem = self._remove(old, f"older than retention.logs = {self._keep / DAY:g}d")
        return self._remove(over, f"all files together exceed retention.logs_size = {show_size(self._limit)}") or problem

    def _remove(self, files: list[DayFile], why: str) -> str:
        removed = []
        problem = ""
        for file in files:
            try:
                (self._folder / file.name).unlink()
                removed.append(file.name)
            except OSError as error:
                problem = f"{file.name} cannot be deleted: {error.strerror}"
        if removed:
            names = ", ".join(removed[:SHOWN]) + (f" and {len(removed) - SHOWN} more" if len(removed) > SHOWN else "")
            log.log(LEVELS["major"], "deleted %s: %s", names, why)
        return problem


def _is_ours(path: Path) -> bool:
    """Return whether this is a regular file. A link is not followed: its target may be on a disk that does not answer."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _is_copy(packed: Path, source: BinaryIO) -> bool:
    """Return whether the compressed file is there and has all bytes of the plain one: a logger was killed before it removed that."""
    try:
        with open_plain(packed, follow=False) as raw, gzip.GzipFile(fileobj=raw) as file:
            while piece := source.read(PIECE):
                if file.read(len(piece)) != piece:
                    return False
            return not file.read(1)
    except (OSError, EOFError, zlib.error):  # it is not there, or not whole
        return False
