"""Birth and death of our processes: fork, reap, kill. Mechanism only; who is to live is the supervisor's to say.

Children are multiprocessing processes of the fork context. They are waited for by pid: waitpid(-1) would take their ends
away from multiprocessing. What helpers leave behind comes to us as well (we are a child subreaper) and is ended.
Children of other programs never come to us (reaper.py).
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
"""Seconds in which killed processes end; what is in the kernel for longer dies with us, by PDEATHSIG."""
LOGGER_GRACE = 1.0
"""Seconds that the logger gets to write the last lines."""


class _Popen(popen_fork.Popen):
    """As multiprocessing's own, but a fork that fails leaves no pipe open."""

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
        """The revision of the configuration that it last said is in force there; 0 = not ready yet."""
        self._unsent: list[frames.FromSupervisor] = []

    @property
    def role(self) -> str:
        return self.birth.role

    @property
    def pid(self) -> int:
        return self.process.pid or 0

    def tell(self, frame: frames.FromSupervisor) -> None:
        """Send it, or keep it until the child has said hello."""
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
        """Whether its exit code is known already."""
        return self.process._popen.returncode is not None  # type: ignore[attr-defined]

    @property
    def how(self) -> str:
        """How it ended, in words."""
        code = self.process.exitcode or 0
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


class Children:
    """All children that live."""

    def __init__(self, let_go: Callable[[Birth], None]) -> None:
        """`let_go` closes, in a new child, every descriptor that is the supervisor's own."""
        self._let_go = let_go
        self.children: list[Child] = []
        self._generation = 0
        self._orphans: list[int] = []
        """What was killed at the last look."""
        adopt_orphans()
        if not os.path.exists("/proc/self"):
            log.warning("/proc is not mounted: processes that a killed helper leaves behind are not found, and so not ended")

    def next_generation(self) -> int:
        self._generation += 1
        return self._generation

    def fork(self, birth: Birth, title: str, live: Callable[[Birth], None], *, waits: bool) -> Child:
        """Bring a process into the world. `live` is its life; it ends when that returns. Raises OSError where there is no room."""
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
        """Each child that has ended, once; and quietly whatever was left to us by others."""
        ended = [child for child in self.children if child.process.exitcode is not None]
        for child in ended:
            self.children.remove(child)
            yield child
            child.process.close()
        self._reap_orphans()

    def has_ended(self) -> bool:
        """Whether reap() has something to do: a lost SIGCHLD must not leave a dead process in its place.

        multiprocessing itself reaps whom it finds dead at a fork, and says nothing of it.
        """
        if any(child.is_reaped for child in self.children):
            return True
        with contextlib.suppress(OSError):
            return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return False

    def end_orphans(self) -> bool:
        """Kill what a dead filterlink's helpers left behind: processes that are our children, but none of ours. Whether there were any.

        The children of those that it kills become ours only then.
        """
        ours = {child.pid for child in self.children}
        strangers = [pid for pid in orphans.children(os.getpid()) if pid not in ours]
        for pid in strangers:
            if pid not in self._orphans:
                log.warning("pid %d, left behind by a helper, is ended", pid)
            _kill(pid)
        self._orphans = strangers
        return bool(strangers)

    def end_late(self, child: Child, killed: bool) -> None:
        """Kill a child that has not ended in time. One that was `killed` the kernel holds: the engine ends without it.

        It dies when the kernel lets it go, and holds its locks until then. multiprocessing would wait for it at our exit.
        """
        if not killed:
            log.warning("%s (pid %d) did not end in time and is killed", child.title, child.pid)
            child.kill()
            return
        text = f"{child.title} (pid {child.pid}) does not end by SIGKILL, a disk or server does not answer: the engine ends without it"
        log.error("%s", text)
        print(f"enqueuer: {text}", file=sys.stderr)
        self.children.remove(child)
        multiprocessing.process._children.discard(child.process)  # type: ignore[attr-defined]

    def end_all(self) -> None:
        """Kill every process below us, and reap it: the last thing that a supervisor does which has failed. Never raises.

        The logger has some time to write what the others said.
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
                    return  # the next reap() takes it by its own way
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
    """A child's whole life. A fault of ours is in the log with its traceback, and only its first line on the terminal."""
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
