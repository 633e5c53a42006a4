"""Message ids: decimal, in the order of time, never used twice, whatever was lost.

An id is max(last + 1, microseconds since 1970) and stays below a bound that was made durable before: after a power cut
the engine goes on above the bound, so ids that it gave and forgot never come again.
"""

from enqueuer.queue.disk import Port, contents, replace

__all__ = ["Ids"]

BOUND, NEXT = "Queue/.ids", "Queue/.ids.tmp"
AHEAD = 60_000_000
"""How far the bound is reserved ahead, in ids (microseconds): one durable write a minute at the most."""


class Ids:
    """Gives ids. One process at a time may hold one of these."""

    def __init__(self, disk: Port, on_disk: int = 0) -> None:
        """`on_disk` is the highest id that any file of the base directory bears: `.ids` may be lost or come from a backup."""
        self._disk = disk
        self._last = max(self._stored(), on_disk)
        self._bound = 0

    def take(self, microseconds: int) -> int:
        """The next id at this time. Raises OSError when the bound cannot be made durable: then no id was given."""
        wanted = max(self._last + 1, microseconds)
        if wanted >= self._bound:
            self._reserve(wanted + AHEAD)
        self._last = wanted
        return wanted

    def _reserve(self, bound: int) -> None:
        replace(self._disk, NEXT, b"%d\n" % bound)
        self._disk.fsync(NEXT)
        self._disk.rename(NEXT, BOUND)
        self._disk.fsync("Queue")
        self._bound = bound

    def _stored(self) -> int:
        text = contents(self._disk, BOUND, 64).strip()
        return int(text) if text.isdigit() and len(text) <= 18 else 0
