"""What a process sets of itself by prctl(2): the one place that calls it."""

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
    """Become the parent of processes below this one whose own parents have ended."""
    _libc.prctl(_SET_CHILD_SUBREAPER, 1)


def allow_no_new_privileges() -> None:
    """Let no program that this process becomes or starts gain privileges by setuid, setgid or capabilities. Raises OSError."""
    if _libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"privileges cannot be given up: {os.strerror(number)}")


def clear_ambient_capabilities() -> None:
    """Hand on none of the capabilities that this process has to the programs that it starts."""
    _libc.prctl(_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
