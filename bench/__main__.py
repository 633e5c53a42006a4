"""`make bench`: run the benchmarks, then say in a table and a plot what they found. `python -m bench ratio`: engine and bare loop in turns.

Results go to bench/results (not committed); --publish copies the plot to docs/, where README shows it.
"""

import argparse
import json
import os
import platform
import shutil
import sys
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from rich.console import Console
from rich.table import Table

from bench import ratio

HERE = Path(__file__).parent
RESULTS = HERE / "results"
Curves = dict[str, dict[int, float]]
"""Group -> processors -> messages/s."""


def main() -> int:
    if sys.argv[1:2] == ["ratio"]:
        return ratio.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure throughput against processor counts.")
    parser.add_argument("--publish", action="store_true", help="also copy the plot to docs/, for README")
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    data = RESULTS / "processors.json"
    options_of_pytest = ["-q", "-p", "no:cacheprovider", "-o", "python_files=bench_*.py", "-o", "addopts=--import-mode=importlib"]
    options_of_benchmark = ["--benchmark-only", f"--benchmark-json={data}", "--benchmark-columns=median,rounds"]
    code = pytest.main([str(HERE / "bench_processors.py"), *options_of_pytest, *options_of_benchmark])
    if code:
        return int(code)
    curves = _curves(json.loads(data.read_text()))
    _table(curves)
    _plot(curves, RESULTS / "processors.png")
    if options.publish:
        (HERE.parent / "docs").mkdir(exist_ok=True)
        shutil.copy(RESULTS / "processors.png", HERE.parent / "docs" / "processors.png")
    return 0


def _curves(document: dict[str, Any]) -> Curves:
    curves: Curves = defaultdict(dict)
    for each in document["benchmarks"]:
        extra = each["extra_info"]
        curves[each["group"]][extra["processors"]] = extra["messages"] / each["stats"]["median"]
    return curves


def _table(curves: Curves) -> None:
    table = Table(title="messages/s against processors", caption=f"8 KiB messages, durable; {_machine()}", caption_justify="left")
    table.add_column("processors", justify="right")
    for group in curves:
        table.add_column(group, justify="right")
        table.add_column("times 1", justify="right")
    for count in sorted({count for curve in curves.values() for count in curve}):
        cells = []
        for curve in curves.values():
            cells += [f"{curve[count]:.0f}", f"{curve[count] / curve[1]:.1f}"]
        table.add_row(str(count), *cells)
    Console(width=100).print(table)


def _plot(curves: Curves, path: Path) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(curves), figsize=(5 * len(curves), 3.8), layout="constrained")
    for at, (group, curve) in zip(axes, curves.items(), strict=True):
        counts = sorted(curve)
        at.plot(counts, [curve[count] for count in counts], "o-", label="measured")
        if "50 ms" in group:
            at.plot(counts, [count / 0.05 for count in counts], "--", color="grey", label="ideal: N / 50 ms")
            at.set_xscale("log", base=2)
            at.set_yscale("log", base=2)
            at.set_yticks([count / 0.05 for count in counts], [f"{count / 0.05:.0f}" for count in counts])
        else:
            at.plot(counts, [curve[1] * count for count in counts], "--", color="grey", label="ideal: N x one processor")
            at.set_ylim(0, max(curve.values()) * 1.3)
        at.set(title=group, xlabel="processors", ylabel="messages/s", xticks=counts, xticklabels=counts)
        at.grid(alpha=0.3)
        at.legend()
    figure.suptitle(f"Enqueuer {version('enqueuer')}: {_machine()}", fontsize=8)
    figure.savefig(path, dpi=110)


def _machine() -> str:
    where = Path(os.environ.get("TMPDIR", "/tmp")).resolve()
    return f"{os.cpu_count()} cores, {_filesystem(where)}, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"


def _filesystem(path: Path) -> str:
    """The type of the filesystem that a path is on: of all mount points above it the longest counts."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    return max((point, kind) for point, kind in mounts if path.is_relative_to(point))[1]


if __name__ == "__main__":
    sys.exit(main())
