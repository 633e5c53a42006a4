"""Measure the share of the CPU in use, of what this process may use: /proc/stat of its cores, and the limits of control groups.

All users of a core count, other programs too. A container or service may be allowed less than its cores (cpu.max of
cgroup v2, CPUQuota= of systemd, `docker run --cpus`). Of all groups that we are in, up to the topmost, the fullest one counts.
"""

import contextlib
import itertools
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["ControlGroup", "CpuMeter", "allowed", "folders", "fullest", "groups", "our_folders", "parse", "used"]

STAT = Path("/proc/stat")
CGROUP = Path("/proc/self/cgroup")
MOUNTS = Path("/proc/self/mountinfo")
IDLE = 3
IOWAIT = 4
FIELDS = 8
"""Fields of a line. Those after the eighth (guests) are contained in the first."""
LONGEST = 5.0
"""Seconds: a share over a longer time says nothing about the present."""
SHORTEST = 0.1
"""Seconds: the kernel counts in hundredths of a second, and grants a quota in tenths."""


class ControlGroup(NamedTuple):
    """A control group with a limit: the cores' worth of time that it may use, and the seconds that it has used."""

    cores: float
    used: float


class CpuMeter:
    """Measures the share in use between one call and the next."""

    def __init__(self, stat: Path = STAT, folders: Collection[str] | None = None) -> None:
        """`folders`: the control groups with limits; None: those of this process."""
        self._stat = stat
        self._then = -LONGEST
        self._busy = self._total = 0
        self._cores = os.sched_getaffinity(0)
        self._folders = our_folders() if folders is None else folders
        self._groups: dict[str, ControlGroup] = {}

    def share(self, now: float) -> float | None:
        """Return the share since the last call, 0 ... 1; None if that call was too long or too short ago. `now`: monotonic seconds."""
        busy, total = parse(self._stat.read_text(), self._cores)
        found = groups(self._folders)
        elapsed = now - self._then
        in_use = busy - self._busy
        spent = total - self._total
        limited = fullest(self._groups, found, elapsed)
        self._then = now
        self._busy = busy
        self._total = total
        self._groups = found
        return max(in_use / spent, limited) if SHORTEST <= elapsed <= LONGEST and spent > 0 else None


def fullest(before: Mapping[str, ControlGroup], after: Mapping[str, ControlGroup], elapsed: float) -> float:
    """Return the largest share of its limit that a group has used; 0 if none has a limit."""
    shares = [(group.used - before[name].used) / (group.cores * elapsed) for name, group in after.items() if name in before and elapsed > 0]
    return min(1.0, max(shares, default=0.0))  # slightly above 1 after a saved-up quota


def parse(text: str, cores: Collection[int]) -> tuple[int, int]:
    """Return (ticks in use, all ticks) of these cores since boot. Waiting for the disk does not count as use."""
    busy = total = 0
    for line in itertools.takewhile(lambda line: line.startswith("cpu"), text.splitlines()):
        name, *fields = line.split()
        if name[3:].isdigit() and int(name[3:]) in cores:
            ticks = [int(field) for field in fields[:FIELDS]]
            total += sum(ticks)
            busy += sum(ticks) - ticks[IDLE] - ticks[IOWAIT]
    return busy, total


def groups(names: Collection[str]) -> dict[str, ControlGroup]:
    """Return the groups of these folders that have a limit now: limits may change at any time."""
    found = {}
    for name in names:
        cores = allowed(_text(Path(name, "cpu.max")))
        seconds = used(_text(Path(name, "cpu.stat")))
        if cores is not None and seconds is not None:
            found[name] = ControlGroup(cores, seconds)
    return found


def our_folders() -> tuple[str, ...]:
    """Return the folders with the limits of this process."""
    return folders(_text(CGROUP), _text(MOUNTS))


def folders(cgroup: str, mountinfo: str) -> tuple[str, ...]:
    """Return the folders of our control group and those above it, from /proc/self/cgroup and mountinfo; none without cgroup v2.

    In a container the topmost is the topmost visible one; its name outside does not matter.
    """
    own = next((line[3:] for line in cgroup.splitlines() if line.startswith("0::/")), "")
    for root, point in _mounts(mountinfo) if own else ():
        seen = Path(own).is_relative_to(root) and ".." not in own  # else our group is above the visible tree
        inside = Path(own).relative_to(root) if seen else Path()
        return tuple(str(Path(point, each)) for each in (inside, *inside.parents))
    return ()


def _mounts(mountinfo: str) -> Iterator[tuple[str, str]]:
    """Yield (mounted part, mount point) of each mount of cgroup v2."""
    for line in mountinfo.splitlines():
        mount, _, source = line.partition(" - ")
        if source.startswith("cgroup2 "):
            root, point = mount.split()[3:5]
            yield root, point


def allowed(text: str) -> float | None:
    """Return the cores' worth of time that cpu.max grants; None: no limit."""
    quota, _, period = text.strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) and int(quota) else None


def used(text: str) -> float | None:
    """Return the seconds used, from cpu.stat."""
    return next((int(line.split()[1]) / 1e6 for line in text.splitlines() if line.startswith("usage_usec ")), None)


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""
