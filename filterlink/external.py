"""Connect the parts of one External Filter in the multiplexer: its gate and the runners of its helpers."""

import itertools
import logging
import math
from collections.abc import Callable, Iterator

from filterlink.config.settings import LEVELS, Filter
from filterlink.dispatch.mux import Gate
from filterlink.dispatch.requests import ScanRequest
from filterlink.helpers import unkillable
from filterlink.helpers.pool import HelperPool
from filterlink.helpers.runner import HelperRunner
from filterlink.log.complaints import Complaints
from filterlink.outage import Outage
from filterlink.protocol.protocol import HelperReply
from filterlink.wire.frames import (
    MAX_TEXT,
    AnswerKind,
    FilterAnswer,
    FilterState,
    Guilty,
    Park,
    Renewed,
    StateWord,
    VerdictFrame,
    Wake,
    encode,
)
from filterlink.wire.loop import Loop

__all__ = ["ExternalFilter", "numbers_from"]

NONE = (AnswerKind.TIMEOUT, AnswerKind.UNAVAILABLE)
"""Kinds of answers that the multiplexer gives instead of the filter."""
MOST_LINES = 100
"""Log lines a minute about messages without an answer: an outage may concern each message of a long queue."""
LAST_NUMBER = (1 << 31) - 1
"""Helpers in C keep request numbers in an int."""


def numbers_from(first: int) -> Iterator[int]:
    """Yield request numbers that this process does not repeat: some gateways send answers for a dead helper's requests to the next one."""
    rounds = itertools.chain([range(first, LAST_NUMBER)], itertools.repeat(range(1, LAST_NUMBER)))
    return itertools.chain.from_iterable(rounds)


class ExternalFilter:
    """One filter: its gate and its helpers' runners. It is the MuxPort of the gate and the owner of the runners."""

    def __init__(
        self,
        loop: Loop,
        settings: Filter,
        tell_manager: Callable[[Wake | Guilty | Renewed], None],
        changed: Callable[[], None],
        numbers: Iterator[int],
    ) -> None:
        self.settings = settings
        self.numbers = numbers
        self.started = self.stopping = False
        self.due = math.inf
        """End of the time in which its helpers must become ready (seconds of loop.now)."""
        self._loop = loop
        self._tell_manager = tell_manager
        self._changed = changed
        self._log = logging.getLogger(f"EXTFILTER({settings.name})")
        self._log.setLevel(LEVELS[settings.log_level])
        self._outage = Outage(self._log)
        self._complaints = Complaints(self._log, burst=MOST_LINES)
        self.gate = Gate(settings, self, numbers, loop.now(), lambda: self.reason) if settings.enabled else None
        """None: the filter is disabled."""
        self._pool = HelperPool(settings, lambda place: HelperRunner(loop, settings, place, numbers, self._log, self))

    def start(self) -> None:
        """Start the helpers of an enabled filter. Until they are ready, each request is parked."""
        self.started = True
        self.due = self._loop.now() + self.settings.timeout
        if self.gate is not None:
            self._pool.start()

    def stop(self) -> None:
        """Stop the helpers in steps; `over` becomes True when all have ended."""
        if not self.stopping:
            self.stopping = True
            self._pool.stop()

    def evict(self) -> None:
        """Give up all requests, open or parked: the messages are dispatched again, by the active rules and settings."""
        if self.gate is not None:
            evicted = self.gate.evict()
            for request in evicted:
                self.park(request, f'filter "{self.settings.name}" was removed, disabled or changed', True)
                if not request.asked:  # a door asks again by itself
                    self.wake_one(request.id)
            self.gate.release()

    def inherit(self, old: "ExternalFilter") -> None:
        """Take over the messages parked under the old settings. If no helper is ready yet, the time-out begins now."""
        if self.gate is not None and old.gate is not None:
            self.gate.take_parked(self._loop.now(), old.gate)

    def say(self, text: str) -> None:
        """Log a change of the filter."""
        self._log.log(LEVELS["major"], "%s", text)

    def tick(self, now: float) -> None:
        """Do what is due at `now` (loop.now)."""
        if self.gate is not None and not self.stopping:
            self.gate.tick(now)
            self._pool.see_off(now, self.gate)
            self._outage.observe(now, self.gate, self._word(self.gate, now))

    @property
    def drained(self) -> bool:
        """Return whether all requests are answered."""
        return self.gate is None or self.gate.is_idle

    @property
    def is_whole(self) -> bool:
        """Return whether all of its helpers are ready, and none reports that its server does not answer."""
        return self.gate is not None and sum(unit.ready and not unit.trouble for unit in self.gate.units) >= self.settings.instances

    @property
    def ended_early(self) -> bool:
        """Return whether a helper has ended before any was ready."""
        return self.gate is not None and not self.gate.is_ready and any(runner.fell for runner in self._runners)

    def is_late(self, now: float) -> bool:
        """Return whether its time to become ready is over, or its helpers are not started again."""
        return now >= self.due or (self.started and self.over)

    def is_of_use(self, now: float) -> bool:
        """Return whether the filter answers requests."""
        gate = self.gate
        return gate is not None and gate.availability.serves and not gate.failing and not gate.stalled(now)

    @property
    def over(self) -> bool:
        """Return whether no helper runs and none will be started."""
        return self._pool.over

    @property
    def busy(self) -> bool:
        """Return whether the filter needs the clock: requests are open or parked, or no helper is ready."""
        gate = self.gate
        return gate is not None and (gate.in_flight > 0 or gate.parked > 0 or not gate.is_ready)

    def state(self) -> FilterState:
        """Return the state of the filter for the status document."""
        gate = self.gate
        now = self._loop.now()
        if gate is None:
            return FilterState(self.settings.name, "disabled")
        pids = tuple(runner.pid for runner in self._runners if runner.pid)
        median = gate.pace.quantile(0.5)
        p99 = gate.pace.quantile(0.99)
        word = self._word(gate, now)
        self._outage.observe(now, gate, word)
        at, error = self._last_error(gate)
        return FilterState(
            self.settings.name,
            word,
            pids,
            gate.in_flight,
            gate.parked,
            gate.answered,
            self._pool.restarts,
            error,
            None if median is None else round(median, 6),
            None if p99 is None else round(p99, 6),
            unkillable.of(self.settings.name),
            self._outage.since,
            at,
        )

    def _last_error(self, gate: Gate) -> tuple[float | None, str | None]:
        """Return when the filter failed last, in seconds since 1970, and how."""
        if trouble := gate.availability.trouble:
            return self._outage.since, trouble
        errors = [(runner.last_error_at, runner.last_error) for runner in self._runners if runner.last_error]
        return max(errors, default=(None, None))

    def _word(self, gate: Gate, now: float) -> StateWord:
        if gate.is_ready:
            return "failed" if gate.failing or gate.availability.trouble else "stalled" if gate.stalled(now) else "ready"
        if gate.dead or gate.failing or (self.started and not any(runner.startable for runner in self._runners)):
            return "failed"
        return "restarting" if any(runner.was_ready for runner in self._runners) else "starting"

    @property
    def reason(self) -> str:
        """Return why the filter is not ready, or does not scan."""
        trouble = self.gate.availability.trouble if self.gate is not None else ""
        return trouble or next((runner.last_error for runner in self._runners if runner.last_error), "it is being started")

    # Orders of the gate (requests.MuxPort)

    def send(self, unit: int, number: int, message: int, asked: bool) -> None:
        self._pool.send(unit, number, message, asked)

    def take_back(self, unit: int, number: int) -> bool:
        return self._pool.take_back(unit, number)

    def verdict(self, request: ScanRequest, answer: FilterAnswer) -> None:
        request.client.send(encode(VerdictFrame(request.id, request.n, self.settings.name, answer)))
        if answer.kind in NONE:
            self._complaints.say(answer.kind, f"message {request.id}: {answer.text}")

    def park(self, request: ScanRequest, reason: str, apart: bool = False) -> None:
        request.client.send(encode(Park(request.id, request.n, self.settings.name, reason, apart)))

    def wake(self, count: int, large: bool = False) -> None:
        self._tell_manager(Wake(self.settings.name, count, large))

    def wake_one(self, id: int) -> None:
        self._tell_manager(Wake(self.settings.name, 1, id=id))

    def guilty(self, request: ScanRequest, reason: str) -> None:
        self._tell_manager(Guilty(request.id, request.n, self.settings.name, reason[:MAX_TEXT]))

    def returned(self) -> None:
        self._tell_manager(Renewed(self.settings.name))

    def restart(self, unit: int, reason: str) -> None:
        self._pool.restart(unit, reason)

    # Reports of the helpers' runners (runner.Owner)

    def helper_ready(self, index: int) -> None:
        self._pool.ready(self._loop.now(), index, self._told())
        self._changed()

    def helper_replies(self, index: int, replies: list[HelperReply]) -> list[HelperReply]:
        self._changed()
        return self._told().replies(self._loop.now(), index, replies)

    def helper_server(self, index: int, trouble: str) -> None:
        self._told().server(self._loop.now(), index, trouble)
        self._changed()

    def helper_asked(self, index: int, number: int) -> int:
        """Return the id of the message of this open request; 0 for another number."""
        request = self._told().units[index].open.get(number)
        return request.id if request is not None else 0

    def helper_written(self, index: int, numbers: list[int]) -> None:
        self._told().units[index].written(self._loop.now(), numbers)

    def helper_leaving(self, index: int) -> None:
        self._pool.leaving(index)
        self._told().leaving(self._loop.now(), index)
        self._changed()

    def helper_gone(self, index: int, over: bool, planned: bool) -> None:
        if not self.stopping:  # at the engine's end the gate must not report the filter as unavailable, and so defer mail
            self._told().gone(self._loop.now(), index, over, planned)
        self._pool.gone(index, over)
        self._changed()

    @property
    def _runners(self) -> list[HelperRunner]:
        return list(self._pool.runners.values())

    def _told(self) -> Gate:
        assert self.gate is not None  # made before the first runner
        return self.gate
