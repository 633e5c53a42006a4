"""What the parts of the supervisor share: the state of the engine, its settings and processes, how to start one, and how to send it a
frame.

It decides nothing. supervisor.py decides. commands.py, processors.py and systemd.py read it and call the functions they were given.
"""

import logging
import time
from collections.abc import Callable
from typing import Literal

from enqueuer.ipc import frames
from enqueuer.ipc.child import Birth
from enqueuer.ipc.scoreboard import Scoreboard
from enqueuer.log import serverlog
from enqueuer.supervisor import restarts, startup
from enqueuer.supervisor.children import Children
from filterlink.wire.loop import Alarm, Loop

__all__ = ["Engine"]

log = logging.getLogger("ENQUEUER")

State = Literal["starting", "running", "draining", "stopping"]


class Engine:
    """State and processes of one engine. `let_go` closes in a new child what only the supervisor needs. `maintain` starts missing
    processes, after a pause.
    """

    def __init__(
        self, started: startup.Started, loop: Loop, let_go: Callable[[Birth], None], maintain: Callable[[], None], *, born: float
    ) -> None:
        self.started = started
        self.file = started.config
        self.loop = loop
        self.board = Scoreboard()
        self.born = born
        self.state: State = "starting"
        self._log = serverlog.install(serverlog.LogWriter("SystemLogs", serverlog.terminal()), self.file.config.enqueuer.log_level)
        self.configure_log()
        self.children = Children(let_go)
        self.pauses = restarts.Pauses()
        self.suspects: tuple[int, ...] = ()
        """Messages that processors worked on when the last queue manager died."""
        self._waking = Alarm(loop, maintain)  # one alarm for all roles that pause

    @property
    def shown_state(self) -> str:
        """The state as commands show it: a stopping engine is draining."""
        return "draining" if self.state == "stopping" else self.state

    def configure_log(self) -> None:
        """Use the log's settings of the active revision in this process: it writes the last lines if no logger can."""
        settings = self.file.config.enqueuer
        self._log.configure(settings.log_level, json=settings.log_format == "json", full=settings.log_file_size)

    def may_start(self, role: str) -> bool:
        """Return whether a process of this role may start now. If the role pauses, `maintain` is called after the pause."""
        if role == "manager" and self.children.of("processor"):
            return False  # each processor works for one queue manager; these are being killed
        pause = self.pauses.left(role, time.monotonic())
        if pause > 0:
            self._waking.after(pause)
        return pause <= 0

    def fork(self, birth: Birth, title: str, live: Callable[[Birth], None], *, waits: bool) -> bool:
        """Start a process. If the machine cannot, the role pauses as after a death."""
        self.started.mend()
        try:
            self.children.fork(birth, title, live, waits=waits)
        except OSError as error:
            pause = self.pauses.died(birth.role, time.monotonic(), 0.0, useful=False, killed=False)
            log.error("%s cannot be started: %s; tried again in %.1f s", title, error.strerror, pause)
            self._waking.after(pause)
            return False
        return True

    def birth(self, role: str, number: int = 0) -> Birth:
        """Return what a new process of this role gets at its fork. `number`: that of a processor."""
        served = {"manager": self.started.manager, "filterlink": self.started.filterlink}.get(role)
        return Birth(
            role,
            number,
            number - 1,
            self.children.next_generation(),
            self.file.config,
            self.file.revision,
            self.board,
            self._log,
            served.lend() if served is not None else None,
            self.suspects,
            self.state == "draining",
        )

    def tell(self, role: str, frame: frames.FromSupervisor) -> None:
        """Send a frame to each process of this role."""
        for child in self.children.of(role):
            child.tell(frame)
