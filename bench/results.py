"""Results as a document: written after each file of benchmarks, read by report and comparison. It measures nothing.

bench/results/short.json and full.json hold the last run of each benchmark of that form, with the machine it ran on. A part of the
suite that runs again (`python -m bench --full bench_size.py`) replaces its own entries only.
"""

import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from bench.record import more_is_better
from enqueuer.queue.directory import sync
from enqueuer.queue.directory.durability import Durability
from enqueuer.system.version import our_version

__all__ = ["HERE", "MESSAGES_PER_S", "RESULTS", "Document", "Result", "add", "in_force", "load", "machine", "results_of", "warning"]

HERE = Path(__file__).parent
RESULTS = HERE / "results"
MESSAGES_PER_S = "messages/s"
ROUND = "ms a round"
Document = dict[str, Any]


class Result(NamedTuple):
    """One benchmark: one or several cells of its group's table."""

    file: str
    name: str
    group: str
    x_name: str
    x: float | str
    series: str
    values: dict[str, list[float]]
    """By name with unit, one value a round."""
    plot: tuple[str, ...]
    ideal: float | None
    judged: tuple[str, ...]

    def median(self, value: str) -> float:
        return statistics.median(self.values[value])

    def spread(self, value: str) -> float:
        """Return half the distance between the best and the worst round, relative to the median."""
        data = self.values[value]
        median = self.median(value)
        return (max(data) - min(data)) / 2 / abs(median) if median else 0.0

    def is_worse(self, value: str, base: "Result") -> float:
        """Return how much worse it is than a stored run, relative to that run; negative if it is better."""
        now = self.median(value)
        then = base.median(value)
        if not then or not now:
            return 0.0
        return then / now - 1 if more_is_better(value) else now / then - 1


def load(path: Path) -> Document:
    """Read a document. Raises FileNotFoundError, ValueError."""
    document: Document = json.loads(path.read_text())
    return document


def add(path: Path, file: str, benchmarks: list[dict[str, Any]], skipped: dict[str, str], *, whole: bool = False) -> Document:
    """Replace the entries of one file by its new results; `whole`: all of its benchmarks ran."""
    known: Document = load(path) if path.exists() else {"benchmarks": [], "skipped": {}}
    fresh = [_entry(file, each) for each in benchmarks]
    names = {_place(each) for each in fresh} | set(skipped)

    def stays(place: str) -> bool:
        return place not in names and not (whole and place.startswith(f"{file}::"))

    kept = [each for each in known["benchmarks"] if stays(_place(each))]
    still = {name: why for name, why in known["skipped"].items() if stays(name)}
    document = {"machine": machine(), "skipped": still | skipped, "benchmarks": kept + fresh}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=1))
    return document


def results_of(document: Document) -> list[Result]:
    return [_result(each) for each in document["benchmarks"] if each["said"]]


def _place(entry: dict[str, Any]) -> str:
    """Return its name in pytest."""
    return f"{entry['file']}::{entry['name']}"


def _entry(file: str, each: dict[str, Any]) -> dict[str, Any]:
    """Return the needed part of pytest-benchmark's entry."""
    when = time.strftime("%Y-%m-%d %H:%M:%S")
    return {
        "file": file,
        "name": each["name"],
        "group": each["group"],
        "when": when,
        "commit": _commit(),
        "seconds": each["stats"]["data"],
        "said": each["extra_info"],
    }


def _result(entry: dict[str, Any]) -> Result:
    said = entry["said"]
    values = {}
    if said["messages"]:
        values[MESSAGES_PER_S] = [said["messages"] / seconds for seconds in entry["seconds"]]
    values |= said.get("samples", {})
    if not values:
        values[ROUND] = [seconds * 1000 for seconds in entry["seconds"]]
    name, x = said["x"]
    plot = tuple(said["plot"]) or tuple(values)[:1]
    judged = tuple(said["judged"]) or tuple(values)
    return Result(
        entry["file"],
        entry["name"],
        entry["group"] or entry["file"],
        name,
        x,
        said["series"],
        values,
        plot,
        said["ideal"],
        judged,
    )


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "cores": os.cpu_count(),
        "cpu": _first_line("/proc/cpuinfo", "model name"),
        "memory": _first_line("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "enqueuer": our_version(),
        "commit": _commit(),
        "filesystem": _filesystem(),
        "durability": in_force("group"),
        "warning": warning(),
    }


def in_force(wanted: Durability) -> Durability:
    """Return the durability that an engine under $TMPDIR uses if its config asks for this one: the filesystem may promise too little."""
    return sync.choose_for(wanted, tempfile.gettempdir()).durability


def warning() -> str:
    """Return why figures measured under $TMPDIR would mislead; "" if they do not."""
    remark = sync.choose_for("group", tempfile.gettempdir()).remark
    return f"{remark} (TMPDIR={tempfile.gettempdir()}): figures from there do not apply to a mail spool" if remark else ""


def _filesystem() -> str:
    """Return the type of the filesystem under $TMPDIR: the longest mount point above it counts."""
    path = Path(tempfile.gettempdir()).resolve()
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    found = [(point, kind) for point, kind in mounts if path.is_relative_to(point)]  # in a chroot there may be none
    return max(found, default=("", "unknown"))[1]


def _first_line(path: str, name: str) -> str:
    lines = Path(path).read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _commit() -> str:
    words = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "not a git checkout"
