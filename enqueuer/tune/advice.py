"""Which counts are tried, and what is recommended after them. Pure."""

import math
from collections.abc import Sequence

import msgspec

from enqueuer.tune.law import Fit, fit
from enqueuer.tune.verdict import UNSEEN, Bottleneck, TuneStep, judge

__all__ = ["MOST", "Advice", "advise", "counts", "gained", "goes_on"]

MOST = 64
"""Processors that are tried at the most, where no more are configured."""
ENOUGH = 0.95
"""The part of the best throughput that is as good as it: what is between is noise, and costs processors."""
MOST_SPREAD = 0.1
"""A rate that wavers more than this is not believed to waver only by chance."""
FLAT = 1.05
"""Two doublings that bring less than this show that more bring nothing."""
GAIN = 1.16
"""Doubled slots must bring so much to be worth it: a sixth more, well beyond the noise."""


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What comes of the steps."""

    step: TuneStep
    """The smallest count that does as much as the best, for the slots that are configured."""
    fit: Fit
    knee: float
    """Where the line of one processor meets the best throughput."""
    verdict: Bottleneck
    """The bottleneck where more processors bring nothing more."""
    raised: TuneStep | None = None
    """The best with more slots, where that is worth it."""
    now: TuneStep | None = None
    """What is configured today, if it was measured."""

    @property
    def best(self) -> TuneStep:
        """What is recommended."""
        return self.raised or self.step

    @property
    def servers(self) -> int:
        """How many messages are really worked on at once: with a scanner that has one core it is one, however many are in hand."""
        return min(self.best.at_once, max(1, round(self.best.rate / self.fit.law.rate)))

    def beside(self, alone: float) -> float:
        """Of the seconds that one message takes `alone`, those in which no processor has it: claim, sync, commit."""
        return max(0.0, alone - 1 / self.fit.law.rate)


def counts(configured: int, most: int = MOST) -> list[int]:
    """The counts to try: doubled from 1, and today's among them."""
    most = max(most, configured)
    doubled = [2**power for power in range(most.bit_length()) if 2**power <= most]
    return sorted({*doubled, configured})


def goes_on(steps: Sequence[TuneStep]) -> bool:
    """Whether a higher count may still bring something.

    Not where the last doubling brought nothing and it is seen why, and not where two brought nothing.
    """
    *before, last = steps
    half = [step.rate for step in before if step.processors <= last.processors / 2]
    quarter = [step.rate for step in before if step.processors <= last.processors / 4]
    if half and last.rate < FLAT * max(half) and judge(last).kind not in ("processors", UNSEEN):
        return False
    return not quarter or max(step.rate for step in steps if step.processors > last.processors / 4) >= FLAT * max(quarter)


def gained(before: TuneStep, after: TuneStep) -> bool:
    """Whether more slots were worth it."""
    return after.rate >= GAIN * before.rate


def advise(steps: Sequence[TuneStep], raised: Sequence[TuneStep] = (), configured: int = 0) -> Advice:
    """Make something of the steps, by their counts; `raised` were measured with more slots. Raises ValueError without one."""
    if not steps:
        raise ValueError("nothing was measured")
    top = max(step.rate for step in steps)
    step = _enough(steps)
    verdict = judge(steps[-1], steps[-2] if len(steps) > 1 else None)
    fitted = fit(_below_the_cap(steps, verdict))
    better = [each for each in raised if gained(step, each)]
    best = _enough(better) if better else None
    now = next((each for each in steps if each.processors == configured), None)
    return Advice(step=step, fit=fitted, knee=_knee(steps, fitted, top), verdict=verdict, raised=best, now=now)


def _enough(steps: Sequence[TuneStep]) -> TuneStep:
    """The smallest count that does as much as the best, or does not within what the rates waver."""
    best = max(steps, key=lambda step: step.rate)

    def wavers(step: TuneStep) -> float:
        return min(step.spread, MOST_SPREAD)

    return next(
        step for step in steps if step.rate >= ENOUGH * best.rate or step.rate * (1 + wavers(step)) >= best.rate * (1 - wavers(best))
    )


def _below_the_cap(steps: Sequence[TuneStep], verdict: Bottleneck) -> list[tuple[int, float]]:
    points = [(step.processors, step.rate) for step in steps]
    if verdict.kind == "filter slots":
        points = [point for point in points if point[0] <= steps[-1].slots] or points[:1]
    return points


def _knee(steps: Sequence[TuneStep], fitted: Fit, top: float) -> float:
    """`top` / what one does alone, at least 1, within what was measured."""
    alone = next((step.rate for step in steps if step.processors == 1), fitted.law.rate)
    return min(max(1.0, top / alone), float(steps[-1].processors)) if alone > 0 else math.inf
