"""Rename a file without replacing another, on filesystems with such a call and on those without."""

import ctypes
import errno
import os
import stat

__all__ = ["NO_LINK", "rename_new"]

RENAME_NOREPLACE = 1
UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""The errors of a filesystem, an old kernel or a sandbox that does not know a call."""
NO_LINK = (*UNKNOWN, errno.EPERM, errno.EMLINK)
"""The errors of a filesystem that gives a file no second name."""
_AT_FDCWD = -100
_libc = ctypes.CDLL(None, use_errno=True)


def rename_new(source: str, target: str) -> None:
    """Rename, but raise FileExistsError instead of replacing a file. Raises OSError."""
    if _libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), RENAME_NOREPLACE):
        code = ctypes.get_errno()
        if code not in UNKNOWN:
            raise OSError(code, os.strerror(code), source, None, target)
        _in_two_calls(source, target)  # NFS, FUSE: a filesystem of another machine or program has no such rename


def _in_two_calls(source: str, target: str) -> None:
    """Rename in two calls. A death between them leaves both names.

    A folder has one name only. Some filesystems have no hard links, and fs.protected_hardlinks refuses those to files of other
    accounts. There, the rename replaces a file that appears at `target` after the check.
    """
    if not stat.S_ISDIR(os.lstat(source).st_mode):
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_LINK:
                raise
        else:
            os.unlink(source)
            return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), source, None, target)
    os.rename(source, target)
