"""Decide what must be done with one helper process, and when. Pure: the clock is an argument, the actions are steps.

The owner of a Life calls tick() at `due`, carries out the returned step, and reports events of the process.
"""

import enum
import math

from filterlink.config.settings import Filter

__all__ = ["GENTLE", "HASTY", "Life", "LifeStep", "Phase"]


class Phase(enum.Enum):
    """The phase of a helper: paused -> starting -> ready -> stopping -> paused, or over."""

    PAUSED = "paused"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    OVER = "over"


class LifeStep(enum.Enum):
    """An order that tick() returns."""

    START = "start"
    ASSUME = "assume"
    """The helper has not answered INTF: treat it as an old helper. If it does not work, requests will time out."""
    QUIT = "quit"
    CLOSE = "close"
    """Close the helper's input, and go on reading its output."""
    TERM = "term"
    KILL = "kill"
    ABANDON = "abandon"
    """Give the process up: SIGKILL has not ended it, because the kernel holds it, perhaps without end."""


# Each step with the seconds until the next one. Many helpers end only at the last steps. Some fork a child for each message:
# so the signals go to the whole process group.
GENTLE = ((LifeStep.QUIT, 1.0), (LifeStep.CLOSE, 2.0), (LifeStep.TERM, 3.0), (LifeStep.KILL, 4.0), (LifeStep.ABANDON, 2.0))
# After a time-out messages wait for the new helper, and the old one has already failed to answer.
HASTY = ((LifeStep.QUIT, 0.5), (LifeStep.CLOSE, 0.5), (LifeStep.TERM, 1.5), (LifeStep.KILL, 4.0), (LifeStep.ABANDON, 2.0))

INTF_WAIT = 10.0
"""Longest wait in seconds for the answer to INTF: some helpers never give one. The wait is at most half a time-out, because after
a whole time-out the filter would count as unavailable."""
MAX_PAUSE = 60.0
"""Seconds of the longest back-off (auto_restart, if that is longer): a repaired filter must be back soon."""
MIN_PAUSE = 0.1
"""Seconds of the first pause that is doubled with auto_restart = "0s": a helper that dies at once must not keep a core busy."""


class Life:
    """The phase of one helper, and the time of the next step."""

    def __init__(self, settings: Filter, now: float) -> None:
        self.phase = Phase.PAUSED
        self.due = now
        self.starts = 0
        self.proven = False
        """It has answered a request since its start: its end is not a sign of a wrong configuration."""
        self._settings = settings
        self._faults = 0
        self._final = False
        self._steps = list(GENTLE)

    def tick(self, now: float) -> LifeStep | None:
        """Return the step that is due; None if none is due."""
        if now < self.due:
            return None
        if self.phase is Phase.STOPPING:
            step, wait = self._steps[0]
            if len(self._steps) > 1:  # the last step is repeated
                del self._steps[0]
            self.due = now + wait
            return step
        self.due = math.inf
        if self.phase is Phase.STARTING:
            self.phase = Phase.READY
            return LifeStep.ASSUME
        return LifeStep.START if self.phase is Phase.PAUSED else None

    def started(self, now: float) -> None:
        """Note that the process runs and INTF was sent."""
        self.phase = Phase.STARTING
        self.proven = False
        self.starts += 1
        self.due = now + min(self._settings.timeout / 2, INTF_WAIT)

    def greeted(self) -> bool:
        """Note that INTF was answered; return True if this makes the helper ready."""
        if self.phase is not Phase.STARTING:
            return False
        self.phase = Phase.READY
        self.due = math.inf
        return True

    def quit_answered(self, now: float) -> None:
        """Note that the helper answered QUIT: its input can be closed at once."""
        if self.phase is Phase.STOPPING and self._steps[0][0] is LifeStep.CLOSE:
            self.due = now

    def stop(self, now: float, steps: tuple[tuple[LifeStep, float], ...] = GENTLE, final: bool = False) -> None:
        """Begin to stop the process. With `final` it is never started again."""
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
        """Return whether the helper is never started again."""
        return self._final

    def ended(self, now: float, planned: bool = False) -> None:
        """Note that the process has ended or could not be started. `planned`: it left by itself with status 0."""
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
