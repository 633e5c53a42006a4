"""Say why a measurement allows no recommendation: other programs, a throughput that varies, too few counts. Pure."""

from collections.abc import Iterator, Sequence

from enqueuer.tune.verdict import Cpu, TuneStep

__all__ = ["FEWEST", "doubts", "is_crowded"]

FEWEST = 3
"""Counts of processors that must be measured."""
MOST_FOREIGN = 0.2
"""The part of the CPU that other programs may use."""
MOST_SPREAD = 0.2
"""The part by which the throughput of a count may vary."""
QUIET = "Run it again when the machine is quiet"
LONGER = "with more --seconds"


def is_crowded(cpu: Cpu, foreign: float) -> bool:
    """Return whether programs that use `foreign` cores disturb a measurement."""
    return foreign > MOST_FOREIGN * cpu.cores


def doubts(steps: Sequence[TuneStep], deciding: Sequence[TuneStep]) -> list[str]:
    """Return the reasons, each with its cure. `deciding`: the steps that decide the recommendation."""
    return [*_foreign(steps), *_spread(deciding), *_few(steps)]


def _foreign(steps: Sequence[TuneStep]) -> Iterator[str]:
    worst = max(steps, key=lambda step: step.cpu.foreign / step.cpu.cores).cpu
    if is_crowded(worst, worst.foreign):
        yield f"other programs used up to {worst.foreign:.1f} of {worst.cores:g} cores during the measurement. {QUIET}."


def _spread(deciding: Sequence[TuneStep]) -> Iterator[str]:
    for step in {step.processors: step for step in deciding}.values():
        if step.spread is None:
            yield f"too few messages came out to see how much the throughput varies. Run it again {LONGER}."
            return
        if step.spread > MOST_SPREAD:
            yield f"the throughput with {step.processors} processors varied by ±{step.spread:.0%}. {QUIET}, or {LONGER}."
            return


def _few(steps: Sequence[TuneStep]) -> Iterator[str]:
    if len(steps) < FEWEST:
        only = "1 count of processors was" if len(steps) == 1 else f"{len(steps)} counts of processors were"
        yield f"only {only} measured, and {FEWEST} are needed. Run it again {LONGER}."
