"""Count how often each message was charged with a death or a time-out: `Queue/.attempts`, lines `id count`.

The file is written when a charge is made, before any consequence. It is not synced: no message is to blame for a power cut, which
costs at most a count. Few messages are ever in it.
"""

import logging
from collections.abc import Container

from enqueuer.queue.directory.disk import DiskPort, contents, replace

__all__ = ["AttemptsFile"]

log = logging.getLogger("QUEUE")

FILE = "Queue/.attempts"
NEXT = "Queue/.attempts.tmp"
MAX_READ = 16 << 20
"""Bytes of the file that are read: half a million messages."""


class AttemptsFile:
    """The charges of all messages that have one. One process at a time has one of these."""

    def __init__(self, disk: DiskPort) -> None:
        self._disk = disk
        self._told = False
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
        """Forget a message that has left the queue or starts again."""
        if self._counts.pop(id, None) is not None:
            self._write()

    def keep_only(self, present: Container[int]) -> None:
        """Forget all messages that are no longer in the queue."""
        gone = [id for id in self._counts if id not in present]
        for id in gone:
            del self._counts[id]
        if gone:
            self._write()

    def _write(self) -> None:
        """Write the file. An error of the disk stops no process: the counts stay in memory, and are written with the next charge."""
        try:
            if not self._counts:
                self._disk.unlink(FILE)
                return
            replace(self._disk, NEXT, b"".join(b"%d %d\n" % each for each in self._counts.items()))
            self._disk.rename(NEXT, FILE)
        except OSError as error:
            if not self._told:
                log.error("%s cannot be written: %s; attempts are counted in memory only", FILE, error.strerror)
            self._told = True
        else:
            self._told = False

    def _read(self) -> dict[int, int]:
        counts = {}
        for line in contents(self._disk, FILE, MAX_READ).splitlines():
            id, _, count = line.partition(b" ")
            if id.isdigit() and count.isdigit() and len(line) < 40:  # a line that a power cut damaged does not count
                counts[int(id)] = int(count)
        return counts
