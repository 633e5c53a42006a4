"""Run one step of `enqueuer tune`: a number of processors, first with more mail than they can take, then with a steady load.

It feeds the trial, samples its status some times a second, and makes a TuneStep of the samples.
"""

import collections
import itertools
import random
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from enqueuer.ipc.scoreboard import DISPOSITIONS
from enqueuer.lab.trial import TrialError
from enqueuer.log import history
from enqueuer.log.following import LogFollower
from enqueuer.tune import machine
from enqueuer.tune.pile import Pile, sweep_out
from enqueuer.tune.rig import Rig, used_filters
from enqueuer.tune.verdict import Cpu, Scans, TuneStep, Wait

__all__ = ["STEADY", "Measure", "StatusSample", "rate_of", "spread_of", "waits"]

STEADY = 0.7
"""The part of the full rate at which the wait is measured: busy, but without a queue that grows by chance."""
POLL = 0.05
AHEAD = 0.25
"""Seconds of work that wait for the processors, beyond what they work on."""
SETTLING = 64
BEHIND = 1.0
"""Messages with a verdict before their sync, or this many seconds of them, whatever is more: beyond it the disk is too slow, and no more
mail is fed. A slow disk does more with larger batches; a message may well wait a second for it.
"""
LATELY = 60
"""Samples over which the present rate is taken."""
WARM = 0.2
"""The part of the time that does not count: processors begin to work, caches fill."""
PARTS = 4
"""Parts of the time whose rates are compared."""
FEW = 8
"""Messages, and instants at which some were finished: with fewer a rate says nothing."""
IDLE = 0.3
"""Seconds for which the machine is measured without mail, before the first step and after each."""
LEFT_OVER = 5.0
"""Seconds that the mail of a step has to leave the trial before that measurement."""
ALONE = 5
"""Messages that are scanned one after the other, if they take under a second."""
LONGEST = 4.0
"""A step may take this many times the planned seconds until it has FEW messages."""

Document = dict[str, Any]


class StatusSample(NamedTuple):
    """One sample of the status."""

    at: float
    done: int
    busy: int
    scanning: int
    backlog: int
    parked: int
    behind: bool
    in_flight: Mapping[str, int]


class Measure:
    """Measures one number of processors after the other, on one running trial engine."""

    def __init__(self, rig: Rig, messages: Sequence[bytes]) -> None:
        suffixes = rig.config.spool.suffixes
        self._rig = rig
        self._pile = Pile(rig.trial.base, messages, ".eml" if ".eml" in suffixes else suffixes[0])
        self._rate = 0.0
        self._idle: Cpu | None = None
        """Who used the CPU without mail, at the last measurement."""

    def idle(self) -> Cpu:
        """Measure what other programs use while there is no mail."""
        before = machine.look()
        self._rig.pause(IDLE)
        self._idle = machine.between(before, machine.look(), self._rig.engine)[0]
        return self._idle

    def alone(self) -> float:
        """Scan single messages; return the seconds that one takes. Raises TrialError if none comes out."""
        took = [self._one()]
        while len(took) < ALONE and sum(took) < 1.0:
            took.append(self._one())
        self._rate = 1 / statistics.median(took)
        return statistics.median(took)

    def _one(self) -> float:
        before = _done(self._rig.status())
        began = time.monotonic()
        self._pile.feed()
        limit = 30.0 + max((each.timeout for each in self._rig.config.filters if each.timeout < 3600), default=0.0)
        while _done(document := self._rig.status()) == before:
            if document["queue"]["deferred"]:
                raise TrialError(f"a filter cannot scan a message, so it is deferred\n{self._rig.trial.last_words()}")
            if time.monotonic() - began > limit:
                raise TrialError(f"after {limit:.0f} s one message has not come out\n{self._rig.trial.last_words()}")
            self._rig.pause(0.002)
        return time.monotonic() - began

    def step(self, processors: int, slots: Mapping[str, int], seconds: float) -> TuneStep:
        """Measure this number of processors. Raises Stopped, TrialError."""
        sweep_out(self._rig.trial.base)
        seconds = max(0.5 * seconds, seconds - IDLE)
        self._pile.prepare(int(self._rate * seconds) + 2 * processors)  # twice what half as many processors did
        found = self._full(processors, slots, 0.65 * seconds)
        self._rate = found.rate
        self._drain(2.0 + 3 * processors / found.rate)
        wait = self._steady(found.rate * STEADY, 0.3 * seconds)
        return msgspec.structs.replace(found, wait=wait, cpu=self._beside(found.cpu))

    def _beside(self, cpu: Cpu) -> Cpu:
        """Add what other programs used without mail, before the step and after it."""
        looks = [] if self._idle is None else [self._idle]
        if self._drain(LEFT_OVER):  # else a scanner's daemon is still at work
            looks.append(self.idle())
        before = max((each.others for each in looks), default=0.0)
        return msgspec.structs.replace(cpu, before=before, idle_outside=max((each.outside for each in looks), default=0.0))

    # ---- more than it can take

    def _full(self, processors: int, slots: Mapping[str, int], seconds: float) -> TuneStep:
        began = time.monotonic()
        samples = list[StatusSample]()
        before = None
        lately = collections.deque[StatusSample](maxlen=LATELY)
        while (now := time.monotonic()) < began + seconds or (len(_moved(samples)) < FEW and now < began + LONGEST * seconds):
            samples.append(self._look(now))
            lately.append(samples[-1])
            self._rate = max(self._rate, rate_of(lately))
            if before is None and now >= began + WARM * seconds:
                samples = samples[-1:]
                before = machine.look()
            self._feed(processors, samples[-1])
            self._rig.pause(POLL)
        assert before is not None
        if not (rate := rate_of(samples)):
            raise TrialError(
                f"{processors} processors finished too few messages in {time.monotonic() - began:.0f} s to count: give more --seconds"
            )
        cpu, disk = machine.between(before, machine.look(), self._rig.engine)
        return TuneStep(
            processors=processors,
            rate=rate,
            spread=spread_of(samples),
            busy=_mean(each.busy for each in samples),
            scanning=_mean(each.scanning for each in samples),
            parked=_mean(each.parked for each in samples),
            piled_up=_mean(each.behind for each in samples),
            scans=self._scans(samples, slots),
            cpu=cpu,
            disk=disk,
        )

    def _look(self, now: float) -> StatusSample:
        document = self._rig.status()
        queue = document["queue"]
        tasks = document["processors"]["tasks"]
        return StatusSample(
            at=now,
            done=_done(document),
            busy=document["processors"]["busy"],
            scanning=sum(task["state"] == "filter" for task in tasks),
            backlog=document["spool"]["waiting"] + queue["waiting"] + queue["parked"],
            parked=queue["parked"],
            behind=queue["settling"] >= max(SETTLING, BEHIND * self._rate),
            in_flight={each["name"]: each["in_flight"] for each in document["filters"]},
        )

    def _feed(self, processors: int, seen: StatusSample) -> None:
        if not seen.behind:
            self._pile.feed(max(0, processors + int(max(8.0, self._rate * AHEAD)) - seen.backlog))

    def _scans(self, samples: Sequence[StatusSample], slots: Mapping[str, int]) -> tuple[Scans, ...]:
        used = set(used_filters(self._rig.config))
        return tuple(
            Scans(
                each.name,
                _mean(sample.in_flight.get(each.name, 0) for sample in samples),
                each.instances * slots.get(each.name, each.max_in_flight),
            )
            for each in self._rig.config.filters
            if each.name in used
        )

    # ---- a steady load

    def _drain(self, seconds: float) -> bool:
        """Wait until the trial is empty, or for this many seconds; return whether it is."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            document = self._rig.status()
            queue = document["queue"]
            if not document["spool"]["waiting"] + queue["waiting"] + queue["active"] + queue["parked"]:
                return True
            self._rig.pause(POLL)
        return False

    def _steady(self, load: float, seconds: float) -> Wait | None:
        """Measure random arrivals; return None if there are too few in the time."""
        if load * seconds < FEW:
            return None
        chance = random.Random(1)
        dropped = dict[str, float]()
        log = LogFollower(self._rig.trial.server_log)
        due = began = time.monotonic()
        while due < began + seconds:
            self._rig.pause(max(0.0, due - time.monotonic()))
            dropped |= dict.fromkeys(self._pile.feed(), time.time())
            due += chance.expovariate(load)
        self._drain(2.0)
        took = waits(dropped, [entry.line for entry in log.entries()])
        log.close()
        if len(took) < FEW:
            return None
        return Wait(load, len(took), statistics.fmean(took), statistics.median(took), sorted(took)[int(0.99 * len(took))])


def rate_of(samples: Iterable[StatusSample]) -> float:
    """Return the messages/s between the first and the last sample at which some had been finished; 0 if that is unknown.

    Slow scans end together. To count from one such instant to another includes only whole rounds.
    """
    moved = _moved(samples)
    if len(moved) < 2:
        return 0.0
    return (moved[-1].done - moved[0].done) / (moved[-1].at - moved[0].at)


def waits(dropped: Mapping[str, float], lines: Sequence[str]) -> list[float]:
    """Return the seconds from each drop to its disposition line. `dropped`: time.time() by name."""
    found = []
    for story in history.stories(lines).values():
        if story.decided is not None and story.name in dropped:
            local = time.localtime(at := dropped[story.name])
            since_midnight = local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec + at % 1
            half = history.DAY / 2  # midnight may be between them
            found.append(max(0.0, (story.decided - since_midnight + half) % history.DAY - half))
    return found


def spread_of(samples: Sequence[StatusSample]) -> float | None:
    """Return half the range of the rates of the parts, relative to the whole rate; None if messages came out too seldom for parts.

    A part begins and ends when messages were finished, as in rate_of().
    """
    moved = _moved(samples)
    size = (len(moved) - 1) // PARTS
    if size < 1:
        return None
    marks = [moved[at * size] for at in range(PARTS + 1)]
    rates = [(after.done - before.done) / (after.at - before.at) for before, after in itertools.pairwise(marks)]
    return (max(rates) - min(rates)) / 2 / rate_of(samples)


def _moved(samples: Iterable[StatusSample]) -> list[StatusSample]:
    """Return the samples at which more had been finished than at the one before."""
    return [after for before, after in itertools.pairwise(samples) if after.done > before.done]


def _done(document: Document) -> int:
    totals = document["totals"]
    return sum(int(totals[disposition]) for disposition in (*DISPOSITIONS, "refused"))


def _mean(values: Any) -> float:
    return float(statistics.fmean(values))
