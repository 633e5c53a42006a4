"""The machine's limits: how full the disk may be, what is done where there is no room, how often a lasting trouble is logged."""

import logging
import os
import time

from enqueuer.config import MinFree

__all__ = ["PAUSE", "Complaints", "Machine", "disk_full"]

PAUSE = 1.0
"""Seconds between two tries while the machine has no room: it must not be tried in a hot loop, and noticed soon that it has."""
COMPLAIN_EACH = 60.0
"""Seconds between two lines of one trouble."""
INODES = MinFree("2%")
"""What stays free of the inodes where min_free is a size, which says nothing of them."""


def disk_full(keep: MinFree) -> str | None:
    """Say what is short of `min_free` on the base directory's disk (the current directory): bytes or inodes. None: nothing."""
    status = os.statvfs(".")
    inodes = keep if keep.endswith("%") else INODES
    if status.f_bavail * status.f_frsize < keep.of(status.f_blocks * status.f_frsize):
        return f"less than min_free = {keep} of the disk's bytes are free"
    if status.f_files and status.f_favail < inodes.of(status.f_files):  # f_files 0: made as they are needed (btrfs)
        return f"less than {inodes} of the disk's inodes are free (min_free = {keep})"
    return None


class Complaints:
    """Logs each lasting trouble once a minute, and says how often it was seen meanwhile."""

    def __init__(self, log: logging.Logger, level: int = logging.WARNING) -> None:
        self._log, self._level = log, level
        self._next: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def say(self, about: str, text: str) -> None:
        """Log `text` unless a line `about` the same stands in the log of the last minute; the caller has few of these."""
        now = time.monotonic()
        if now < self._next.get(about, 0.0):
            self._unsaid[about] = self._unsaid.get(about, 0) + 1
            return
        self._next[about] = now + COMPLAIN_EACH
        more = self._unsaid.pop(about, 0)
        self._log.log(self._level, "%s%s", text, f" ({more} more of this in the last minute)" if more else "")


class Machine:
    """Whether work may be given out: not for a moment after a processor found that the machine has no room for any message."""

    def __init__(self, log: logging.Logger) -> None:
        self._complaints = Complaints(log, logging.ERROR)
        self._until = 0.0

    def pause(self, now: float) -> float:
        """Seconds until work may be given out."""
        return max(0.0, self._until - now)

    def trouble(self, reason: str, id: int, *, everybody: bool) -> None:
        """A processor could not work on a message; `everybody`: it could not have on any."""
        if everybody:
            self._until = time.monotonic() + PAUSE
            self._complaints.say("machine", f"{reason}: messages wait until there is room again")
        else:
            self._complaints.say(reason, f"[{id}] waits: {reason}")
