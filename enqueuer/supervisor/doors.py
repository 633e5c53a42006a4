"""Keep the door processes that the configuration asks for, with their listeners. Part of the supervisor."""

import logging
import time
from collections.abc import Callable

from enqueuer.doors.serving import process
from enqueuer.ipc import frames
from enqueuer.supervisor.children import Child
from enqueuer.supervisor.engine import Engine

__all__ = ["DoorProcesses"]

log = logging.getLogger("ENQUEUER")

STUCK = 30.0
"""Seconds without a turn of its loop after which a door process is killed and replaced."""
ROLE = "door"


class DoorProcesses:
    """Door processes 1 to `door_processes`."""

    def __init__(self, engine: Engine, maintain: Callable[[], None]) -> None:
        """`maintain` starts missing processes, when the engine may start them."""
        self._engine = engine
        self._maintain = maintain

    @property
    def running(self) -> bool:
        return bool(self._engine.children.of(ROLE))

    def fill(self) -> None:
        """Start the door processes that are missing, and let the superfluous ones finish their messages and end."""
        engine = self._engine
        wanted = engine.file.config.enqueuer.door_processes
        there = {child.birth.number: child for child in engine.children.of(ROLE)}
        for number, child in there.items():
            if number > wanted and not child.leaving:
                child.leaving = True
                child.tell(frames.Drain())
        for number in range(1, wanted + 1):
            if number not in there and engine.may_start(ROLE) and not self._fork(number):
                break

    def ended(self, child: Child) -> None:
        """Forget the channel of a door process that was reaped."""
        self._engine.started.doors.forget(child.birth.generation)

    def look(self) -> None:
        """Kill a door process whose loop does not turn."""
        now = time.monotonic()
        for child in self._engine.children.of(ROLE):
            turned = max(child.born, self._engine.board.doors[child.birth.slot].read().turned)
            if now - turned > STUCK:
                log.error("%s (pid %d) has not answered for %.0f s and was killed", child.title, child.pid, now - turned)
                child.kill()

    def _fork(self, number: int) -> bool:
        engine = self._engine
        birth = engine.birth(ROLE, number)
        birth.doors = engine.started.doors.channel(birth.generation)
        try:
            return engine.fork(birth, f"door {number}", process.run, waits=False)
        finally:
            birth.doors.close()
