"""Undo what a process must not keep from its parent: blocked or ignored signals, closed standard descriptors.

A mask and an ignored signal survive exec. A free number below 3 becomes that of the next socket or file, and then stray
text goes into it. Nothing here raises.
"""

import contextlib
import io
import os
import signal
import stat
import sys
from typing import TextIO

__all__ = ["fill_standard", "heed", "settle"]

_PYTHONS_OWN = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores these itself, so that a write fails instead. It restores them in each program that it starts."""


def settle() -> None:
    """Do it for a command. A shell's `nohup` and `&` stay in effect: HUP, INT and QUIT remain ignored."""
    fill_standard()
    _open_streams()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it is ignored, the kernel reaps children and drops their exit codes


def heed() -> None:
    """Do it for an engine: no signal stays ignored that the engine or a helper needs."""
    for number in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):
            if signal.getsignal(number) is signal.SIG_IGN and number not in _PYTHONS_OWN:
                signal.signal(number, signal.SIG_DFL)


def fill_standard() -> None:
    """Occupy closed standard descriptors with /dev/null, or with a descriptor that can be neither read nor written."""
    with contextlib.suppress(OSError):
        while (fd := _nothing()) <= 2:
            pass
        os.close(fd)


def _nothing() -> int:
    """Open the lowest free number. If /dev/null is missing or a plain file, read and write fail, as with a closed one."""
    with contextlib.suppress(OSError):
        fd = os.open(os.devnull, os.O_RDWR)
        if stat.S_ISCHR(os.fstat(fd).st_mode):
            os.set_inheritable(fd, fd <= 2)
            return fd
        os.close(fd)
    fd = os.open("/", os.O_PATH)
    os.set_inheritable(fd, fd <= 2)
    return fd


def _open_streams() -> None:
    """Restore Python's own streams, which it omits for a closed descriptor."""
    sys.stdin = sys.stdin or _stream(0, "r")
    sys.stdout = sys.stdout or _stream(1, "w")
    sys.stderr = sys.stderr or _stream(2, "w")


def _stream(fd: int, mode: str) -> TextIO:
    with contextlib.suppress(OSError):
        if stat.S_ISCHR(os.fstat(fd).st_mode):
            return open(fd, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # type: ignore[return-value]
    return io.StringIO()
