"""Start, watch and end the door processes that the configuration asks for. Part of the supervisor."""

import logging

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

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen: dict[int, tuple[float, float]] = {}
        """Pid -> when its loop turned last, and since when the supervisor has seen this value."""

    @property
    def running(self) -> bool:
        return bool(self._engine.children.of(ROLE))

    def fill(self) -> None:
        """Start missing door processes. Let those above the number finish their messages and end."""
        engine = self._engine
        wanted = engine.file.config.enqueuer.door_processes
        there = {child.birth.number: child for child in engine.children.of(ROLE)}
        for number, child in there.items():
            if number > wanted:
                _drain(child)
        for number in range(1, wanted + 1):
            if number not in there and engine.may_start(ROLE) and not self._fork(number):
                break

    def drain(self) -> None:
        """Let all of them finish their messages and end."""
        for child in self._engine.children.of(ROLE):
            _drain(child)

    def active(self, revision: int) -> None:
        """Tell each door that has taken this revision that all filters scan by it, if they do: a second frame says so."""
        filterlink = self._engine.children.one("filterlink")
        if filterlink is not None and filterlink.in_force == revision:
            for child in self._engine.children.of(ROLE):
                if child.in_force == revision:
                    child.tell(frames.ConfigRevision(revision))

    def ended(self, child: Child) -> None:
        """Forget the channel of a door process that was reaped."""
        self._engine.started.doors.forget(child.birth.generation)

    def look(self) -> None:
        """Kill a door process whose loop does not turn."""
        now = self._engine.loop.now()  # this clock leaves out pauses of the whole machine
        seen = {}
        for child in self._engine.children.of(ROLE):
            turned = self._engine.board.doors[child.birth.slot].read().turned
            before = self._seen.get(child.pid, (turned, now))
            seen[child.pid] = before if before[0] == turned else (turned, now)
            if now - seen[child.pid][1] > STUCK:
                log.error("%s (pid %d) has done nothing for %.0f s and is killed", child.title, child.pid, STUCK)
                child.kill()
        self._seen = seen

    def _fork(self, number: int) -> bool:
        engine = self._engine
        birth = engine.birth(ROLE, number)
        birth.doors = engine.started.doors.channel(birth.generation)
        try:
            return engine.fork(birth, f"door {number}", process.run, waits=False)
        finally:
            birth.doors.close()


def _drain(child: Child) -> None:
    if not child.leaving:
        child.leaving = True
        child.tell(frames.Drain())
