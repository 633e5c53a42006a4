"""The work of the engine's processes on one message, step by step, over the store's own code. The model runs it.

The end of a message is queue/directory/settle.py, which the engine runs too. This module decides nothing about a message, and no
module of the engine imports it.
"""

import sys
from collections.abc import Callable
from typing import Literal, NamedTuple

from enqueuer.queue.directory import ingest, names, recovery, stage
from enqueuer.queue.directory.disk import DiskPort, Stamp
from enqueuer.queue.directory.ref import ref_of, taken_of
from enqueuer.queue.directory.requeue import Requeue
from enqueuer.queue.directory.settle import DirectorySettlement
from enqueuer.queue.directory.store import Store, drop_path
from enqueuer.queue.port import Decision, Witness
from enqueuer.queue.proof.simdisk import SimulatedDisk

__all__ = [
    "DROPPED",
    "ENDS",
    "HOLD",
    "MAIL",
    "MORE",
    "NEW",
    "SPLITS",
    "VERDICTS",
    "WAITS",
    "ModelEntry",
    "Scenario",
    "disposition",
    "rights",
    "straight",
]

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
"""The possible decisions, and the recipients of each place. The first is the message file itself, the second are copies."""
NEW = 50
"""The id of a new message is that of the message with which it comes, plus this."""
SPLITS: dict[str, dict[str, frozenset[bytes] | None]] = {
    "a rest waits": {"OUT": frozenset({b"b@b.example"}), "queue": frozenset({b"c@c.example"})},
    "a rest is on hold": {"OUT": frozenset({b"b@b.example"}), "hold": frozenset({b"c@c.example"})},
}
"""Decisions with a new message: the rest of the recipients, in the queue or on hold."""
HOLD = "on hold"
"""The decision that the whole message waits in Hold/."""
WAITS = ("deferred", "parked")
ENDS = ("Outbound/", "Taken/", "Quarantine/", "Bad/")
"""Where a message may end. Taken/ has the outputs that a consumer took."""


class ModelEntry(NamedTuple):
    """The message in the queue manager's memory."""

    id: int
    drop: str | None
    ingested: bool
    state: Literal["waiting", "active", "reaped", "decided", "refused", "stuck"] = "waiting"
    """reaped: its dispatch gave no outcome. refused: its drop is not a message. stuck: a processor could not work on it, and never will."""
    n: int = 0
    verdict: str = ""
    """The outcome that the processor of dispatch n must give."""
    places: tuple[str, ...] = ()
    """The places of its outputs. For a single module nothing is staged: the message file itself is moved."""
    taken: Stamp | None = None
    """The stamp of its drop when it was taken, or found by a recovery."""

    @property
    def ref(self) -> bytes:
        return ref_of(self.drop, self.taken) if self.drop is not None and self.taken is not None else b""


class _GivesBack(Witness[Decision]):
    """The queue manager's part in the end of a message: a changed drop goes back. A deferred message is scanned again first."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def changed(self, decision: Decision) -> None:
        taken = taken_of(decision.ref)
        if decision.places is not None and taken is not None:
            self._store.give_back(decision.id, taken.drop)


class Scenario:
    """The work of the engine's processes on one message, in their order: each method is one uninterrupted piece of work.

    Mutations are subclasses. settle.py, which the engine runs too, has the end of a message.
    """

    order: type[DirectorySettlement[Decision]] = DirectorySettlement

    waits_for_reaped = True
    """A processor's message is free only after the processor was reaped."""
    remembers = True
    """It remembers that a sync failed: files written before it are never trusted, even if the next sync succeeds."""

    moves = True
    """A message file that is unchanged and for one module is moved there."""
    splits = False
    """Decisions make new messages, or put the message on hold, and messages on hold are released."""
    knows_what_it_wrote = True
    """It knows that the last dispatch ingested a message file, and not one before a failed sync."""

    def verdicts(self, id: int, waits: int) -> tuple[str, ...]:
        """Return what may be decided about a message, or what it may wait for."""
        if not self.splits:
            return (*VERDICTS, *(WAITS if waits else ()))
        new = () if id > NEW else tuple(SPLITS)
        return ("one module", *new, *((HOLD,) if waits else ()))

    def store(self, disk: DiskPort) -> Store:
        return Store(disk)

    def claim(self, disk: DiskPort, id: int) -> tuple[str, Stamp | None]:
        taken = disk.stamp(DROPPED)
        disk.rename(DROPPED, drop_path(f"{id}.{NAME}"))
        return f"{id}.{NAME}", taken

    def recover(self, disk: DiskPort, cold: bool) -> list[ModelEntry] | None:
        """Return the messages to scan; None if the disk refused."""
        try:
            found = recovery.recover(self.store(disk), cold=cold, decided=lambda *_: None)
        except OSError:
            return None
        return [ModelEntry(offer.id, offer.drop, offer.ingested, taken=offer.taken) for offer in found.offers]

    def process(self, disk: DiskPort, entry: ModelEntry) -> str | tuple[str, ...]:
        """Do a processor's work; return the places for which it staged, or that the message waits, or that it could not be scanned."""
        try:
            message = self.message(disk, entry)
            return entry.verdict if entry.verdict in WAITS else self.put_out(disk, message, entry.n, _places(entry))
        except ingest.InvalidDrop:
            return "refused"
        except (OSError, ValueError):
            return "trouble"

    def message(self, disk: DiskPort, entry: ModelEntry) -> ingest.MessageFile:
        if entry.ingested or entry.drop is None:
            return ingest.load(disk, entry.id, None)
        return ingest.ingest(disk, entry.id, drop_path(entry.drop), "24-11-2026 10:00:00", "h")

    def put_out(self, disk: DiskPort, message: ingest.MessageFile, n: int, places: dict[str, frozenset[bytes] | None]) -> tuple[str, ...]:
        whys = tuple(place for place in places if place.startswith(("quarantine", "hold")))
        for place in whys:
            stage.stage_why(disk, message.id, n, place, {"fate": "quarantined" if place == "quarantine" else "on_hold"})
        if self.is_moved(disk, tuple(places)) and stage.unchanged(disk, message, None, (), message.envelope):
            return tuple(places)
        for place, recipients in places.items():
            stage.stage_file(disk, message, n, place, recipients, ())
        return (*places, *(f"{place}-why" for place in whys))

    def settle(self, disk: DiskPort, entry: ModelEntry) -> bool:
        """Take the decision to its end, by settle.py. False: the sync failed."""
        store = self.store(disk)
        moved = self.is_moved(disk, entry.places)
        return self._settled(store, Decision(entry.id, entry.n, entry.ref, entry.places, moved))

    def is_moved(self, disk: DiskPort, places: tuple[str, ...]) -> bool:
        """Return whether the message file itself goes to these places."""
        return self.moves and not self.store(disk).sync.in_steps and len(places) == 1 and names.is_module(places[0])

    def hold(self, disk: DiskPort, entry: ModelEntry) -> bool:
        """Defer a message for the first time, by settle.py. False: its drop stays."""
        decision = Decision(entry.id, entry.n, entry.ref, None)
        return self._settled(self.store(disk), decision) and not decision.ref

    def _settled(self, store: Store, decision: Decision) -> bool:
        order = self.order(store, _GivesBack(store))
        for sync, goal in order.phases:
            try:
                sync([decision], ())
            except OSError:
                return False
            while decision.done < goal:
                order.step(decision)
        return True

    def refuse(self, disk: DiskPort, entry: ModelEntry) -> bool:
        """Refuse the drop, which is not a message. It goes back if its writer went on. False: the writer did not."""
        store = self.store(disk)
        if not store.changed(entry.drop, entry.taken):
            return False
        store.give_back(entry.id, entry.drop or "")
        return True

    def release(self, disk: DiskPort, id: int) -> bool:
        """Bring a message on hold back into the queue. False: the sync failed."""

        def after_sync(action: Callable[[], object], *_: str) -> None:
            disk.sync()
            action()

        came = list[OSError | None]()
        try:
            Requeue(disk).begin(id, "hold", None, after_sync, lambda _, error: came.append(error))
        except OSError:
            return bool(came)
        return came == [None]

    def put_off(self, disk: DiskPort, id: int) -> bool:
        """Remove the staged files of a dispatch without an outcome; return whether there is a message file."""
        self.store(disk).wipe({id: sys.maxsize})
        return disk.stamp(ingest.queue_path(id)) is not None


def _places(entry: ModelEntry) -> dict[str, frozenset[bytes] | None]:
    if entry.verdict == HOLD:
        return {"hold": ALL}
    if entry.verdict not in SPLITS:
        return VERDICTS[entry.verdict]
    new = entry.id + NEW
    return {place if names.is_module(place) else f"{place}-{new}": theirs for place, theirs in SPLITS[entry.verdict].items()}


def straight(verdict: str, mail: bytes = MAIL) -> dict[str, bytes]:
    """Return the files of a message if nothing goes wrong."""
    simdisk = SimulatedDisk()
    scenario = Scenario()
    simdisk.create(DROPPED, (mail,))
    drop, taken = scenario.claim(simdisk, 1)
    entry = ModelEntry(1, drop, ingested=False, n=1, verdict=verdict, taken=taken)
    places = scenario.process(simdisk, entry)
    assert isinstance(places, tuple)
    scenario.settle(simdisk, entry._replace(places=places))
    return simdisk.state.read()


def rights(mail: bytes) -> dict[str, tuple[tuple[str, bytes], ...]]:
    """Return the right end of each decision. A new message is enqueued."""
    found = {verdict: disposition(straight(verdict, mail)) for verdict in VERDICTS}
    for verdict in SPLITS:
        simdisk = SimulatedDisk()
        for path, data in straight(verdict, mail).items():
            simdisk.create(path, (data,))
        (path,) = [path for path in simdisk.state.names() if path.startswith(("Queue/", "Hold/")) and path.endswith(".msg")]
        simdisk.rename(path, "Taken/0.OUT")
        both = sorted(("one module", verdict))
        found[" and ".join(both)] = disposition(simdisk.state.read())
    return found


def disposition(files: dict[str, bytes]) -> tuple[tuple[str, bytes], ...]:
    """Return the outputs, in whichever folder they are: place and contents."""
    return tuple(sorted((_place(path), data) for path, data in files.items() if path.startswith(ENDS)))


def _place(path: str) -> str:
    """Return the place of a path: Outbound/OUT/7.msg and Taken/0.OUT are one place."""
    folder, _, name = path.partition("/")
    if folder == "Outbound":
        return name.partition("/")[0]
    return name.partition(".")[2] if folder == "Taken" else f"{folder}/{name.rpartition('.')[2]}"
