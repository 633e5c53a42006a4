"""Draw one plot a group, as SVG and PNG: log-log curves if x is a number, bars if it is a name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench.report import number, slug
from bench.results import Result

__all__ = ["draw"]

SIZE = (6.4, 3.8)
DPI = 110
MARGIN = 1.5
"""Space above and below a logarithmic y axis. With it each range has at least one label."""
LABELS = (1.0, 2.0, 5.0)
"""The labels of each decade of it."""


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
    if ticks[0] > 0:
        axes.set_xscale("log")
    _scale_y(axes, [y for line in axes.get_lines() for y in line.get_ydata()])
    axes.minorticks_off()
    axes.set_xticks(ticks, [f"{x:g}" if x < 100_000 else f"{x:.0e}" for x in ticks], fontsize=7)
    axes.set(xlabel=results[0].x_name, ylabel=", ".join(results[0].plot))
    axes.legend(fontsize=8)


def _scale_y(axes: Any, values: Sequence[float]) -> None:
    """Make the y axis logarithmic; linear if there is a value on it that has no logarithm."""
    from matplotlib import ticker

    if min(values) <= 0:
        axes.set_ylim(bottom=min(0, *values))
        return
    axes.set_yscale("log")
    axes.set_ylim(min(values) / MARGIN, max(values) * MARGIN)
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=LABELS))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda y, _: number(y)))


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
