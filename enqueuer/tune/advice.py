"""Decide which numbers of processors are measured, and what is recommended. Pure."""

import math
from collections.abc import Sequence

import msgspec

from enqueuer.tune.doubt import FEWEST, doubts
from enqueuer.tune.law import Fit, fit
from enqueuer.tune.verdict import UNSEEN, Bottleneck, TuneStep, judge

__all__ = ["LEAST", "MOST", "Advice", "advise", "counts", "gained", "goes_on"]

MOST = 64
"""The most processors that are tried, where no more are configured."""
ENOUGH = 0.95
"""The part of the best throughput that counts as equal to it: the difference is noise, and would cost processors."""
LEAST = 2
"""The fewest processors that are recommended: with one a large message makes all others wait (config/lint.py warns of it)."""
MOST_SPREAD = 0.1
"""A rate with a larger spread is not believed to vary by chance only."""
FLAT = 1.05
"""Two doublings that bring less than this show that more processors bring nothing."""
GAIN = 1.16
"""Doubled slots must bring this much to be worth it: a sixth more, well beyond the noise."""


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """The result of the steps."""

    step: TuneStep
    """The smallest number of processors that does as much as the best, with the configured slots."""
    fit: Fit
    knee: float
    """The number of processors at which the line of one processor meets the best throughput."""
    verdict: Bottleneck
    """The bottleneck where more processors bring nothing more."""
    raised: TuneStep | None = None
    """The best step with more slots, if they are worth it."""
    now: TuneStep | None = None
    """The step with today's configuration, if it was measured."""
    doubts: tuple[str, ...] = ()
    """Why the steps allow no recommendation."""

    @property
    def best(self) -> TuneStep:
        """Return the recommended step."""
        return self.raised or self.step

    @property
    def processors(self) -> int:
        """Return the recommended number: at most the slots of the filters in use. Other processors would find no slot."""
        return max(LEAST, self.best.at_once)

    @property
    def servers(self) -> int:
        """Return how many messages are really scanned at the same time: one where a scanner has one core, however many are in work."""
        return min(self.best.at_once, max(1, round(self.best.rate / self.fit.law.rate)))

    def beside(self, alone: float) -> float:
        """Return the seconds in which no processor works on a message that takes `alone` seconds: claim, sync, commit."""
        return max(0.0, alone - 1 / self.fit.law.rate)


def counts(configured: int, most: int = MOST) -> list[int]:
    """Return the numbers to try: doubled from 1, and today's number among them."""
    most = max(most, configured)
    doubled = [2**power for power in range(most.bit_length()) if 2**power <= most]
    return sorted({*doubled, configured})


def goes_on(steps: Sequence[TuneStep]) -> bool:
    """Return whether a higher number may still bring something.

    It may not if the last doubling brought nothing and the cause is known, nor if two doublings brought nothing.
    """
    if len(steps) < FEWEST:
        return True
    *before, last = steps
    half = [step.rate for step in before if step.processors <= last.processors / 2]
    quarter = [step.rate for step in before if step.processors <= last.processors / 4]
    if half and last.rate < FLAT * max(half) and judge(last).kind not in ("processors", UNSEEN):
        return False
    return not quarter or max(step.rate for step in steps if step.processors > last.processors / 4) >= FLAT * max(quarter)


def gained(before: TuneStep, after: TuneStep) -> bool:
    """Return whether more slots were worth it."""
    return after.rate >= GAIN * before.rate


def advise(steps: Sequence[TuneStep], raised: Sequence[TuneStep] = (), configured: int = 0) -> Advice:
    """Derive the advice from the steps, which are in ascending order. `raised`: measured with more slots. Raises ValueError without a
    step.
    """
    if not steps:
        raise ValueError("nothing was measured")
    top = max(step.rate for step in steps)
    step = _enough(steps)
    verdict = judge(steps[-1], steps[-2] if len(steps) > 1 else None)
    fitted = fit(_below_the_cap(steps, verdict))
    better = [each for each in raised if gained(step, each)]
    best = _enough(better) if better else None
    now = next((each for each in steps if each.processors == configured), None)
    why = doubts([*steps, *raised], [best or step, max(better or steps, key=lambda each: each.rate)])
    return Advice(step=step, fit=fitted, knee=_knee(steps, fitted, top), verdict=verdict, raised=best, now=now, doubts=tuple(why))


def _enough(steps: Sequence[TuneStep]) -> TuneStep:
    """Return the smallest number of processors that does as much as the best, or is within the spread of the rates."""
    steps = [step for step in steps if step.processors >= LEAST] or steps
    best = max(steps, key=lambda step: step.rate)

    def wavers(step: TuneStep) -> float:
        return MOST_SPREAD if step.spread is None else min(step.spread, MOST_SPREAD)

    return next(
        step for step in steps if step.rate >= ENOUGH * best.rate or step.rate * (1 + wavers(step)) >= best.rate * (1 - wavers(best))
    )


def _below_the_cap(steps: Sequence[TuneStep], verdict: Bottleneck) -> list[tuple[int, float]]:
    points = [(step.processors, step.rate) for step in steps]
    if verdict.kind == "filter slots":
        points = [point for point in points if point[0] <= steps[-1].slots] or points[:1]
    return points


def _knee(steps: Sequence[TuneStep], fitted: Fit, top: float) -> float:
    """Return `top` divided by what one processor does, at least 1, within what was measured."""
    alone = next((step.rate for step in steps if step.processors == 1), fitted.law.rate)
    return min(max(1.0, top / alone), float(steps[-1].processors)) if alone > 0 else math.inf
