"""Serve a filesystem to which another machine writes: `shared.py FOLDER MOUNTPOINT [CALL=N]` shows FOLDER at MOUNTPOINT by FUSE.

A process that writes to FOLDER itself plays the other machine: leases and events of the kernel on MOUNTPOINT do not notice it.
Each call on a file with the name errno-N... fails with errno N. CALL=N: each CALL of that name fails with errno N. SIGTERM ends
the program.
"""

import os
import sys
from typing import Any

import fuse


class Shared:
    """A filesystem that passes each call to the file of the same name below FOLDER."""

    use_ns = True

    def __init__(self, folder: str, refused: str = "") -> None:
        self._folder = folder
        self._refused, _, self._code = refused.partition("=")

    def __call__(self, op: str, path: str | None, *args: Any) -> Any:
        if (name := os.path.basename(path or "")).startswith("errno-"):
            raise fuse.FuseOSError(int(name.partition("-")[2].partition(".")[0]))
        if op == self._refused:
            raise fuse.FuseOSError(int(self._code))
        return getattr(self, op)(self._folder + path if path is not None and op not in ("symlink", "init", "destroy") else path, *args)

    def access(self, path: str, mode: int) -> None:
        if not os.access(path, mode):
            raise fuse.FuseOSError(13)

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(path, mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        os.chown(path, uid, gid, follow_symlinks=False)

    def create(self, path: str, mode: int, fi: object = None) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)

    def fsync(self, path: str, datasync: int, fh: int) -> None:
        os.fsync(fh)

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        found = os.lstat(path)
        same = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_ino", "st_blocks")
        return {name: getattr(found, name) for name in same} | {f"st_{at}time": getattr(found, f"st_{at}time_ns") for at in "amc"}

    def link(self, target: str, source: str) -> None:
        os.link(self._folder + source, target)

    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(path, mode)

    def mknod(self, path: str, mode: int, dev: int) -> None:
        os.mknod(path, mode, dev)

    def open(self, path: str, flags: int) -> int:
        return os.open(path, flags & ~os.O_NOFOLLOW)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *os.listdir(path)]

    def readlink(self, path: str) -> str:
        return os.readlink(path)

    def release(self, path: str, fh: int) -> None:
        os.close(fh)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, self._folder + new)

    def rmdir(self, path: str) -> None:
        os.rmdir(path)

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(path)
        names = ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files", "f_flag", "f_frsize", "f_namemax")
        return {name: getattr(found, name) for name in names}

    def symlink(self, target: str, source: str) -> None:
        os.symlink(source, self._folder + target)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        os.truncate(path, length)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def utimens(self, path: str, times: tuple[int, int]) -> None:
        os.utime(path, ns=times)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)


if __name__ == "__main__":
    fuse.FUSE(Shared(sys.argv[1], *sys.argv[3:]), sys.argv[2], foreground=True)
