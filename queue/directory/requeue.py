"""Bring a kept message back into the queue: from Quarantine or Hold (release) or Bad (retry).

It keeps its id. The last field of the O line says where a released message goes on (after the action that kept it). The field is
written in place and made durable before the rename into Queue/. The .why goes after that rename is durable, too. A message in Bad
may be half a message, which a power cut left: it stays there.
"""

from collections.abc import Callable

from enqueuer.queue.directory import names
from enqueuer.queue.directory.disk import DiskPort
from enqueuer.queue.directory.ingest import FIRST, fits, queue_path
from enqueuer.queue.message import envelope as envelopes
from enqueuer.queue.port import AfterSync, NotKept, Place

__all__ = ["Requeue"]

MARK_LENGTH = 8
Arrived = Callable[[int, OSError | None], None]


class Requeue:
    """Part of the store."""

    def __init__(self, disk: DiskPort) -> None:
        self._disk = disk
        self._coming: set[int] = set()
        """Messages that are on their way back, until they are in Queue/."""

    def has(self, id: int) -> bool:
        """Return whether a message is on its way into the queue."""
        return id in self._coming

    def begin(self, id: int, place: Place, mark: bytes | None, after_sync: AfterSync, arrived: Arrived) -> None:
        """Write the mark, and continue when it is durable. None: the mark is removed; empty: it stays as it is."""
        path = names.final(id, place)
        stamp = self._disk.stamp(path)
        if stamp is None or id in self._coming:
            raise NotKept(f"{place.capitalize()} holds no message {id}")
        if place == "bad" and not fits(self._disk, path):
            raise NotKept(f"{path} is not whole: it does not fit the length and digest in its O line, so it is not scanned again")
        if mark != b"":
            self._mark(path, envelopes.NO_MARK if mark is None else mark)
        self._coming.add(id)
        after_sync(lambda: self._arrive(id, place, stamp[1], after_sync, arrived), path)

    def _arrive(self, id: int, place: Place, size: int, after_sync: AfterSync, arrived: Arrived) -> None:
        """Rename a message into the queue; its mark is durable."""
        self._coming.discard(id)
        path = names.final(id, place)
        try:
            self._disk.rename(path, queue_path(id))
        except OSError as error:
            arrived(size, error)
            return
        arrived(size, None)
        after_sync(lambda: self._disk.unlink(names.final(id, place + "-why")), "Queue", path.partition("/")[0])

    def _mark(self, path: str, mark: bytes) -> None:
        head = next(self._disk.chunks(path, first=FIRST), b"")
        line = envelopes.parse_o(head[: max(envelopes.head_end(head), 0)] or head)
        if line is None:
            raise NotKept(f"{path} has no O line that Enqueuer wrote, so the engine does not move it")
        self._disk.patch(path, line.offset + envelopes.O_LENGTH - 1 - MARK_LENGTH, mark)
