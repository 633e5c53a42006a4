"""Measure the machine: CPU time by program, and how long programs waited for a disk. It reads /proc, and decides nothing."""

import contextlib
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from enqueuer.system.cpu import ControlGroup, fullest, groups, our_folders
from enqueuer.tune.verdict import Cpu

__all__ = ["MachineSample", "between", "look"]

KERNEL = 2
"""The parent of all kernel threads."""
TICK = os.sysconf("SC_CLK_TCK")
_OURS = "enqueuer: filterlink"
_ANOTHER = "another engine"
"""The name for one that runs beside ours: the kernel cuts the names of its processes."""


class Process(NamedTuple):
    """One process: its parent, its program, its ticks, and those of its children that have ended."""

    parent: int
    name: str
    own: int
    ended: int


class MachineSample(NamedTuple):
    """The state of the machine at one instant."""

    at: float
    total: int
    idle: int
    iowait: int
    stalled: float | None
    """Seconds in which a program waited for a disk (PSI), if the kernel counts them."""
    processes: dict[int, Process]
    groups: dict[str, ControlGroup]
    """The control groups that limit us."""


def look() -> MachineSample:
    """Read everything; some milliseconds on a machine with some hundred processes."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    processes = {int(name): found for name in os.listdir("/proc") if name.isdigit() and (found := _process(name))}
    return MachineSample(time.monotonic(), sum(ticks), ticks[3], ticks[4], _stalled(), processes, groups(our_folders()))


def between(before: MachineSample, after: MachineSample, engine: int) -> tuple[Cpu, float]:
    """Return who used how many cores, and the part of the time in which a program waited for a disk. `engine`: the supervisor's pid."""
    seconds = max(after.at - before.at, 1e-9)
    used: defaultdict[str, float] = defaultdict(float)
    others: defaultdict[str, float] = defaultdict(float)
    hottest = 0.0
    family, helpers = _family(after.processes, engine)
    for pid, process in after.processes.items():
        own, ended = _cores(before.processes.get(pid), process, seconds)
        if pid in helpers:
            used["helpers"] += own + ended
            hottest = max(hottest, own)
        elif pid in family or pid == os.getpid():  # tune itself feeds the mail, and real mail costs such work, too
            used["engine"] += own
            used["helpers"] += ended if pid in family else 0.0
        elif process.parent == KERNEL:  # its threads write to the disk, and most of that is ours
            used["engine"] += own
        else:
            others[_ANOTHER if process.name.startswith("enqueuer: ") else process.name] += own
    total = max(1, after.total - before.total)
    waited = after.iowait - before.iowait
    in_use = 1 - (after.idle - before.idle + waited) / total
    busy = max(in_use, fullest(before.groups, after.groups, seconds))
    top = max(others, key=lambda name: others[name], default="")
    machine = float(os.cpu_count() or 1)
    cores = min([machine, *(group.cores for group in after.groups.values())])
    outside = max(0.0, machine * in_use - sum(used.values()) - (machine - cores))  # programs on cores that we may not use do not disturb
    cpu = Cpu(cores, busy, used["engine"], used["helpers"], sum(others.values()), hottest, top, outside=outside)
    return cpu, _disk(before, after, seconds, waited / total)


def _disk(before: MachineSample, after: MachineSample, seconds: float, iowait: float) -> float:
    if before.stalled is None or after.stalled is None:
        return iowait
    return min(1.0, (after.stalled - before.stalled) / seconds)


def _family(processes: dict[int, Process], engine: int) -> tuple[set[int], set[int]]:
    """Return the engine's processes and, among them, those that filterlink started."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for pid, process in processes.items():
        children[process.parent].append(pid)
    family = _below(engine, children) | {engine}
    links = [pid for pid in family if _title(pid).startswith(_OURS)]
    return family, set().union(*(_below(pid, children) for pid in links))


def _below(pid: int, children: dict[int, list[int]]) -> set[int]:
    found: set[int] = set()
    left = list(children.get(pid, ()))
    while left:
        found.add(child := left.pop())
        left += children.get(child, ())
    return found


def _cores(before: Process | None, after: Process, seconds: float) -> tuple[float, float]:
    own, ended = (before.own, before.ended) if before else (0, 0)
    return max(0, after.own - own) / TICK / seconds, max(0, after.ended - ended) / TICK / seconds


def _process(pid: str) -> Process | None:
    """Read one process; None if it has ended meanwhile."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").partition("(")[2].rpartition(")")
    except OSError:
        return None
    words = rest.split()
    return Process(int(words[1]), name, int(words[11]) + int(words[12]), int(words[13]) + int(words[14]))


def _title(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _stalled() -> float | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/pressure/io").read_text().split("total=")[1].split()[0]) / 1e6
    return None
