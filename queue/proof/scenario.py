"""What the engine's processes do with one message, step by step, over the store's own code: the model runs it.

The order of the calls is the engine's: DESIGN.md, Life of a message. Nothing here decides what becomes of a message, and
nothing of the engine imports it.
"""

import sys
from typing import Literal, NamedTuple

from enqueuer.queue.directory import ingest, names, recovery, stage
from enqueuer.queue.directory.disk import DiskPort, Stamp
from enqueuer.queue.directory.store import Store, drop_path
from enqueuer.queue.directory.sync import Change
from enqueuer.queue.proof.simdisk import SimulatedDisk

__all__ = ["DROPPED", "ENDS", "MAIL", "MORE", "VERDICTS", "WAITS", "ModelEntry", "Scenario", "disposition", "straight"]

MAIL = b"From: a@a.example\nTo: b@b.example, c@c.example\n\n" + b"hello\n" * 100
MORE = b"what its writer wrote after a pause\n"
DROPPED = "Submitted/a.eml"
NAME = "a.eml"
ALL = None
VERDICTS: dict[str, dict[str, frozenset[bytes] | None]] = {
    "one module": {"OUT": ALL},
    "two modules": {"OUT": frozenset({b"b@b.example"}), "SMTP": frozenset({b"c@c.example"})},
    "a copy of its own": {"OUT": ALL, "OUT.2": frozenset({b"c@c.example"})},
    "quarantined": {"quarantine": ALL},
    "discarded": {},
}
"""What may be decided, and which recipients each place gets. The first is the message file itself, the second copies."""
WAITS = ("deferred", "parked")
ENDS = ("Outbound/", "Taken/", "Quarantine/", "Bad/")
"""Where a message may come to. Taken/ is what a consumer has."""


class ModelEntry(NamedTuple):
    """The message, as the queue manager's memory has it."""

    id: int
    drop: str | None
    ingested: bool
    state: Literal["waiting", "active", "reaped", "decided", "refused", "stuck"] = "waiting"
    """reaped: its dispatch came to nothing. refused: its drop is no message. stuck: a processor could not work on it, and never will."""
    n: int = 0
    verdict: str = ""
    """What the processor of dispatch n was told to come to."""
    places: tuple[str, ...] = ()
    """Where it goes to; nothing is staged for a single module, where the message file itself is moved."""
    taken: Stamp | None = None
    """How its drop was when it was taken, or found by a recovery."""


class Scenario:
    """What the engine's processes do with one message, in their order: each method is one uninterrupted piece of work.

    Mutations are subclasses. test_model.py holds settle() and hold() to what the engine's settler does.
    """

    waits_for_reaped = True
    """A processor's message is free when the processor has been reaped, and not before."""
    remembers = True
    """That a sync failed: what was written before is never trusted, whatever the next sync says."""

    moves = True
    """What is unchanged and for one module is moved there."""
    knows_what_it_wrote = True
    """A message file is there because the last dispatch ingested it, and not one before a failed sync."""

    def store(self, disk: DiskPort) -> Store:
        return Store(disk)

    def claim(self, disk: DiskPort, id: int) -> tuple[str, Stamp | None]:
        taken = disk.stamp(DROPPED)
        disk.rename(DROPPED, drop_path(f"{id}.{NAME}"))
        return f"{id}.{NAME}", taken

    def recover(self, disk: DiskPort, cold: bool) -> list[ModelEntry] | None:
        """What is to be judged; None when the disk refused."""
        try:
            found = recovery.recover(self.store(disk), cold=cold, decided=lambda *_: None)
        except OSError:
            return None
        return [ModelEntry(offer.id, offer.drop, offer.ingested, taken=offer.taken) for offer in found.offers]

    def process(self, disk: DiskPort, entry: ModelEntry) -> str | tuple[str, ...]:
        """A processor's work: the places it staged for, or that the message waits, or that it could not."""
        try:
            message = self.message(disk, entry)
            return entry.verdict if entry.verdict in WAITS else self.put_out(disk, message, entry.n, VERDICTS[entry.verdict])
        except ingest.InvalidDrop:
            return "refused"
        except (OSError, ValueError):
            return "trouble"

    def message(self, disk: DiskPort, entry: ModelEntry) -> ingest.MessageFile:
        if entry.ingested or entry.drop is None:
            return ingest.load(disk, entry.id, None)
        return ingest.ingest(disk, entry.id, drop_path(entry.drop), "24-11-2026 10:00:00", "h")

    def put_out(self, disk: DiskPort, message: ingest.MessageFile, n: int, places: dict[str, frozenset[bytes] | None]) -> tuple[str, ...]:
        if "quarantine" in places:
            stage.stage_why(disk, message.id, n, "quarantine", {"fate": "quarantined"})
        if self.is_moved(disk, tuple(places)) and stage.unchanged(disk, message, None, (), message.envelope):
            return tuple(places)
        for place, recipients in places.items():
            stage.stage_file(disk, message, n, place, recipients, ())
        return (*places, *(("quarantine-why",) if "quarantine" in places else ()))

    def settle(self, disk: DiskPort, entry: ModelEntry) -> bool:
        """Make it durable, look whether its writer went on, decide, carry out, forget. False: the sync failed."""
        store = self.store(disk)
        change = Change(entry.id, entry.n, entry.places)
        try:
            store.sync.staged([change])
        except OSError:
            return False
        if store.changed(entry.drop, entry.taken):
            store.give_back(entry.id, entry.drop or "")
            return True
        if self.is_moved(disk, entry.places):
            store.move(entry.id, entry.drop, entry.places[0])
            return True
        store.commit(entry.id, entry.n)
        store.sync.committed()
        store.finish(entry.id, entry.n, entry.drop, entry.places)
        store.sync.published([change])
        store.forget(entry.id, entry.n)
        return True

    def is_moved(self, disk: DiskPort, places: tuple[str, ...]) -> bool:
        """Whether the message file itself goes to these places."""
        return self.moves and not self.store(disk).sync.in_steps and len(places) == 1 and names.is_module(places[0])

    def hold(self, disk: DiskPort, entry: ModelEntry) -> bool:
        """The first hold: the message file is durable, then its drop goes, if it is the one that was read."""
        store = self.store(disk)
        try:
            store.sync.staged([Change(entry.id, entry.n, None)])
        except OSError:
            return False
        if store.changed(entry.drop, entry.taken):
            return False
        if entry.drop:
            store.release_drop(entry.drop)
        return True

    def refuse(self, disk: DiskPort, entry: ModelEntry) -> bool:
        """The drop is no message: it goes back if its writer went on. False: it did not."""
        store = self.store(disk)
        if not store.changed(entry.drop, entry.taken):
            return False
        store.give_back(entry.id, entry.drop or "")
        return True

    def put_off(self, disk: DiskPort, id: int) -> bool:
        """A dispatch came to nothing: what it staged goes. Whether there is a message file."""
        self.store(disk).wipe({id: sys.maxsize})
        return disk.stamp(ingest.queue_path(id)) is not None


def straight(verdict: str, mail: bytes = MAIL) -> dict[str, bytes]:
    """The files of a message with which nothing goes wrong."""
    simdisk = SimulatedDisk()
    scenario = Scenario()
    simdisk.create(DROPPED, (mail,))
    drop, taken = scenario.claim(simdisk, 1)
    entry = ModelEntry(1, drop, ingested=False, n=1, verdict=verdict, taken=taken)
    places = scenario.process(simdisk, entry)
    assert isinstance(places, tuple)
    scenario.settle(simdisk, entry._replace(places=places))
    return simdisk.state.read()


def disposition(files: dict[str, bytes]) -> tuple[tuple[str, bytes], ...]:
    """The outputs, wherever they stand: place and contents."""
    return tuple(sorted((_place(path), data) for path, data in files.items() if path.startswith(ENDS)))


def _place(path: str) -> str:
    """Outbound/OUT/7.msg and Taken/0.OUT are one place."""
    folder, _, name = path.partition("/")
    if folder == "Outbound":
        return name.partition("/")[0]
    return name.partition(".")[2] if folder == "Taken" else f"{folder}/{name.rpartition('.')[2]}"
