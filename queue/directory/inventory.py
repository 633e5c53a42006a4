"""Count the messages in the folders that other programs or people empty: the module queues, Quarantine and Bad. It reads the disk only."""

import os
import time
from collections.abc import Iterator

import msgspec

from enqueuer.queue.directory.layout import module_folder

__all__ = ["FolderCount", "backlog", "count"]

WITHIN = 1.0
"""Seconds for one folder. A folder with more than about half a million files is not counted to its end."""
MANY = 1000
"""Entries between two looks at the clock."""


class FolderCount(msgspec.Struct, frozen=True):
    """The messages in one folder."""

    count: int
    oldest_s: float | None
    """Seconds since the oldest file was written; None: there is none."""
    complete: bool = True
    """False: there are more, which could not be counted in time."""
    error: str | None = None
    """Why the folder cannot be read."""


def backlog(now: float) -> dict[str, object]:
    """Count all these folders below the current directory. `now`: seconds since 1970."""
    try:
        modules = sorted(entry.name for entry in os.scandir(module_folder("")) if entry.is_dir())
    except OSError:
        modules = []
    return {
        "outbound": {name: msgspec.to_builtins(count(module_folder(name), now)) for name in modules},
        "quarantine": msgspec.to_builtins(count("Quarantine", now)),
        "bad": msgspec.to_builtins(count("Bad", now)),
    }


def count(folder: str, now: float) -> FolderCount:
    """Count the messages in one folder. A folder that cannot be read has an `error`."""
    found = 0
    oldest = now
    until = time.monotonic() + WITHIN
    try:
        with os.scandir(folder) as entries:
            for changed in _times(entries):
                found += 1
                oldest = min(oldest, changed)
                if found % MANY == 0 and time.monotonic() > until:
                    return FolderCount(found, round(now - oldest, 1), complete=False)
    except OSError as error:
        return FolderCount(found, None, complete=False, error=error.strerror)
    return FolderCount(found, round(now - oldest, 1) if found else None)


def _times(entries: Iterator[os.DirEntry[str]]) -> Iterator[float]:
    """Yield when each message was written, in seconds since 1970. A file that disappears is left out."""
    for entry in entries:
        if entry.name.endswith(".msg"):
            try:
                yield entry.stat(follow_symlinks=False).st_mtime
            except FileNotFoundError:
                continue
