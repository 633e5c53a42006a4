"""Message ids: decimal, in the order of time, never used twice, whatever was lost.

An id is max(last + 1, microseconds since 1970). It stays below a bound that was made durable before. After a power cut the engine
continues above the bound, so ids that it gave and forgot never come again.
"""

import contextlib
from collections.abc import Callable

from enqueuer.queue.directory.disk import DiskPort, contents, replace

__all__ = ["IdsFile"]

BOUND = "Queue/.ids"
NEXT = "Queue/.ids.tmp"
AHEAD = 60_000_000
"""How far the bound is reserved ahead, in ids (microseconds). The next one is reserved half a minute before it is reached."""
AfterSync = Callable[..., None]
"""after_sync(action, *paths): calls `action` once these files, and the names in these folders, are durable."""


class IdsFile:
    """Gives ids. One process at a time has one of these."""

    def __init__(self, disk: DiskPort, on_disk: int = 0, after_sync: AfterSync | None = None) -> None:
        """`on_disk` is the highest id that any file of the base directory has: `.ids` may be lost or come from a backup.

        With `after_sync`, other syncs make the next bound durable meanwhile. take() waits for the disk only if they are too slow.
        """
        self._disk = disk
        self._after_sync = after_sync
        self._reserving = False
        self._last = max(self._stored(), on_disk)
        self._bound = 0

    def take(self, microseconds: int) -> int:
        """Return the next id at this time. Raises OSError if the bound cannot be made durable: then no id was given."""
        wanted = max(self._last + 1, microseconds)
        if wanted >= self._bound:
            self._reserve(wanted + AHEAD)
        elif self._after_sync is not None and not self._reserving and wanted >= self._bound - AHEAD // 2:
            self._begin(self._bound + AHEAD, self._after_sync)
        self._last = wanted
        return wanted

    def _begin(self, bound: int, after_sync: AfterSync) -> None:
        """Have a bound reserved. If the disk refuses, the next id tries again."""

        def named() -> None:
            self._bound = max(self._bound, bound)
            self._reserving = False

        def written() -> None:
            self._reserving = False
            if bound > self._bound:  # otherwise take() could not wait
                with contextlib.suppress(OSError):
                    self._disk.rename(NEXT, BOUND)
                    self._reserving = True
                    after_sync(named, "Queue")

        with contextlib.suppress(OSError):
            replace(self._disk, NEXT, b"%d\n" % bound)
            self._reserving = True
            after_sync(written, NEXT)

    def _reserve(self, bound: int) -> None:
        replace(self._disk, NEXT, b"%d\n" % bound)
        self._disk.fsync(NEXT)
        self._disk.rename(NEXT, BOUND)
        self._disk.fsync("Queue")
        self._bound = bound

    def _stored(self) -> int:
        text = contents(self._disk, BOUND, 64).strip()
        return int(text) if text.isdigit() and len(text) <= 18 else 0
