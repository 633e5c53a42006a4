"""The message store in a directory: port.py's transitions, made of the calls of store.py, settle.py and recovery.py."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, TypeVar

from enqueuer.queue.directory import names, recovery, sync
from enqueuer.queue.directory.attempts import AttemptsFile
from enqueuer.queue.directory.disk import DiskPort
from enqueuer.queue.directory.durability import Durability
from enqueuer.queue.directory.ids import IdsFile
from enqueuer.queue.directory.ingest import complete, load, queue_path
from enqueuer.queue.directory.intake import Intake
from enqueuer.queue.directory.layout import TAKEN
from enqueuer.queue.directory.ref import ref_of, taken_of
from enqueuer.queue.directory.requeue import Requeue
from enqueuer.queue.directory.settle import DirectorySettlement
from enqueuer.queue.directory.stage import stage_itself
from enqueuer.queue.directory.store import Store, drop_path
from enqueuer.queue.port import Accepted, AfterSync, Decision, MessageHead, Place, Witness

__all__ = ["DirectoryStore"]

D = TypeVar("D", bound=Decision)
MAX_WHY = 1 << 20
"""Bytes of a .why that are read. Ours have a few hundred."""


class DirectoryStore:
    """All messages of the base directory, which is the current directory."""

    def __init__(self, disk: DiskPort, way: sync.Sync | None = None, intake: Intake | None = None) -> None:
        """`way`: how things are made durable; by default in groups. `intake`: the drop folder, where drops are accepted."""
        self._disk = disk
        self._files = Store(disk, way)
        self._intake = intake
        self._requeue = Requeue(disk)

    @classmethod
    def open(cls, durability: Durability, intake: Intake, *, quiet: bool) -> "DirectoryStore":
        """Return the store of the current directory. `quiet`: the log has said before how it is made durable."""
        return cls(intake.disk, sync.fitting(intake.disk, durability, quiet=quiet), intake)

    @property
    def moves(self) -> bool:
        return not self._files.sync.in_steps

    # ---- in and out

    def accept(self, id: int, name: bytes) -> Accepted | Literal["later", "gone"]:
        assert self._intake is not None
        claim = self._intake.claim(name, id)
        if claim != "taken":
            return claim
        drop = names.taken(id, name).decode("utf-8", "surrogateescape")
        return Accepted(ref_of(drop, self._intake.claimed))

    def settlement(self, witness: Witness[D]) -> DirectorySettlement[D]:
        return DirectorySettlement(self._files, witness)

    def set_aside(self, id: int, n: int, place: Place, why: Mapping[str, object]) -> tuple[str, ...]:
        return stage_itself(self._disk, id, n, place, why)

    def wipe(self, upto: Mapping[int, int]) -> None:
        self._files.wipe(upto)

    def refuse(self, id: int, ref: bytes, reason: str) -> bytes | None:
        assert self._intake is not None
        taken = taken_of(ref)
        name = self.name(ref)
        if taken is None or name is None:
            return None
        self._files.undo_ingest(id)
        return self._intake.refuse(drop_path(taken.drop).encode("utf-8", "surrogateescape"), name, reason)

    def refuse_drop(self, name: bytes, reason: str) -> bytes | None:
        assert self._intake is not None
        return self._intake.refuse(b"Submitted/" + name, name, reason)

    def give_back(self, id: int, ref: bytes) -> bytes | None:
        taken = taken_of(ref)
        return self._files.give_back(id, taken.drop) if taken else None

    def requeue(
        self, id: int, place: Place, mark: bytes | None, after_sync: AfterSync, arrived: Callable[[int, OSError | None], None]
    ) -> None:
        self._requeue.begin(id, place, mark, after_sync, arrived)

    def reason(self, id: int, place: Place) -> dict[str, object]:
        try:
            found = json.loads(next(self._disk.chunks(names.final(id, place + "-why"), first=MAX_WHY)))
        except (FileNotFoundError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def delete(self, id: int, place: Place) -> bool:
        if self._requeue.has(id) or not self._disk.unlink(names.final(id, place)):
            return False
        self._disk.unlink(names.final(id, place + "-why"))
        return True

    def recover(self, *, cold: bool, decided: Callable[[int, int, str], None], progress: Callable[[], None]) -> recovery.RecoveredDirectory:
        return recovery.recover(self._files, cold=cold, decided=decided, progress=progress)

    # ---- queries

    def inventory(self) -> Iterator[int]:
        for name in self._disk.names(TAKEN):
            if taken := names.parse_taken(name.encode("utf-8", "surrogateescape")):
                yield taken.id
        for name in self._disk.names("Queue"):
            if (queued := names.parse_queue(name)) and queued.kind != "tmp":
                yield queued.id

    def kept(self, place: Place) -> list[int]:
        return sorted(id for name in self._disk.names(place.capitalize()) if (id := names.parse_shelf(name)) is not None)

    def decided(self) -> Iterator[int]:
        return (found.id for name in self._disk.names("Queue") if (found := names.parse_queue(name)) and found.kind == "done")

    def has_message(self, id: int) -> bool:
        return self._disk.stamp(queue_path(id)) is not None

    def head(self, id: int) -> MessageHead | None:
        try:
            found = load(self._disk, id, None)
        except (FileNotFoundError, ValueError):
            return None
        return MessageHead(found.envelope, found.header, found.stamp[0])

    def is_whole(self, id: int) -> bool:
        return complete(self._disk, id)

    def is_changed(self, ref: bytes) -> bool:
        taken = taken_of(ref)
        return taken is not None and self._files.changed(*taken)

    def has_source(self, ref: bytes) -> bool:
        taken = taken_of(ref)
        return taken is not None and self._disk.stamp(drop_path(taken.drop)) is not None

    def name(self, ref: bytes) -> bytes | None:
        if (taken := taken_of(ref)) is None:
            return None
        drop = taken.drop.encode("utf-8", "surrogateescape")
        found = names.parse_taken(drop)
        return found.name if found else drop

    # ---- beside the messages

    def attempts(self) -> AttemptsFile:
        return AttemptsFile(self._disk)

    def ids(self, highest: int, after_sync: AfterSync) -> IdsFile:
        return IdsFile(self._disk, highest, after_sync)
