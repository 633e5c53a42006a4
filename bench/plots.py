"""Draw one plot a group, as SVG and PNG: curves if x is a number, bars if it is a name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench.report import number, slug
from bench.results import Result

__all__ = ["draw"]

SIZE = (6.4, 3.8)
DPI = 110
WIDE = 8
"""The largest x as a multiple of the smallest, from which on the x axis is logarithmic."""


def draw(folder: Path, groups: Mapping[str, Sequence[Result]], caption: str) -> None:
    """Write <group>.svg and <group>.png for each group."""
    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "enqueuer"  # the same figures give the same file
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    for group, results in groups.items():
        figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
        bars = any(isinstance(each.x, str) for each in results)
        (_bars if bars else _curves)(axes, results)
        axes.set_title(group, fontsize=10)
        axes.grid(alpha=0.3)
        figure.supxlabel(caption, fontsize=6, color="grey")
        figure.savefig(folder / f"{slug(group)}.svg", metadata={"Date": None})
        figure.savefig(folder / f"{slug(group)}.png", dpi=DPI)
        plt.close(figure)


def _curves(axes: Any, results: Sequence[Result]) -> None:
    for label, line in _lines(results).items():
        points = sorted((each.x, each.median(value)) for each, value in line)
        axes.plot([x for x, _ in points], [y for _, y in points], "o-", markersize=4, label=label)
    ideal = sorted({(each.x, each.ideal) for each in results if each.ideal is not None})
    if ideal:
        axes.plot([x for x, _ in ideal], [y for _, y in ideal], "--", color="grey", label="ideal")
    ticks = sorted({each.x for each in results if not isinstance(each.x, str)})
    if ticks[0] > 0 and ticks[-1] / ticks[0] >= WIDE:
        axes.set_xscale("log")
        axes.minorticks_off()
    if results[0].scale == "log":
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xticks(ticks, [f"{x:g}" if x < 100_000 else f"{x:.0e}" for x in ticks], fontsize=7)
    axes.set(xlabel=results[0].x_name, ylabel=", ".join(results[0].plot))
    axes.legend(fontsize=8)


def _bars(axes: Any, results: Sequence[Result]) -> None:
    lines = _lines(results)
    names = list(dict.fromkeys(str(each.x) for each in results))
    height = 0.8 / len(lines)
    for n, (label, line) in enumerate(lines.items()):
        places = [names.index(str(each.x)) + n * height for each, _ in line]
        drawn = axes.barh(places, [each.median(value) for each, value in line], height * 0.9, label=label)
        axes.bar_label(drawn, [" " + number(each.median(value)) for each, value in line], fontsize=7)
    axes.set_yticks([n + height * (len(lines) - 1) / 2 for n in range(len(names))], names, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set(xlabel=", ".join(results[0].plot), ylabel=results[0].x_name)
    if len(lines) > 1:
        axes.legend(fontsize=8)


def _lines(results: Sequence[Result]) -> dict[str, list[tuple[Result, str]]]:
    """Return what to draw, by the name of its line."""
    lines: dict[str, list[tuple[Result, str]]] = {}
    for each in results:
        for value in each.plot:
            if value in each.values:
                label = ", ".join(filter(None, [each.series, value if len(each.plot) > 1 or not each.series else ""]))
                lines.setdefault(label, []).append((each, value))
    return lines
