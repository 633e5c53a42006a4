"""How often each message was charged with a death or a time-out: `Queue/.attempts`, lines `id count`.

Written when a charge is made, before anything follows from it; not synced, because a power cut is nobody's fault and
costs a count at the most. Few messages are ever in it.
"""

from collections.abc import Container

from enqueuer.queue.disk import Disk

__all__ = ["Attempts"]

FILE, NEXT = "Queue/.attempts", "Queue/.attempts.tmp"


class Attempts:
    """The charges of all messages that have one. One process at a time may hold one of these."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._counts = self._read()

    def of(self, id: int) -> int:
        return self._counts.get(id, 0)

    def charge(self, id: int) -> int:
        """Count one more; return how many there are."""
        self._counts[id] = self.of(id) + 1
        self._write()
        return self._counts[id]

    def refund(self, id: int) -> None:
        """Take the last charge back: the message was not to blame."""
        count = self.of(id)
        if count > 1:
            self._counts[id] = count - 1
            self._write()
        else:
            self.forget(id)

    def forget(self, id: int) -> None:
        """The message has left the queue, or begins anew."""
        if self._counts.pop(id, None) is not None:
            self._write()

    def keep_only(self, present: Container[int]) -> None:
        """Forget what is no longer in the queue."""
        gone = [id for id in self._counts if id not in present]
        for id in gone:
            del self._counts[id]
        if gone:
            self._write()

    def _write(self) -> None:
        if not self._counts:
            self._disk.unlink(FILE)
            return
        self._disk.create(NEXT, (b"".join(b"%d %d\n" % each for each in self._counts.items()),))
        self._disk.rename(NEXT, FILE)

    def _read(self) -> dict[int, int]:
        counts = {}
        try:
            lines = b"".join(self._disk.chunks(FILE)).splitlines()
        except FileNotFoundError:
            return {}
        for line in lines:
            id, _, count = line.partition(b" ")
            if id.isdigit() and count.isdigit() and len(line) < 40:  # what a power cut garbled counts as nothing
                counts[int(id)] = int(count)
        return counts
