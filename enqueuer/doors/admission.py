"""Whether mail may come in: how full the disk of the base directory may be. Each door asks, and the queue manager for the drop folder."""

import os

from enqueuer.config.schema import MinFree
from enqueuer.queue.directory.disk import store_folder

__all__ = ["PAUSE", "disk_full"]

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
