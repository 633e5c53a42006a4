"""The machine's limits: how full the disk may be, what is done where there is no room."""

import logging
import os
import time

from enqueuer.config.schema import MinFree
from enqueuer.queue.directory.disk import store_folder
from filterlink.log.complaints import Complaints

__all__ = ["PAUSE", "Machine", "disk_full"]

PAUSE = 1.0
"""Seconds between two tries while the machine has no room: it must not be tried in a hot loop, and noticed soon that it has."""
INODES = MinFree("2%")
"""What stays free of the inodes where min_free is a size, which says nothing of them."""


def disk_full(keep: MinFree) -> str | None:
    """Say what is short of `min_free` on the disk that holds the messages: bytes or inodes. None: nothing.

    A disk that cannot be looked at counts as full.
    """
    try:
        status = os.statvfs(store_folder())
    except OSError as error:
        return f"the disk cannot be looked at ({error.strerror})"
    inodes = keep if keep.endswith("%") else INODES
    if status.f_bavail * status.f_frsize < keep.of(status.f_blocks * status.f_frsize):
        return f"less than min_free = {keep} of the disk's bytes are free"
    if status.f_files and status.f_favail < inodes.of(status.f_files):  # f_files 0: made as they are needed (btrfs)
        return f"less than {inodes} of the disk's inodes are free (min_free = {keep})"
    return None


class Machine:
    """Whether work may be given out: not for a moment after a processor found that the machine has no room for any message."""

    def __init__(self, log: logging.Logger) -> None:
        self._complaints = Complaints(log, logging.ERROR)
        self._until = 0.0

    def pause(self, now: float) -> float:
        """Seconds until work may be given out."""
        return max(0.0, self._until - now)

    def trouble(self, kind: str, reason: str, id: int, *, everybody: bool) -> None:
        """A processor could not work on a message; `everybody`: it could not have on any. `kind` names no message and no file."""
        if everybody:
            self._until = time.monotonic() + PAUSE
            self._complaints.say("machine", f"{reason}: messages wait until there is room again")
        else:
            self._complaints.say(kind, f"[{id}] waits: {reason}")

    def complain(self, kind: str, text: str) -> None:
        """Log what is wrong with the machine and keeps nothing from going on."""
        self._complaints.say(kind, text)
