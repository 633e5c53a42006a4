"""How much of the machine's processors is in use: /proc/stat, read twice.

All cores of the machine count, whoever uses them; limits of a container (cpu.max) are not seen.
"""

from pathlib import Path

__all__ = ["CpuMeter", "parse"]

STAT = Path("/proc/stat")
IDLE, IOWAIT, FIELDS = 3, 4, 8
"""Places in the first line; what follows the eighth (guests) is counted in the first already."""
LONGEST = 5.0
"""Seconds: a share over a longer time says nothing about now."""
SHORTEST = 0.1
"""Seconds: the kernel counts in hundredths of a second."""


class CpuMeter:
    """The share of all cores in use between one call and the next."""

    def __init__(self) -> None:
        self._then = -LONGEST
        self._busy = self._total = 0

    def share(self, now: float) -> float | None:
        """From 0 to 1 since the last call; None where that was too long ago, or a moment. `now` is monotonic seconds."""
        busy, total = parse(STAT.read_text())
        elapsed, used, spent = now - self._then, busy - self._busy, total - self._total
        self._then, self._busy, self._total = now, busy, total
        return used / spent if SHORTEST <= elapsed <= LONGEST and spent > 0 else None


def parse(text: str) -> tuple[int, int]:
    """(ticks in use, all ticks) of all cores since boot. Waiting for the disk is not in use."""
    ticks = [int(field) for field in text.partition("\n")[0].split()[1 : 1 + FIELDS]]
    return sum(ticks) - ticks[IDLE] - ticks[IOWAIT], sum(ticks)
