"""The supervisor: fork, watch and replace all other processes, take the config file, and answer commands. It owns no message.

It has one thread, because it must be able to fork at any time: no watchdog, no asyncio, no live display here.

What ends it: `enqueuer stop`, SIGTERM or SIGINT, with exit code 0 after a drain; a second signal skips the drain. Before
it starts, EngineCannotStart ends it with the exit code of its reason: 66 to 78, as in sysexits.h. Any other exception
ends the whole engine with 70 (failure.py).

What it only logs: the death of another process, which it replaces after a pause; a process that cannot be started; a config
file that it refuses, while the active one stays; folders or sockets that another program removed, which it makes again.
"""

import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import setproctitle

from enqueuer import exits
from enqueuer.doors.drop import watcher
from enqueuer.ipc import frames
from enqueuer.ipc.child import Birth
from enqueuer.log import serverlog
from enqueuer.manager import manager
from enqueuer.scan import host
from enqueuer.supervisor import failure, logger, processors, startup, systemd
from enqueuer.supervisor.callers import Callers
from enqueuer.supervisor.children import END_WITHIN, Child
from enqueuer.supervisor.commands import Commands
from enqueuer.supervisor.doors import DoorProcesses
from enqueuer.supervisor.engine import Engine
from enqueuer.supervisor.signals import Signals
from enqueuer.system import inherited, trust
from enqueuer.system.version import our_version
from filterlink.wire.loop import Loop

__all__ = ["Supervisor", "run"]

log = logging.getLogger("ENQUEUER")

LOOK_EACH = 0.5
"""Seconds between two looks at the config file and at the children."""
STOP_GRACE = {"workers": 3.0, "filterlink": 15.0, "orphans": 2.0, "logger": 5.0}
"""Seconds that processes get to end by themselves before they are killed."""


SINGLES: dict[str, tuple[str, Callable[[Birth], None], bool]] = {
    "logger": ("logger", logger.run, False),
    "filterlink": ("filterlink", host.run, False),
    "manager": ("queue manager", manager.run, False),
    "watcher": ("watcher", watcher.run, True),
}
"""Role -> title, function to run, and whether it may wait for a full log. In the order of their start."""


def run(base: Path, *, allow_writable_config: bool = False) -> int:
    """Run an engine on `base` until a command or signal ends it; return the exit code."""
    inherited.heed()
    try:
        if (code := startup.apart()) is not None:
            return code
        started = startup.prepare(base, allow_writable_config=allow_writable_config)
    except startup.EngineCannotStart as problem:
        startup.complain(str(problem))
        return problem.code
    setproctitle.setproctitle("enqueuer: supervisor")
    supervisor = None
    try:
        supervisor = Supervisor(started)
        return supervisor.run()
    except BaseException:  # noqa: BLE001  (whatever it is: an engine without its supervisor must not live on)
        failure.end_engine(supervisor.engine.children if supervisor is not None else None)


class Supervisor:
    """Decides which processes exist, and carries out signals and commands."""

    def __init__(self, started: startup.Started) -> None:
        self._loop = Loop()
        self._stop_now = False
        self.engine = engine = Engine(started, self._loop, self._let_go, self.maintain, born=time.monotonic())
        self._processors = processors.Processors(engine, self.maintain)
        self._doors = DoorProcesses(engine)
        self._drained = False
        self._systemd = systemd.SystemdService(engine)
        self._callers = Callers(self._loop, started.supervisor, engine.children, self._told)
        self._commands = Commands(engine, self._processors, reload=self.reload, stop=self.stop)
        self._signals = Signals(self._loop, self._signalled)

    def run(self) -> int:
        started = self.engine.started
        log.log(serverlog.MAJOR, "Enqueuer %s starts on %s, pid %d", our_version(), started.base, os.getpid())
        for done in started.converted:
            log.log(serverlog.MAJOR, "%s", done)
        for doubt in trust.drop_folder(started.base / "Submitted"):
            log.warning("%s", doubt)
        self.maintain()
        self._look_around()
        self._loop.run()
        self._stop_everybody()
        self._commands.stopped()
        started.close()
        return exits.OK

    # ---- births

    def maintain(self) -> None:
        """Start every process that should run and does not."""
        engine = self.engine
        if engine.state == "stopping":
            return
        for role, (title, live, waits) in SINGLES.items():
            if engine.children.one(role) is None and engine.may_start(role):
                engine.fork(engine.birth(role), title, live, waits=waits)
        if engine.children.one("manager") is not None and engine.state != "draining":  # a draining engine begins no message
            self._processors.fill()
        if engine.state in ("starting", "running"):
            self._doors.fill()

    def _let_go(self, birth: Birth) -> None:
        """Close in a new child what only the supervisor needs."""
        self.engine.started.abandon(birth.listener)
        self._callers.abandon()
        self._commands.abandon()
        self._signals.abandon()
        self._loop.close()

    # ---- what children say

    def _told(self, child: Child, frame: frames.ToSupervisor) -> None:
        if isinstance(frame, frames.Idle):
            self._drained = True
            self._end_drained()
        elif isinstance(frame, frames.CommandAnswer | frames.WhereAnswer | frames.StatesAnswer):
            self._commands.answered(frame)
        elif isinstance(frame, frames.InForce):
            if child.role == "manager" and self.engine.state == "starting":
                self.engine.state = "running"
                log.log(serverlog.MAJOR, "running: recovery is complete, drops are accepted")
            child.in_force = frame.revision
            if child.role == "manager":
                self.engine.tell("filterlink", frames.ConfigRevision(frame.revision))
            self._commands.in_force()
            if child.role in ("filterlink", "door"):
                self._doors.active(self.engine.file.revision)

    # ---- deaths

    def _reap(self) -> None:
        for child in self.engine.children.reap():
            self._callers.reaped(child)
            if child.role == "door":
                self._doors.ended(child)
            if self.engine.state != "stopping":
                self._died(child)
        self.maintain()
        self._end_drained()

    def _died(self, child: Child) -> None:
        """Note an unexpected death, and act on it."""
        useful = bool(child.in_force) if child.role in ("manager", "filterlink", "door") else child.link is not None
        killed = child.process.exitcode == -signal.SIGKILL
        now = time.monotonic()
        if not child.leaving:
            log.warning("%s (pid %d) %s", child.title, child.pid, child.how)
            self.engine.pauses.died(child.role, now, now - child.born, useful=useful, killed=killed, title=child.title, how=child.how)
        if child.role == "processor":
            waiting = self.engine.board.task(child.birth.slot).state == "filter"
            self.engine.tell("manager", frames.Reaped(child.birth.generation, waiting))
        elif child.role == "manager":
            processors = self.engine.children.of("processor")
            tasks = [self.engine.board.task(each.birth.slot) for each in processors]
            self.engine.suspects = tuple(task.message for task in tasks if task.message)
            for each in processors:
                each.kill()
            self._commands.abandoned()

    # ---- configuration

    def _look_around(self) -> None:
        """Check the config file, and whether a death or a signal was missed."""
        self.engine.started.mend()
        waited = self.engine.file.waiting
        refused = self.engine.file.error
        if self.engine.file.poll(time.monotonic()):
            self.reload(refused)
        elif self.engine.file.waiting and self.engine.file.waiting != waited:
            log.warning("a changed configuration waits, the old one stays active: %s", self.engine.file.waiting)
        if self.engine.children.end_orphans() or self.engine.children.has_ended():
            self._reap()
        self._doors.look()
        self._signals.act_on_lost(LOOK_EACH / 2)
        self._loop.after(LOOK_EACH, self._look_around)

    def reload(self, known: str | None = None) -> None:
        """Take the config file if it is valid, then send its revision to all processes. `known`: the last reason of a refusal, which is
        not logged again.
        """
        before = self._processors.wanted
        if not self.engine.file.take():
            if (why := self.engine.file.error or self.engine.file.waiting) and why != known:
                log.warning("configuration refused, the old one stays active: %s", why)
            return
        self.engine.configure_log()
        self._processors.configure()
        resized = f"processors {before} -> {self._processors.wanted}" if self._processors.wanted != before else ""
        what = self.engine.file.difference
        what = what if resized in what else f"{what}; {resized}"  # "auto" has other limits
        log.log(serverlog.MAJOR, "configuration %d accepted: %s", self.engine.file.revision, what)
        self.engine.started.doors.commit(self.engine.file.config.doors)
        for child in self.engine.children.children:
            if child.role != "filterlink":  # it follows the queue manager: no processor may ask for a filter that is gone
                child.tell(frames.ConfigRevision(self.engine.file.revision))
        self.maintain()

    # ---- signals

    def _signalled(self, number: int, twice: bool) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif number == signal.SIGHUP:
            self.reload()
        else:
            self.stop(now=self.engine.state == "draining" or twice)

    # ---- the end

    def stop(self, *, now: bool) -> None:
        """Drain: take no new work, and finish messages in work within drain_timeout. `now`: stop at once."""
        if now or self.engine.state == "starting":
            self._stop_now = now
            self._loop.stop()
        elif self.engine.state == "running":
            self.engine.state = "draining"
            timeout = self.engine.file.config.enqueuer.drain_timeout
            log.log(
                serverlog.MAJOR,
                "draining: the engine finishes the messages that it is scanning, for at most %.0f s, and then stops",
                timeout,
            )
            self.engine.tell("manager", frames.Drain())
            self._doors.drain()
            self._loop.after(timeout, self._loop.stop)

    def _end_drained(self) -> None:
        """Stop if the queue manager has no message in work, and no door has one."""
        if self.engine.state == "draining" and self._drained and not self._doors.running:
            self._loop.stop()

    def _stop_everybody(self) -> None:
        """End all processes, the logger last. A process that does not end in time is killed."""
        self.engine.state = "stopping"
        self._systemd.look()
        self._end(("door", "watcher", "processor", "manager"), 0.5 if self._stop_now else STOP_GRACE["workers"])
        self._end(("filterlink",), 1.0 if self._stop_now else STOP_GRACE["filterlink"])
        until = time.monotonic() + STOP_GRACE["orphans"]
        while self.engine.children.end_orphans() and time.monotonic() < until:
            self._loop.turn(0.02)
            self._reap()
        log.log(serverlog.MAJOR, "stopped")
        self._end(("logger",), STOP_GRACE["logger"])

    def _end(self, roles: tuple[str, ...], grace: float) -> None:
        for role in roles:
            self.engine.tell(role, frames.Exit())
        until = time.monotonic() + grace
        killed = False
        while any(self.engine.children.of(role) for role in roles):
            self._loop.turn(0.05)
            self._reap()
            if time.monotonic() > until:
                for child in [child for role in roles for child in self.engine.children.of(role)]:
                    self.engine.children.end_late(child, killed)
                until = time.monotonic() + END_WITHIN
                killed = True
