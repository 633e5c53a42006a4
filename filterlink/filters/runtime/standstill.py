"""Distinguish a message that costs too much time from a process that stood still: SIGSTOP, a paused container, a hung disk.

Time passes while a process is stopped, but nothing is scanned in it. The message is not the cause.
"""

import resource
import select
import time

from filterlink.filters.runtime.verdict import Verdict, rejected

__all__ = ["STOOD_STILL", "Awake", "stood_still", "used"]

LAP = 0.5
"""Seconds between two looks at the clock. Time beyond them was a standstill, and is not counted."""
BUSY = 0.5
"""The share of its time that a message must use as processor time, to be the cause of the time-out."""
STOOD_STILL: Verdict = rejected("this filter stood still or waited for the machine: the message is scanned again")


def used() -> float:
    """Return the seconds of processor time of this process and of its children that have ended."""
    return sum(one.ru_utime + one.ru_stime for one in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def stood_still(busy: float, seconds: float) -> bool:
    """Return whether `busy` seconds of processor time are too few for a time-out after `seconds` to be the message's fault."""
    return busy < BUSY * seconds


class Awake:
    """A time-out that counts only while this process runs."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._at = time.monotonic()

    def wait(self, poll: select.poll) -> list[int]:
        """Return the descriptors that are ready; none when the time is over."""
        while self._count() > 0:
            if ready := poll.poll(min(self._left, LAP) * 1000):
                return [fd for fd, _ in ready]
        return []

    def _count(self) -> float:
        now = time.monotonic()
        self._left -= min(now - self._at, LAP)
        self._at = now
        return self._left
