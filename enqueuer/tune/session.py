"""Run a whole `enqueuer tune`: one number after the other, then more slots if slots are scarce. A TuneListener gets its reports."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from enqueuer.config.schema import Config
from enqueuer.lab.trial import TrialError
from enqueuer.tune.advice import MOST, counts, gained, goes_on
from enqueuer.tune.measure import Measure
from enqueuer.tune.rig import Rig, Stop, Stopped, rig, used_filters
from enqueuer.tune.verdict import Cpu, TuneStep, judge

__all__ = ["Measured", "TuneListener", "TunePlan", "measure"]

SHORTEST = 1.0
"""Seconds of a step; shorter ones show chance."""


MORE = 2
"""Steps for which time is reserved, to try more slots."""


class TunePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure."""

    base: Path
    messages: list[bytes]
    seconds: float
    keep_slots: bool = False


class Measured(msgspec.Struct):
    """All results."""

    config: Config
    alone: float = 0.0
    """Seconds that one message takes without other mail."""
    steps: list[TuneStep] = []
    raised: list[TuneStep] = []
    """Steps with more slots."""
    stopped: bool = False
    late: bool = False
    """The time was over while a higher number might still have brought something."""
    trouble: str = ""
    """Why the measurement ended early."""

    @property
    def whole(self) -> bool:
        """Return whether every number that might bring something was measured."""
        return not (self.stopped or self.late or self.trouble)


class TuneListener:
    """Gets reports; this base class ignores them."""

    def does(self, what: str) -> None:
        """Take what is done now."""

    def idle(self, cpu: Cpu) -> None:
        """Take what other programs use without mail."""

    def alone(self, seconds: float) -> None:
        """Take the time of one message without other mail."""

    def step(self, step: TuneStep, raised: bool) -> None:
        """Take a step that has been measured."""


def measure(plan: TunePlan, view: TuneListener, stop: Stop) -> Measured:
    """Measure until all is known, the time is over, or the user stops it. Raises TrialError if nothing could be measured."""
    with rig(plan.base, stop) as trial:
        found = Measured(trial.config)
        try:
            _Session(plan, view, trial, found).run()
        except Stopped:
            found.stopped = True
        except TrialError as error:
            if not found.steps:
                raise
            found.trouble = str(error)
        view.does("the trial engine ends")
    return found


class _Session:
    def __init__(self, plan: TunePlan, view: TuneListener, trial: Rig, found: Measured) -> None:
        self._plan = plan
        self._view = view
        self._trial = trial
        self._found = found
        self._measure = Measure(trial, plan.messages)
        self._end = time.monotonic() + plan.seconds

    def run(self) -> None:
        self._view.does("starting a trial engine and its filters")
        self._trial.start(1, {})
        self._end = time.monotonic() + self._plan.seconds
        self._view.does("one message alone")
        self._view.idle(self._measure.idle())
        self._found.alone = self._measure.alone()
        self._view.alone(self._found.alone)
        tried = counts(self._trial.config.enqueuer.most_processors)
        more = 0 if self._plan.keep_slots else MORE
        each = max(SHORTEST, (self._end - time.monotonic()) / (len(tried) + more))
        self._sweep(tried, each)
        if not self._plan.keep_slots and judge(self._found.steps[-1]).kind == "filter slots":
            self._raise(each)

    def _sweep(self, tried: Sequence[int], seconds: float) -> None:
        for processors in tried:
            if self._found.steps and self._late(seconds):
                self._found.late = True
                return
            self._view.does(f"{processors} processors")
            self._trial.resize(processors)
            self._tell(self._measure.step(processors, {}, seconds), raised=False)
            if not goes_on(self._found.steps):
                return

    def _raise(self, seconds: float) -> None:
        """Double the slots and the processors as long as that brings something."""
        before = max(self._found.steps, key=lambda step: step.rate)
        factor = 2
        slots = self._found.steps[-1].slots
        while slots * factor <= max(MOST, slots) and not self._late(seconds):
            raised = _raised(self._trial.config, factor)
            self._view.does(f"{slots * factor} processors, and max_in_flight {factor} times as much")
            self._trial.start(slots * factor, raised)
            self._tell(self._measure.step(slots * factor, raised, seconds), raised=True)
            if not gained(before, self._found.raised[-1]):
                return
            before = self._found.raised[-1]
            factor = factor * 2

    def _tell(self, step: TuneStep, raised: bool) -> None:
        (self._found.raised if raised else self._found.steps).append(step)
        self._view.step(step, raised)

    def _late(self, seconds: float) -> bool:
        """Return whether another step would exceed the given time by far."""
        return time.monotonic() + 0.5 * seconds > self._end


def _raised(config: Config, factor: int) -> Mapping[str, int]:
    used = set(used_filters(config))
    return {each.name: min(1000, each.max_in_flight * factor) for each in config.filters if each.name in used}
