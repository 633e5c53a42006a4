"""Draw the plot of `enqueuer tune` as a picture. It needs matplotlib, which is an extra."""

import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from enqueuer.tune.advice import Advice
from enqueuer.tune.verdict import TuneStep

__all__ = ["MISSING", "can_plot", "plot"]

MISSING = "matplotlib is not installed: pip install 'enqueuer[plot]', or apt install python3-matplotlib"


def can_plot() -> bool:
    return find_spec("matplotlib") is not None


def plot(advice: Advice, steps: Sequence[TuneStep], raised: Sequence[TuneStep], path: Path) -> None:
    """Draw throughput against processors. Raises OSError if the file cannot be written."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, at = plt.subplots(figsize=(7, 4.2), layout="constrained")
    counts = [step.processors for step in steps]
    cap = steps[-1].rate if advice.verdict.kind == "filter slots" else math.inf
    curve = [counts[-1] ** (part / 100) for part in range(101)]
    rates = [step.rate for step in steps]
    errors = [step.rate * (step.spread or 0.0) for step in steps]
    at.errorbar(counts, rates, yerr=errors, fmt="o", capsize=3, label="measured")
    at.plot(curve, [min(cap, advice.fit.law.at(n)) for n in curve], "-", label="estimated in between")
    if raised:
        at.plot([step.processors for step in raised], [step.rate for step in raised], "s", label="measured, with more slots")
    if not advice.doubts:
        at.axvline(advice.processors, color="green", linestyle="--", label=f"recommended: {advice.processors}")
    ticks = sorted({*counts, *(step.processors for step in raised)})
    at.set_xscale("log", base=2)
    at.set(xlabel="processors", ylabel="messages/s", title=f"Bottleneck: {advice.verdict.kind}", xticks=ticks, ylim=(0, None))
    at.set_xticklabels([str(n) for n in ticks])
    at.grid(alpha=0.3)
    at.legend()
    figure.savefig(path, dpi=110, format="png")
    plt.close(figure)
