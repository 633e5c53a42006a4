"""Measure how fast a filter answers, and derive how long a processor waits for it while there is other work. Pure."""

import math
from collections import deque

__all__ = ["FIRST_GRACE", "LEAST_GRACE", "WINDOW", "Pace"]

WINDOW = 500
"""Answers from which median and p99 are computed."""
FIRST_GRACE = 1.0
"""Seconds of grace until the filter has answered for the first time."""
LEAST_GRACE = 0.1
TIMES_MEDIAN = 4
REFRESH = 16
"""Answers after which the median is computed again. It is read more often than it changes."""


class Pace:
    """The durations of a filter's last answers."""

    def __init__(self) -> None:
        self._durations: deque[float] = deque(maxlen=WINDOW)
        self._median: float | None = None
        self._fresh = 0

    def add(self, seconds: float) -> None:
        self._durations.append(seconds)
        self._fresh += 1

    def quantile(self, part: float) -> float | None:
        if not self._durations:
            return None
        return sorted(self._durations)[max(0, math.ceil(len(self._durations) * part) - 1)]

    def grace(self, slow_after: float) -> float:
        """Return the seconds that a processor waits for an answer before it does other work meanwhile."""
        if self._fresh >= REFRESH or self._median is None:
            self._median = self.quantile(0.5)
            self._fresh = 0
        if self._median is None:
            return min(slow_after, FIRST_GRACE)
        return min(slow_after, max(LEAST_GRACE, TIMES_MEDIAN * self._median))
