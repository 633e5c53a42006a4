"""Keep the number of processors that the configuration or `auto` asks for. Part of the supervisor.

pool.py decides which processors leave, and autoscale.py how many there are. This module carries it out.
"""

import logging
import time
from collections.abc import Callable

from enqueuer.config.schema import Config
from enqueuer.ipc import frames
from enqueuer.log import serverlog
from enqueuer.policy.lanes import large_limit
from enqueuer.processor import processor
from enqueuer.supervisor import autoscale, pool
from enqueuer.supervisor.engine import Engine
from enqueuer.system.cpu import CpuMeter
from filterlink.wire.frames import FilterState

__all__ = ["Processors", "room"]

log = logging.getLogger("ENQUEUER")


class Processors:
    """Keeps the pool at its size."""

    def __init__(self, engine: Engine, maintain: Callable[[], None]) -> None:
        """`maintain` starts missing processes."""
        self._engine = engine
        self._maintain = maintain
        self._loop = engine.loop
        self._cpu = CpuMeter()
        self._auto: autoscale.Autoscale | None = None
        self._watching = False
        self.slots = 0
        """Slots of the scoreboard that were ever in use."""
        self.why = ""
        """The last change that `auto` made, with its reason."""
        self.configure()

    @property
    def wanted(self) -> int:
        return self._engine.board.processors

    def configure(self) -> None:
        """Take the active settings. Call fill() when every process that needs them has them."""
        settings = self._engine.file.config.enqueuer
        if settings.processors != "auto":
            self._auto = None
            self.why = ""
            self._engine.board.processors = settings.processors
            return
        bounds = settings.auto_min, settings.auto_max, settings.auto_idle
        if self._auto is None:
            self._auto = autoscale.Autoscale(self.wanted, *bounds)
        else:
            self._auto.configure(*bounds)
        self._engine.board.processors = self._auto.count
        if not self._watching:
            self._watching = True
            self._loop.after(autoscale.LOOK, self._look)

    def fill(self) -> None:
        """Fork the processors that are missing, and order the superfluous ones to leave."""
        engine = self._engine
        slots = []
        for child in engine.children.of("processor"):
            task = engine.board.task(child.birth.slot)
            slots.append(pool.Slot(child.birth.number, child.leaving, task.state != "idle", task.large))
        plan = pool.plan(self.wanted, slots)
        for child in engine.children.of("processor"):
            if child.birth.number in plan.leave and not child.leaving:
                child.leaving = True
                engine.tell("manager", frames.Leave(child.birth.generation))
        for _ in range(plan.start if plan.start and engine.may_start("processor") else 0):
            if not self._fork():
                break

    def _fork(self) -> bool:
        engine = self._engine
        taken = {child.birth.number for child in engine.children.of("processor")}
        number = next(number for number in range(1, len(taken) + 2) if number not in taken)
        engine.board.work(number - 1, "idle")
        self.slots = max(self.slots, number)
        return engine.fork(engine.birth("processor", number), f"processor {number}", processor.run, waits=True)

    # ---- auto

    def _look(self) -> None:
        self._watching = self._auto is not None
        if self._auto is None:
            return
        self._loop.after(autoscale.LOOK, self._look)
        if self._engine.state == "running" and (why := self._auto.look(self._seen())):
            self._resize(self._auto.count, why)

    def _resize(self, count: int, why: str) -> None:
        self.why = f"processors {self.wanted} -> {count}: {why}"
        log.log(serverlog.MAJOR, "%s", self.why)
        self._engine.board.processors = count
        self._engine.tell("manager", frames.Resized())
        self._maintain()

    def _seen(self) -> autoscale.LoadSample:
        engine = self._engine
        now = time.monotonic()
        gauges = engine.board.gauges()
        config = engine.file.config
        staying = (child for child in engine.children.of("processor") if not child.leaving)
        busy = sum(engine.board.task(child.birth.slot).state != "idle" for child in staying)
        if not gauges["waiting"]:
            return autoscale.LoadSample(now, 0, busy, self.wanted - busy)  # an idle engine reads no statistics
        only_large = gauges["small_waiting"] == 0
        taken, most = (gauges["large_active"], self._large_limit()) if only_large else (busy, self.wanted)
        waiting = gauges["waiting"] + gauges["spool"]
        return autoscale.LoadSample(now, waiting, busy, max(0, most - taken), self._cpu.share(now), room(config, engine.board.filters()))

    def _large_limit(self) -> int:
        return large_limit(self._engine.file.config.enqueuer.lanes.large_share, self.wanted)


def room(config: Config, states: tuple[FilterState, ...]) -> autoscale.Room | None:
    """Return the filter with the most free slots, among those that the active rules ask; None if they ask none."""
    asked = {words[1] for rule in config.rules if rule.priority for words in rule.actions if words[0] == "ExternalFilter"}
    in_flight = {state.name: state.in_flight for state in states if state.state == "ready"}
    rooms = [
        autoscale.Room(each.name, max(0, each.slots - in_flight[each.name]) if each.name in in_flight else 0)
        for each in config.filters
        if each.enabled and each.name in asked
    ]
    return max(rooms, key=lambda each: each.free, default=None)
