"""The process that stays behind where an engine is process 1 of a container, or was started with children of another program.

Orphans in a container become children of process 1, and an entry script with `clamd & exec enqueuer run` makes clamd our
child. The supervisor kills each child that is not its own, so those must not become its children. The reaper handles no
mail. It passes each signal on to the engine, reaps all its own children, and exits as the engine exited.
"""

import contextlib
import os
import signal

import setproctitle

from filterlink.process.forked import die_with

__all__ = ["engine_apart"]

_HANDED_ON = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM}


def engine_apart() -> int | None:
    """Return None in the process that becomes the engine. In the process that stays behind, return the exit code at its end.

    Raises OSError if the machine cannot start one more process.
    """
    if os.getpid() != 1 and not _has_children():
        return None
    signal.pthread_sigmask(signal.SIG_BLOCK, {*_HANDED_ON, signal.SIGCHLD})
    parent = os.getpid()
    engine = os.fork()
    if engine:
        return _attend(engine)
    die_with(parent)
    os.setpgid(0, 0)  # a ^C then reaches the engine through the reaper, and only once
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    return None


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _attend(engine: int) -> int:
    """Pass signals on and reap until the engine has ended. Return its exit code, or 128 plus the signal that ended it."""
    setproctitle.setproctitle("enqueuer: reaper")
    while True:
        number = signal.sigwait({*_HANDED_ON, signal.SIGCHLD})
        if number != signal.SIGCHLD:
            with contextlib.suppress(ProcessLookupError):
                os.kill(engine, number)
        elif (status := _reap(engine)) is not None:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _reap(engine: int) -> int | None:
    """Reap all processes that have ended; return the engine's status if it was among them."""
    pid = -1
    status = 0
    found = None
    with contextlib.suppress(ChildProcessError):
        while pid != 0:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == engine:
                found = status
    return found
