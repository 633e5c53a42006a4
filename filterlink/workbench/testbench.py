"""Test one helper: ask it as a server would, time its answers, and check them against the rules. No engine is needed.

The bench works step by step and reports every deviation. With `chaos` it also does unusual things that servers may do.
"""

import contextlib
import math
import signal
import time
from collections import Counter, deque
from pathlib import Path

import msgspec

from filterlink.config.settings import Filter
from filterlink.helpers.spawn import HelperLimits
from filterlink.protocol import protocol
from filterlink.protocol.referee import BrokenRule
from filterlink.workbench.dialogue import Dialogue, FileCommand, MessageFiles, Watch

__all__ = ["BenchPlan", "BenchReport", "TestBench"]

GREETING = 10.0
"""Seconds for the answer to INTF, as long as our multiplexer waits; never more than half a time-out."""
PROBE = 5.0
"""Seconds for the answer to an unusual command: many helpers give none."""
ENDING = 5.0
"""Seconds for QUIT, and for the end of the process."""
FLUSHING = 1.0
"""Seconds in which a helper that only forgot to flush writes all its answers, after its input has ended."""
AFTERWARDS = 0.5
"""Seconds for answers that come after the one to QUIT."""
MOST_RESTARTS = 3
"""Starts in a row without an answer, after which the helper is given up."""
NO_FILE = "Queue/1.msg"


class BenchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The program to test, and how."""

    words: list[str]
    count: int = 100
    concurrency: int = 8
    timeout: float = 30.0
    pipelining: bool = False
    chaos: bool = False
    limits: HelperLimits = HelperLimits()
    timeout_per_mb: float = 0.0
    max_requests: int = 0
    max_age: float = math.inf
    restarts: bool = True
    """False: a helper that ends is not started again."""

    @classmethod
    def of(cls, filter: Filter, count: int) -> "BenchPlan":
        """Plan one message after the other, as the multiplexer would ask this filter."""
        return cls(
            words=filter.words(),
            count=count,
            concurrency=1,
            timeout=filter.timeout,
            pipelining=filter.pipelining,
            limits=HelperLimits.of(filter),
            timeout_per_mb=filter.timeout_per_mb,
            max_requests=filter.max_requests,
            max_age=filter.max_age,
            restarts=filter.restarts,
        )


class BenchReport(msgspec.Struct):
    """The results of a run."""

    broken: dict[str, BrokenRule]
    version: int | None = None
    verdicts: Counter[str] = msgspec.field(default_factory=Counter)
    latencies: list[float] = msgspec.field(default_factory=list)
    seconds: float = 0.0
    """Duration from the first request to the last answer, without start and end of the process."""
    starts: int = 0
    status: int | None = None
    stopped: str = ""
    """Why the run ended early; empty if all was done."""
    last_words: bytes = b""


class _Hopeless(Exception):
    """The run cannot go on. The text says why."""


class TestBench(Dialogue):
    """One run over one program."""

    __test__ = False  # pytest must not collect it, despite its name

    def __init__(self, plan: BenchPlan, files: MessageFiles, watch: Watch) -> None:
        super().__init__(plan.words, plan.pipelining, plan.limits, files, watch)
        self.report = BenchReport(self.referee.broken)
        self._plan = plan
        self._again: deque[FileCommand] = deque()
        self._fruitless = self._asked = 0
        self._since = 0.0

    def run(self) -> BenchReport:
        """Carry out the plan; return the report. Raises HelperCannotStart, and OSError of the message files."""
        try:
            self._start()
            if self._plan.chaos:
                self._probe()
                self._burst()
            begin = time.monotonic()
            self._load()
            self.report.seconds = time.monotonic() - begin
            self._farewell()
        except _Hopeless as reason:
            self.report.stopped = str(reason)
        finally:
            self.close()
            self.report.status = self.status
            self.report.last_words = self.last_words
        return self.report

    def judged(self, request: FileCommand, seconds: float) -> None:
        if request.index >= 0 and request.reply is not None:
            self.report.verdicts[request.reply.answer.kind.upper()] += 1
            self.report.latencies.append(seconds)

    # The steps

    def _start(self) -> None:
        self.report.starts += 1
        self._asked = 0
        self._since = time.monotonic()
        self.begin()
        if not self.ask("INTF", str(protocol.VERSION), min(self._plan.timeout / 2, GREETING)):
            self.referee.blame("intf", "it ended instead" if self.is_gone else "no answer")
        self.report.version = self.referee.version

    def _restart(self) -> None:
        """Replace a process that has ended: the next one gets its open requests."""
        self._fruitless = 0 if len(self.answered) > 1 else self._fruitless + 1
        self._blame_its_end()
        self._again.extend(self.open.values())
        self.open.clear()
        if not self._plan.restarts:
            raise _Hopeless(f'it {_how(self.status)}, and auto_restart = "never"')
        if self._fruitless >= MOST_RESTARTS:
            raise _Hopeless(f"{self._fruitless} processes in a row ended without an answer; the last one {_how(self.status)}")
        self._start()

    def _blame_its_end(self) -> None:
        if self.status and not self.killed:
            self.referee.blame("stays", f"it {_how(self.status)}")

    def _probe(self) -> None:
        """Send the other commands that a server may send, and ask about a file that does not exist."""
        for rule, verb, argument in (("key", "KEY", "0123456789"), ("unknown", "NOSUCHVERB", "x")):
            if not self.ask(verb, argument, PROBE):
                self.referee.blame(rule, f"{verb}: no answer")
        request = FileCommand(-1, NO_FILE, lent=False)
        self.ask_file(request)
        self.until(lambda: request.reply or self.is_gone, PROBE)
        self.drop(list(self.open))
        if request.reply is None:
            self.referee.blame("missing", "it ended" if self.is_gone else "no answer")
        elif request.reply.answer.kind in ("ok", "discard"):
            self.referee.blame("missing", f"a file that is not there was answered with {request.reply.answer.kind.upper()}")

    def _burst(self) -> None:
        """Send many requests in one write."""
        if self.is_gone:
            self._restart()
        requests = [self.request(-1) for _ in range(max(2, self._plan.concurrency))]
        self.send(b"".join(self.opened(request) for request in requests))
        if not self.until(lambda: self.is_gone or all(request.reply for request in requests), self._plan.timeout):
            missed = sum(request.reply is None for request in requests)
            self.referee.blame("burst", f"{missed} of {len(requests)} were not answered")
            self.drop(list(self.open))
            self.kill()

    def _load(self) -> None:
        given = 0
        while given < self._plan.count or self.open or self._again:
            if self.is_gone:
                self._restart()
            if self._is_worn() and not self.open:
                self._see_off([], ENDING)
                self._start()
            while len(self.open) < self._plan.concurrency and (self._again or given < self._plan.count) and self._takes_more():
                if self._again:
                    request = self._again.popleft()
                else:
                    request = self.request(given)
                    given = given + 1
                self._asked += 1
                self.ask_file(request)
            self.turn()
            self._look_for_overdue()

    def _takes_more(self) -> bool:
        return not self.is_gone and not self._is_worn()

    def _is_worn(self) -> bool:
        """Return whether the process has reached max_requests or max_age, and so must be replaced."""
        old = time.monotonic() - self._since >= self._plan.max_age
        return self._asked > 0 and (old or self._asked == self._plan.max_requests)

    def _limit(self, request: FileCommand) -> float:
        """Return the seconds that the answer may take."""
        size = Path(request.path).stat().st_size if self._plan.timeout_per_mb else 0
        return self._plan.timeout + self._plan.timeout_per_mb * size / (1 << 20)

    def _look_for_overdue(self) -> None:
        """End a process with an overdue answer, as a server does."""
        now = time.monotonic()
        limits = {number: self._limit(request) for number, request in self.open.items()}
        late = [number for number, request in self.open.items() if now - request.since > limits[number]]
        if not late:
            return
        if len(self.answered) <= 1 and self._only_forgot_to_flush():
            self.referee.blame("flush", "the answers came when the input ended")
            raise _Hopeless("it does not flush its answers")
        for number in late:
            self.referee.blame("time-out", f"number {number}: no answer within {limits[number]:g} s")
        self.drop(late)
        self.kill()

    def _only_forgot_to_flush(self) -> bool:
        before = len(self.answered)
        self.close_input()
        return self.until(lambda: len(self.answered) > before, FLUSHING)

    def _farewell(self) -> None:
        """Send QUIT, close the input and await the end of the process; with chaos while requests are open."""
        if self.is_gone:
            self._blame_its_end()
            self._start()
        left = [self.request(-1) for _ in range(self._plan.concurrency if self._plan.chaos else 0)]
        lines = [self.opened(request) for request in left]
        self._see_off(lines, ENDING + (self._plan.timeout if left else 0.0))
        if missed := sum(request.reply is None for request in left):
            self.referee.blame("quit-last", f"{missed} open requests were never answered")

    def _see_off(self, before: list[bytes], patience: float) -> None:
        """Send these lines and QUIT, and check that the process ends as it must."""
        self._quit(before, patience)
        self.until(lambda: self.is_gone or not self.open, AFTERWARDS)
        self.close_input()
        if not self.until(lambda: self.is_gone, ENDING):
            self.referee.blame("ends", "it had to be killed")
        elif self.status and not self.killed:
            self.referee.blame("status", f"it {_how(self.status)}")

    def _quit(self, before: list[bytes], patience: float) -> None:
        number = self.number("QUIT")
        self.send(b"".join([*before, protocol.quit(number)]))
        self.until(lambda: self.is_gone or number in self.answered, patience)
        if number not in self.answered:
            self.referee.dropped(number)
            self.referee.blame("quit", "it ended instead" if self.is_gone else "no answer")


def _how(status: int | None) -> str:
    if status is None:
        return "does not end"
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"ended by {signal.Signals(-status).name}"
    return f"ended with exit status {status}"
