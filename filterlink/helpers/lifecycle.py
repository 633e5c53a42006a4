"""The life of one helper process: what is to be done with it, and when. Pure: the clock is an argument, the deeds are steps.

Whoever owns a Life calls tick() when `due` has come, does the step it says, and reports what happened to the process.
"""

import enum
import math

from filterlink.config.settings import Filter

__all__ = ["GENTLE", "HASTY", "Life", "LifeStep", "Phase"]


class Phase(enum.Enum):
    """Where a helper is: paused -> starting -> ready -> stopping -> paused, or over."""

    PAUSED = "paused"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    OVER = "over"


class LifeStep(enum.Enum):
    """What tick() tells its owner to do."""

    START = "start"
    ASSUME = "assume"
    """INTF stays unanswered: go on as with an old helper; the time-out of the requests will tell."""
    QUIT = "quit"
    CLOSE = "close"
    """Close the helper's input, go on reading its output."""
    TERM = "term"
    KILL = "kill"
    ABANDON = "abandon"
    """SIGKILL has not ended it: the kernel holds it, and may do so for ever."""


# Each step with the seconds given to the helper before the next one. Many helpers end at none but the last ones, and
# some fork a child a message: the signals go to the whole process group.
GENTLE = ((LifeStep.QUIT, 1.0), (LifeStep.CLOSE, 2.0), (LifeStep.TERM, 3.0), (LifeStep.KILL, 4.0), (LifeStep.ABANDON, 2.0))
# After a time-out others wait for the new helper, and the old one has shown already that it does not listen.
HASTY = ((LifeStep.QUIT, 0.5), (LifeStep.CLOSE, 0.5), (LifeStep.TERM, 1.5), (LifeStep.KILL, 4.0), (LifeStep.ABANDON, 2.0))

INTF_WAIT = 10.0
"""Longest wait for the answer to INTF: some helpers never give one. Never more than half a time-out: after a whole one the
filter would count as away."""
MAX_PAUSE = 60.0
"""The back-off never grows over this (or auto_restart, if longer): a repaired filter must be back soon."""
MIN_PAUSE = 0.1
"""Where doubling begins with auto_restart = "0s"; a helper that dies at once must not keep a core busy."""


class Life:
    """The phase of one helper and the instant when something is to be done."""

    def __init__(self, settings: Filter, now: float) -> None:
        self.phase = Phase.PAUSED
        self.due = now
        self.starts = 0
        self.proven = False
        """It has answered a request since it was started: its death is no sign of a wrong configuration."""
        self._settings = settings
        self._faults = 0
        self._final = False
        self._steps = list(GENTLE)

    def tick(self, now: float) -> LifeStep | None:
        """The step that is due; None when it is not time yet."""
        if now < self.due:
            return None
        if self.phase is Phase.STOPPING:
            step, wait = self._steps[0]
            if len(self._steps) > 1:  # the last one is repeated
                del self._steps[0]
            self.due = now + wait
            return step
        self.due = math.inf
        if self.phase is Phase.STARTING:
            self.phase = Phase.READY
            return LifeStep.ASSUME
        return LifeStep.START if self.phase is Phase.PAUSED else None

    def started(self, now: float) -> None:
        """The process runs and INTF is sent."""
        self.phase = Phase.STARTING
        self.proven = False
        self.starts += 1
        self.due = now + min(self._settings.timeout / 2, INTF_WAIT)

    def greeted(self) -> bool:
        """INTF was answered; True when the helper becomes ready by it."""
        if self.phase is not Phase.STARTING:
            return False
        self.phase = Phase.READY
        self.due = math.inf
        return True

    def quit_answered(self, now: float) -> None:
        """The helper agreed to QUIT: its input can be closed at once."""
        if self.phase is Phase.STOPPING and self._steps[0][0] is LifeStep.CLOSE:
            self.due = now

    def stop(self, now: float, steps: tuple[tuple[LifeStep, float], ...] = GENTLE, final: bool = False) -> None:
        """Begin to stop the process; with `final` it is never started again."""
        self._final = self._final or final
        if self.phase in (Phase.STARTING, Phase.READY):
            self.phase = Phase.STOPPING
            self.due = now
            self._steps = list(steps)
        elif self.phase is Phase.PAUSED and self._final:
            self.phase = Phase.OVER
            self.due = math.inf

    @property
    def final(self) -> bool:
        """It is not started again."""
        return self._final

    def ended(self, now: float, planned: bool = False) -> None:
        """The process has ended or could not be started. `planned`: it left by itself, status 0."""
        if self._final or not self._settings.restarts:
            self.phase = Phase.OVER
            self.due = math.inf
            return
        self._faults = 0 if self.proven else self._faults + 1
        self.phase = Phase.PAUSED
        self.due = now + (0.0 if planned and self.proven else self._pause())
        self.proven = False

    def _pause(self) -> float:
        base = self._settings.auto_restart
        if self._faults < 2:
            return base
        doubled = math.ldexp(max(base, MIN_PAUSE), min(self._faults - 1, 30))
        return min(doubled, max(MAX_PAUSE, base))
