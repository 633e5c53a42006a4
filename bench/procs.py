"""Measure what the processes of a running engine use, by role, as the kernel counts it: memory, processor time, wake-ups."""

import contextlib
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from enqueuer.lab.trial import Trial

__all__ = ["Use", "private_mib", "roles", "uses"]


class Use(NamedTuple):
    """Totals since the process began."""

    cpu: float
    """Seconds."""
    wakeups: int
    """How often one of its threads got a processor."""

    def since(self, before: "Use") -> "Use":
        return Use(self.cpu - before.cpu, self.wakeups - before.wakeups)


def roles(trial: Trial) -> dict[str, list[int]]:
    """Return process ids by the title in ps, without the number: "processor" has several. Helpers are not among them."""
    found: dict[str, list[int]] = {}
    for pid in trial.pids(""):
        title = Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0].decode()
        found.setdefault(re.sub(r" \d.*", "", title.removeprefix("enqueuer: ")).strip(), []).append(pid)
    return found


def uses(pids: list[int]) -> Use:
    """Return the use of all their threads."""
    total: Counter[str] = Counter()
    for task in (task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()):
        with contextlib.suppress(FileNotFoundError):
            run, _, times = (task / "schedstat").read_text().split()
            total["run"] += int(run)
            total["times"] += int(times)
    return Use(total["run"] / 1e9, total["times"])


def private_mib(pid: int) -> float:
    """Return the memory that would be free if it ended."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty"))) / 1024
