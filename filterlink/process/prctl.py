"""Set attributes of this process with prctl(2). Only this module calls it."""

import ctypes
import os
import signal

__all__ = ["adopt_orphans", "allow_no_new_privileges", "clear_ambient_capabilities", "die_with_parent"]

_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_SET_NO_NEW_PRIVS = 38
_CAP_AMBIENT = 47
_CAP_AMBIENT_CLEAR_ALL = 4
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    _libc.prctl(_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of each process below this one whose parent ends (a child subreaper)."""
    _libc.prctl(_SET_CHILD_SUBREAPER, 1)


def allow_no_new_privileges() -> None:
    """Forbid that a program which this process becomes or starts gains privileges (setuid, setgid, capabilities). Raises OSError."""
    if _libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"privileges cannot be given up: {os.strerror(number)}")


def clear_ambient_capabilities() -> None:
    """Clear the ambient capabilities, so that programs which this process starts get none of its capabilities."""
    _libc.prctl(_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
