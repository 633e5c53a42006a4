"""The engine as a service of systemd: report when it is ready, reloads, stops, what it does, and that it is well.

It samples the supervisor's state a few times a second, and only where a service manager wants reports.
"""

import logging
import time

from enqueuer.ipc.scoreboard import DISPOSITIONS
from enqueuer.supervisor.engine import Engine
from enqueuer.supervisor.health import HealthSample, trouble
from enqueuer.supervisor.notify import Notifier

__all__ = ["SystemdService"]

log = logging.getLogger("ENQUEUER")

TICK = 0.25
STATUS_EACH = 5.0
EXTEND = 30.0
"""Seconds more that a start may take while recovery makes progress, and a stop beyond drain_timeout."""
LONGEST_DRAIN = 3650 * 86400.0
"""Seconds to ask for where drain_timeout is "never": systemd takes only a number."""
PINGS = 3
"""Samples within the watchdog's time: a late one, or one during the replacement of a process, must not end the engine."""


class SystemdService:
    """Part of the supervisor that talks to systemd."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loop = engine.loop
        self._said = "starting"
        self._revision = 0
        self._next_status = self._next_look = 0.0
        self._before: HealthSample | None = None
        self._trouble = ""
        self._notifier = Notifier.from_environment()
        if self._notifier is not None:
            self._tick(self._notifier)

    def look(self) -> None:
        """Report a change of the engine's state at once: it may be over before the next tick."""
        if self._notifier is not None:
            self._tell_state(self._notifier)

    def _tick(self, notifier: Notifier) -> None:
        now = time.monotonic()
        self._tell_state(notifier)
        if now >= self._next_status:
            self._next_status = now + STATUS_EACH
            notifier.say(f"STATUS={self._summary()}")
            if self._engine.state == "starting":
                self._extend(notifier)
        if notifier.watchdog is not None and now >= self._next_look and self._engine.state != "starting":
            self._next_look = now + notifier.watchdog / PINGS
            self._ping(notifier)
        self._loop.after(TICK, lambda: self._tick(notifier))

    def _tell_state(self, notifier: Notifier) -> None:
        engine = self._engine
        state = "stopping" if engine.state in ("draining", "stopping") else engine.state
        if state == "running" and engine.file.revision != self._revision:
            if self._said == "running":
                notifier.say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            self._revision = engine.file.revision
            self._said = "reloading"
        if state == "running" and self._said == "reloading" and self._in_force():
            notifier.say("READY=1", f"STATUS={self._summary()}")
            self._said = state
        if state == "stopping" != self._said:
            allowed = min(engine.file.config.enqueuer.drain_timeout, LONGEST_DRAIN) + EXTEND
            notifier.say("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int(allowed * 1e6)}", f"STATUS={self._summary()}")
            self._said = state

    def _in_force(self) -> bool:
        """Return whether the revision is active. At a start filterlink does not count: READY does not wait for the filters."""
        manager = self._engine.children.one("manager")
        host = self._engine.children.one("filterlink")
        started = self._revision == 1 or (host is not None and host.in_force >= self._revision)
        return started and manager is not None and manager.in_force >= self._revision

    def _extend(self, notifier: Notifier) -> None:
        """Ask for more time for the recovery of a large queue, only as long as recovery makes progress."""
        look = self._look()
        if self._before is None or self._before.recovering != look.recovering or self._before.generation != look.generation:
            notifier.say(f"EXTEND_TIMEOUT_USEC={int(EXTEND * 1e6)}")
        self._before = look

    def _ping(self, notifier: Notifier) -> None:
        look = self._look()
        found = trouble(self._before, look) if self._before and self._engine.state != "stopping" else ""
        self._before = look
        if not found:
            notifier.say("WATCHDOG=1")
        elif found != self._trouble:
            log.error("the engine does not notify systemd's watchdog: %s", found)
        self._trouble = found

    def _look(self) -> HealthSample:
        board = self._engine.board
        children = self._engine.children
        gauges = board.gauges()
        totals = board.totals()
        manager = children.one("manager")
        busy = sum(board.task(child.birth.slot).state != "idle" for child in children.of("processor"))
        return HealthSample(
            manager.birth.generation if manager else 0,
            *board.heartbeat(),
            board.dispatches,
            sum(totals[disposition] for disposition in DISPOSITIONS),
            gauges["waiting"],
            gauges["settling"],
            busy,
            self._engine.state == "draining",
        )

    def _summary(self) -> str:
        gauges = self._engine.board.gauges()
        totals = self._engine.board.totals()
        queue = ", ".join(f"{gauges[name]} {name}" for name in ("waiting", "active", "parked", "deferred"))
        refused = "; the config file is refused, the old one stays active" if self._engine.file.error else ""
        return f"{self._engine.state}: {queue}, {sum(totals[disposition] for disposition in DISPOSITIONS)} done{refused}"
