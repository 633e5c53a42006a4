"""A rename that replaces nothing, on filesystems that know one and on those that do not."""

import ctypes
import errno
import os
import stat

__all__ = ["NO_LINK", "rename_new"]

RENAME_NOREPLACE = 1
UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""How a filesystem, an old kernel or a sandbox says that it does not know a call."""
NO_LINK = (*UNKNOWN, errno.EPERM, errno.EMLINK)
"""How a filesystem says that a file gets no second name."""
_AT_FDCWD = -100
_libc = ctypes.CDLL(None, use_errno=True)


def rename_new(source: str, target: str) -> None:
    """Rename, but raise FileExistsError rather than replace anything. Raises OSError."""
    if _libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), RENAME_NOREPLACE):
        code = ctypes.get_errno()
        if code not in UNKNOWN:
            raise OSError(code, os.strerror(code), source, None, target)
        _in_two_calls(source, target)  # NFS, FUSE: a filesystem of another machine or program knows no such rename


def _in_two_calls(source: str, target: str) -> None:
    """Two calls: a death between them leaves both names.

    A folder has one name only. Some filesystems have no hard links, and fs.protected_hardlinks refuses those to files of
    other accounts. There a file that comes to `target` between the look and the rename is replaced.
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
