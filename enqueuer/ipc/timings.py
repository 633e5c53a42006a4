"""Where the time goes, by the engine's own clocks: wall and processor time of each step of one message in SAMPLE.

Two clocks and a few words of shared memory a step cost about a microsecond, so most messages are passed over: the sums
are multiplied instead. What stands here is a stopwatch and how its words are read; the words are the board's.
"""

from collections.abc import Mapping
from time import monotonic_ns, thread_time_ns

__all__ = ["MANAGER", "MANAGER_WORDS", "PROCESSOR", "PROCESSOR_WORDS", "SAMPLE", "StageTimings", "read"]

SAMPLE = 16
"""Of the messages (by dispatch number) and of the queue manager's turns, one in so many is measured."""
MANAGER = ("intake", "dispatch", "commit", "publish", "count", "unlink", "sync")
"""intake: look and claim · commit: or all that follows, where the message file itself is the output · count: total and disposition line ·
sync: in the committer's thread, each one."""
PROCESSOR = ("reading", "rules", "filter", "writing")
"""The states that `status` shows: ingest and its log line, decide, wait for the verdict, stage and answer."""
MANAGER_WORDS = 2 * len(MANAGER)
PROCESSOR_WORDS = 2 * len(PROCESSOR)
ALL = ("sync",)
"""Measured each time."""


class StageTimings:
    """A stopwatch for steps that follow each other in one thread."""

    def __init__(self, words: memoryview, steps: tuple[str, ...]) -> None:
        """`words`: two for each of the steps, nanoseconds of wall and of processor time. This process alone writes them."""
        self._words = words
        self._at = {step: 2 * place for place, step in enumerate(steps)}
        self._running = False
        self._step = 0
        self._wall = 0
        self._cpu = 0
        self._turns = 0

    def turn(self, step: str) -> None:
        """A turn of a loop comes to a step: start() with a number of our own."""
        self._turns += 1
        self.start(self._turns, step)

    def start(self, number: int, step: str) -> None:
        """A message or turn of this number comes to a step. What was not ended by next() counts for nothing."""
        self._running = number % SAMPLE == 0
        if self._running:
            self._step = self._at[step]
            self._wall = monotonic_ns()
            self._cpu = thread_time_ns()

    def next(self, step: str) -> None:
        """The step ends, and another begins; one that is not known: none does."""
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
    """Step -> seconds of wall and of processor time, for all messages, as far as those measured stand for the others."""
    found = {}
    for place, step in enumerate(steps):
        times = 1 if step in ALL else SAMPLE
        found[step] = (words[2 * place] * times / 1e9, words[2 * place + 1] * times / 1e9)
    return found
