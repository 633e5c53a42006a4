"""Fork, reap and kill the engine's processes. Mechanism only: the supervisor decides which processes exist.

Children are multiprocessing processes of the fork context. Each is waited for by its pid: waitpid(-1) would take exit
codes away from multiprocessing. The supervisor is a child subreaper, so orphans of helpers become its children; it
kills them. Children of other programs never become its children (reaper.py).
"""

import contextlib
import logging
import multiprocessing.context
import multiprocessing.process
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import popen_fork
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize

from enqueuer import exits
from enqueuer.ipc import frames
from enqueuer.ipc.child import Birth, settle_in
from filterlink.process import orphans
from filterlink.process.prctl import adopt_orphans
from filterlink.wire.link import Link

__all__ = ["END_WITHIN", "Child", "Children"]

log = logging.getLogger("ENQUEUER")

END_WITHIN = 2.5
"""Seconds within which killed processes should end. A process that hangs in the kernel for longer dies with the engine, by PDEATHSIG."""
LOGGER_GRACE = 1.0
"""Seconds that the logger gets to write the last lines."""


class _Popen(popen_fork.Popen):
    """The Popen of multiprocessing, with one difference: a fork that fails leaves no pipe open."""

    def _launch(self, process_obj: BaseProcess) -> None:
        pipes: list[int] = []
        try:
            pipes += os.pipe()
            pipes += os.pipe()
            self.pid = os.fork()
        except OSError:
            for end in pipes:
                os.close(end)
            raise
        parent_r, child_w, child_r, parent_w = pipes
        if self.pid == 0:
            code = 1
            try:
                os.close(parent_r)
                os.close(parent_w)
                code = process_obj._bootstrap(parent_sentinel=child_r)  # type: ignore[attr-defined]
            finally:
                os._exit(code)
        os.close(child_w)
        os.close(child_r)
        self.finalizer = Finalize(self, _close, (parent_r, parent_w))
        self.sentinel = parent_r


def _close(*ends: int) -> None:
    for end in ends:
        os.close(end)


class _Process(multiprocessing.context.ForkProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> popen_fork.Popen:
        return _Popen(process_obj)


class Child:
    """One of our processes, from its fork until it is reaped."""

    def __init__(self, birth: Birth, title: str, process: BaseProcess) -> None:
        self.birth = birth
        self.title = title
        self.process = process
        self.born = time.monotonic()
        self.link: Link | None = None
        self.leaving = False
        self.in_force = 0
        """The revision of the configuration that the child last reported as active; 0 = not ready yet."""
        self._unsent: list[frames.FromSupervisor] = []

    @property
    def role(self) -> str:
        return self.birth.role

    @property
    def pid(self) -> int:
        return self.process.pid or 0

    def tell(self, frame: frames.FromSupervisor) -> None:
        """Send a frame, or keep it until the child has sent its Hello."""
        if self.link is None:
            self._unsent.append(frame)
        else:
            self.link.send(frames.encode(frame))

    def greeted(self, link: Link) -> None:
        self.link = link
        for frame in self._unsent:
            link.send(frames.encode(frame))
        self._unsent.clear()

    def kill(self) -> None:
        _kill(self.pid)

    @property
    def is_reaped(self) -> bool:
        """Whether its exit code is already known."""
        return self.process._popen.returncode is not None  # type: ignore[attr-defined]

    @property
    def how(self) -> str:
        """Describe in words how it ended."""
        code = self.process.exitcode or 0
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


class Children:
    """All children that are not reaped yet."""

    def __init__(self, let_go: Callable[[Birth], None]) -> None:
        """`let_go` closes, in a new child, every descriptor that only the supervisor needs."""
        self._let_go = let_go
        self.children: list[Child] = []
        self._generation = 0
        self._orphans: list[int] = []
        """Processes killed at the last look."""
        adopt_orphans()
        if not os.path.exists("/proc/self"):
            log.warning("/proc is not mounted: the engine cannot find, and so cannot end, processes that a killed helper leaves behind")

    def next_generation(self) -> int:
        self._generation += 1
        return self._generation

    def fork(self, birth: Birth, title: str, live: Callable[[Birth], None], *, waits: bool) -> Child:
        """Fork a process that runs `live`. It ends when `live` returns. Raises OSError if the machine cannot start it."""
        process = _Process(target=_live, args=(birth, title, live, self._let_go, os.getpid(), waits), name=title)
        process.start()
        child = Child(birth, title, process)
        self.children.append(child)
        return child

    def of(self, role: str) -> list[Child]:
        return [child for child in self.children if child.role == role]

    def one(self, role: str) -> Child | None:
        return next((child for child in self.children if child.role == role), None)

    def reap(self) -> Iterator[Child]:
        """Yield each child that has ended, once. Also reap orphans, without a report."""
        ended = [child for child in self.children if child.process.exitcode is not None]
        for child in ended:
            self.children.remove(child)
            yield child
            child.process.close()
        self._reap_orphans()

    def has_ended(self) -> bool:
        """Return whether reap() has something to do: after a lost SIGCHLD a dead process would never be replaced.

        multiprocessing reaps dead children at each fork, and does not report them.
        """
        if any(child.is_reaped for child in self.children):
            return True
        with contextlib.suppress(OSError):
            return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return False

    def end_orphans(self) -> bool:
        """Kill what a dead filterlink's helpers left behind: our child processes that are none of our own. Return whether there were
        any.

        Their children become ours only after that.
        """
        ours = {child.pid for child in self.children}
        strangers = [pid for pid in orphans.children(os.getpid()) if pid not in ours]
        for pid in strangers:
            if pid not in self._orphans:
                log.warning("pid %d, which a helper left behind, was killed", pid)
            _kill(pid)
        self._orphans = strangers
        return bool(strangers)

    def end_late(self, child: Child, killed: bool) -> None:
        """Kill a child that has not ended in time. If it was `killed` before, the kernel holds it, and the engine ends without it.

        It keeps its locks until the kernel lets it go; then it dies. multiprocessing would wait for it at our exit.
        """
        if not killed:
            log.warning("%s (pid %d) did not end in time and was killed", child.title, child.pid)
            child.kill()
            return
        text = f"{child.title} (pid {child.pid}) does not end after SIGKILL (a disk or server does not answer): the engine ends without it"
        log.error("%s", text)
        print(f"enqueuer: {text}", file=sys.stderr)
        self.children.remove(child)
        multiprocessing.process._children.discard(child.process)  # type: ignore[attr-defined]

    def end_all(self) -> None:
        """Kill and reap every process below us: the last act of a supervisor that has failed. Never raises.

        The logger gets some time to write what the others logged.
        """
        loggers = {child.pid for child in self.of("logger")}
        for child in self.children:
            if child.role != "logger":
                child.kill()
        end = time.monotonic() + END_WITHIN
        ours = {child.pid for child in self.children}
        while (pids := set(orphans.children(os.getpid())) | ours) and time.monotonic() < end:
            if time.monotonic() > end - END_WITHIN + LOGGER_GRACE:
                loggers = set()
            for pid in pids:
                if pid not in loggers:
                    _kill(pid)
                if _is_reaped(pid):
                    ours.discard(pid)
            time.sleep(0.01)

    def _reap_orphans(self) -> None:
        ours = {child.pid for child in self.children}
        with contextlib.suppress(OSError):
            while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if found.si_pid in ours:
                    return  # the next reap() reports it
                os.waitpid(found.si_pid, 0)


def _is_reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except OSError:
        return True


def _kill(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def _live(birth: Birth, title: str, live: Callable[[Birth], None], let_go: Callable[[Birth], None], parent: int, waits: bool) -> None:
    """Run a child from start to end. A fault of ours is logged with its traceback; the terminal shows its first line only."""
    signal.set_wakeup_fd(-1)
    try:
        let_go(birth)
        settle_in(birth, title, parent, waits=waits)
        live(birth)
    except Exception:
        log.critical("%s failed: this is a fault in Enqueuer, please report it", title, exc_info=True)
        os._exit(exits.SOFTWARE)
    birth.log.flush()
    os._exit(exits.OK)
