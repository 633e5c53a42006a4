"""The Disk port: every call of the store to a filesystem. It decides nothing.

Paths are relative to the base directory, which is the current directory of all our processes. Names that are not UTF-8 are in the
form of os.fsdecode. Disk is the real filesystem, simdisk.py the one in memory.
"""

import contextlib
import ctypes
import errno
import logging
import os
import stat
from collections.abc import Generator, Iterable, Sequence
from typing import Protocol

from enqueuer.queue.directory.doorlock import held
from enqueuer.queue.directory.rename import NO_LINK, rename_new

__all__ = [
    "CHUNK",
    "MAX_TIME",
    "Disk",
    "DiskPort",
    "NoFolder",
    "Stamp",
    "contents",
    "no_room",
    "no_space",
    "replace",
    "store_folder",
    "write_all",
]

log = logging.getLogger("SPOOL")

CHUNK = 1 << 20
"""Bytes read or written at once: large enough to cost few calls, small enough for many processors at once."""
SYNC_FILE_RANGE_WRITE = 2
_OFFSET = ctypes.c_int64
FSYNC_AT_ONCE = 64
"""Files of one batch that are open at the same time."""
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""No open waits: a FIFO may have the name of a file of ours."""
_libc = ctypes.CDLL(None, use_errno=True)

Stamp = tuple[int, int]
"""(modification time in ns, size): shows whether another process rewrote a file of ours."""
MAX_TIME = (1 << 63) - 1
"""The latest time of a stamp, which must fit into a frame: on btrfs and tmpfs a file may have any date."""


def no_space(error: OSError) -> bool:
    """Return whether the filesystem is full (bytes, inodes or quota), a state that passes."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


class NoFolder(OSError):
    """The folder of a new file is gone. It is not a FileNotFoundError, because it does not mean that the message is gone."""


def no_room(error: OSError) -> bool:
    """Return whether an error is a passing state of the machine, and not of this file.

    That is a full or read-only disk, a removed folder of ours, no descriptor or memory left.
    """
    return no_space(error) or isinstance(error, NoFolder) or error.errno in (errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class DiskPort(Protocol):
    """The calls of the store to a filesystem. Every call may raise OSError."""

    def create(self, path: str, chunks: Iterable[bytes], *, new: bool = False) -> Stamp:
        """Write a file at `path`; it replaces an existing one (`new`: raise FileExistsError). Return its stamp. After an error nothing
        of it is left.
        """

    def patch(self, path: str, offset: int, data: bytes) -> None:
        """Overwrite bytes of a file in place."""

    def chunks(self, path: str, offset: int = 0, first: int = CHUNK) -> Generator[bytes, None, None]:
        """Read a file from `offset` to its end. The first chunk has at most `first` bytes, and may be empty."""

    def stamp(self, path: str) -> Stamp | None:
        """Return (mtime in ns, size) of a file. None: there is none."""

    def changes(self, path: str) -> int:
        """Return a number of the file that changes with each change of the file, by any process (ctime in ns)."""

    def stranger(self, path: str) -> int | None:
        """Return the account that owns a file. None: it is ours."""

    def mark(self, path: str, number: int) -> Stamp:
        """Write a number into the file's mtime (ns), which stays until the file is written again; return its stamp."""

    def marked(self, path: str) -> int:
        """Return the number in the file's mtime."""

    def rename(self, source: str, target: str) -> None:
        """Rename, and replace an existing `target`."""

    def rename_new(self, source: str, target: str) -> None:
        """Rename, but raise FileExistsError instead of replacing a file."""

    def link(self, source: str, target: str) -> None:
        """Give the file a second name; replace what a killed processor left at `target`. If a second name is impossible, copy the file."""

    def unlink(self, path: str) -> bool:
        """Remove a name. False: it was not there."""

    def names(self, folder: str) -> list[str]:
        """Return all names in a folder, in no order."""

    def odd(self, folder: str) -> list[str]:
        """Return the names in a folder that are not regular files: folders, links, FIFOs and others."""

    def held(self, path: str) -> bool:
        """Return whether a living process holds the lock of a file."""

    def fsync(self, path: str) -> None:
        """Make a file's data, or a folder's names, durable."""

    def fsync_all(self, paths: Sequence[str]) -> None:
        """Make the data of files durable, of each file once, even if several of its names are given."""

    def sync(self) -> None:
        """Make everything on the filesystem durable (syncfs). Raises OSError; then nothing may be assumed."""


def contents(disk: DiskPort, path: str, most: int) -> bytes:
    """Read a small file of ours, at most `most` bytes. Nothing if there is none, or if it cannot be read, which is logged."""
    try:
        with contextlib.closing(disk.chunks(path, first=most)) as chunks:
            return next(chunks, b"")
    except FileNotFoundError:
        return b""
    except OSError as error:
        if no_room(error):
            raise
        log.error("%s cannot be read: %s; the engine goes on as if it were empty", path, error.strerror)
        return b""


def replace(disk: DiskPort, path: str, data: bytes) -> None:
    """Write a small file of ours. If another account owns it, so that it cannot be written, it is unlinked first."""
    try:
        disk.create(path, (data,))
    except OSError as error:
        if no_room(error) or not disk.unlink(path):
            raise
        disk.create(path, (data,))


def store_folder() -> str:
    """Return a folder on the filesystem of the messages, relative to the base directory: its folders may be links to another one."""
    return "Queue" if os.path.isdir("Queue") else "."


class Disk:
    """The real filesystem below the current directory."""

    def __init__(self) -> None:
        self._base = os.open(store_folder(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._base)

    def create(self, path: str, chunks: Iterable[bytes], *, new: bool = False) -> Stamp:
        try:
            fd = os.open(path, _CREATE | os.O_EXCL if new else _CREATE, 0o640)
        except FileNotFoundError as error:
            raise NoFolder(error.errno, "its folder is gone", path) from None
        try:
            for chunk in chunks:
                write_all(fd, chunk)
            made = os.fstat(fd)
            return made.st_mtime_ns, made.st_size
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise
        finally:
            os.close(fd)

    def patch(self, path: str, offset: int, data: bytes) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.lseek(fd, offset, os.SEEK_SET)
            write_all(fd, data)
        finally:
            os.close(fd)

    def chunks(self, path: str, offset: int = 0, first: int = CHUNK) -> Generator[bytes, None, None]:
        fd = os.open(path, _READ)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
            chunk = os.pread(fd, min(first, found.st_size + 1), offset)  # no buffer of 64 KiB for a small file
            yield chunk
            while chunk:
                offset += len(chunk)
                if chunk := os.pread(fd, CHUNK, offset):
                    yield chunk
        finally:
            os.close(fd)

    def stamp(self, path: str) -> Stamp | None:
        try:
            found = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return min(max(found.st_mtime_ns, -MAX_TIME), MAX_TIME), found.st_size

    def changes(self, path: str) -> int:
        return os.stat(path, follow_symlinks=False).st_ctime_ns

    def stranger(self, path: str) -> int | None:
        owner = os.stat(path, follow_symlinks=False).st_uid
        return None if owner == os.geteuid() else owner

    def mark(self, path: str, number: int) -> Stamp:
        os.utime(path, ns=(number, number), follow_symlinks=False)
        found = os.stat(path, follow_symlinks=False)
        return found.st_mtime_ns, found.st_size

    def marked(self, path: str) -> int:
        return os.stat(path, follow_symlinks=False).st_mtime_ns

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target)

    def rename_new(self, source: str, target: str) -> None:
        rename_new(source, target)

    def link(self, source: str, target: str) -> None:
        try:
            os.link(source, target)
        except FileExistsError:
            os.unlink(target)
            self.link(source, target)
        except FileNotFoundError as error:
            if os.path.isdir(os.path.dirname(target) or "."):
                raise
            raise NoFolder(error.errno, "its folder is gone", target) from None
        except OSError as error:
            if error.errno not in NO_LINK:
                raise
            self.unlink(target)
            self.create(target, self.chunks(source))

    def unlink(self, path: str) -> bool:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return False
        return True

    def names(self, folder: str) -> list[str]:
        return os.listdir(folder)

    def odd(self, folder: str) -> list[str]:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if not _is_file(entry)]

    def held(self, path: str) -> bool:
        return held(path)

    def fsync(self, path: str) -> None:
        try:
            fd = os.open(path, _READ)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # a folder of ours may be a link to one
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def fsync_all(self, paths: Sequence[str]) -> None:
        # all writes begin before the first wait: this takes a third of the time of one after the other
        for at in range(0, len(paths), FSYNC_AT_ONCE):
            with contextlib.ExitStack() as opened:
                files: dict[tuple[int, int], int] = {}
                for path in paths[at : at + FSYNC_AT_ONCE]:
                    fd = os.open(path, _READ)
                    opened.callback(os.close, fd)
                    found = os.fstat(fd)
                    files[found.st_dev, found.st_ino] = fd
                if len(files) > 1:
                    for fd in files.values():
                        _libc.sync_file_range(fd, _OFFSET(0), _OFFSET(0), SYNC_FILE_RANGE_WRITE)
                for fd in files.values():
                    os.fsync(fd)

    def sync(self) -> None:
        if _libc.syncfs(self._base):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), "syncfs")


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a file. The kernel usually says so with the name. One that cannot be read may be a file."""
    try:
        return entry.is_file(follow_symlinks=False)
    except OSError:
        return True


def write_all(fd: int, data: bytes) -> None:
    """Call write(2) until all data is written: a disk that fills up takes only a part at first."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])
