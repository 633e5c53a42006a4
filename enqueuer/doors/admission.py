"""Decide whether mail may come in: how full the disk of the base directory is. Each door asks; for the drop folder the queue manager
asks.
"""

import os

from enqueuer.config.schema import MinFree
from enqueuer.queue.directory.disk import store_folder

__all__ = ["PAUSE", "disk_full"]

PAUSE = 1.0
"""Seconds between two tries while the machine has no room: long enough to cost nothing, short enough to notice soon that there is room."""
INODES = MinFree("2%")
"""The share of inodes to keep free where min_free is a size, which does not cover inodes."""


def disk_full(keep: MinFree, folder: str = "") -> str | None:
    """Return what falls short of `min_free` on the disk of a folder, bytes or inodes; None: nothing does. "" = the disk of the messages.

    A disk that cannot be read counts as full.
    """
    try:
        status = os.statvfs(folder or store_folder())
    except OSError as error:
        return f"the engine cannot read how full the disk is ({error.strerror})"
    inodes = keep if keep.endswith("%") else INODES
    if status.f_bavail * status.f_frsize < keep.of(status.f_blocks * status.f_frsize):
        return f"less than min_free = {keep} of the disk's bytes are free"
    if status.f_files and status.f_favail < inodes.of(status.f_files):  # 0: this filesystem makes inodes on demand (btrfs)
        return f"less than {inodes} of the disk's inodes are free (min_free = {keep})"
    return None
