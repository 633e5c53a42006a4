"""Measure where the time goes, by the engine's own clocks: wall and processor time of each step of one message in SAMPLE.

Two clocks and a few words of shared memory a step cost about a microsecond. So most messages are not measured, and the
sums are multiplied. This module has the stopwatch and the reading of its words; the words are part of the scoreboard.
"""

from collections.abc import Mapping
from time import monotonic_ns, thread_time_ns

__all__ = ["MANAGER", "MANAGER_WORDS", "PROCESSOR", "PROCESSOR_WORDS", "SAMPLE", "StageTimings", "read"]

SAMPLE = 16
"""One message (by dispatch number) or turn of the queue manager in this many is measured."""
MANAGER = ("intake", "dispatch", "commit", "publish", "count", "unlink", "sync")
"""intake: look and claim · commit: includes all later steps where the message file itself is the output · count: total and disposition
line · sync: each one, in the committer's thread.
"""
PROCESSOR = ("reading", "rules", "filter", "writing")
"""The states that `status` shows: ingest the message and log it, decide, wait for the verdict, stage and answer."""
MANAGER_WORDS = 2 * len(MANAGER)
PROCESSOR_WORDS = 2 * len(PROCESSOR)
ALL = ("sync",)
"""Steps that are measured every time."""


class StageTimings:
    """A stopwatch for steps that follow each other in one thread."""

    def __init__(self, words: memoryview, steps: tuple[str, ...]) -> None:
        """`words`: two for each step, nanoseconds of wall and of processor time. Only this process writes them."""
        self._words = words
        self._at = {step: 2 * place for place, step in enumerate(steps)}
        self._running = False
        self._step = 0
        self._wall = 0
        self._cpu = 0
        self._turns = 0

    def turn(self, step: str) -> None:
        """Begin a step in a turn of a loop: start() with a number of our own."""
        self._turns += 1
        self.start(self._turns, step)

    def start(self, number: int, step: str) -> None:
        """Begin a step of the message or turn with this number. A step without a later next() is not counted."""
        self._running = number % SAMPLE == 0
        if self._running:
            self._step = self._at[step]
            self._wall = monotonic_ns()
            self._cpu = thread_time_ns()

    def next(self, step: str) -> None:
        """End the step and begin another one. An unknown name begins none."""
        if self._running:
            wall = monotonic_ns()
            cpu = thread_time_ns()
            self._words[self._step] += wall - self._wall
            self._words[self._step + 1] += cpu - self._cpu
            self._running = step in self._at
            self._step = self._at.get(step, 0)
            self._wall = wall
            self._cpu = cpu


def read(words: memoryview, steps: tuple[str, ...]) -> Mapping[str, tuple[float, float]]:
    """Return step -> seconds of wall and of processor time, extrapolated from the measured messages to all."""
    found = {}
    for place, step in enumerate(steps):
        times = 1 if step in ALL else SAMPLE
        found[step] = (words[2 * place] * times / 1e9, words[2 * place + 1] * times / 1e9)
    return found
