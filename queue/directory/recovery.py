"""Bring the files that a new engine, or a new queue manager, finds into order: DESIGN.md's table of states, row by row.

All of this may be interrupted and repeated. One bad entry stops no other. An entry that is not a file is set aside under a name
that is ignored. If the disk refuses for one message, that is logged, and the message stays. Only three things end a recovery: a
sync that fails, a folder that cannot be read, and a machine that has no room (a read-only disk, no descriptor). The next queue
manager begins it again. Sorted numbers and one pass: a million messages take about 10 MB a folder.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from enqueuer.queue.directory import incoming, names
from enqueuer.queue.directory.disk import DiskPort, Stamp, no_room
from enqueuer.queue.directory.ingest import complete, finished, queue_path, whole
from enqueuer.queue.directory.layout import TAKEN
from enqueuer.queue.directory.ref import ref_of
from enqueuer.queue.directory.store import Store, drop_path
from enqueuer.queue.directory.sync import Change
from enqueuer.queue.message.printable import printable

__all__ = ["FoundMessage", "RecoveredDirectory", "recover"]

log = logging.getLogger("QUEUE")

OWN = (".ids", ".ids.tmp", ".attempts", ".attempts.tmp", ".format", ".format.tmp", ".key", ".key.tmp")
"""Files of Queue/ that are not messages."""
INCOMING = ("Incoming", names.parse_incoming)
MAX_ODD = 100
"""Names that are tried for one entry that is set aside."""


class FoundMessage(msgspec.Struct):
    """A message that must be scanned."""

    id: int
    drop: str | None
    ingested: bool
    """Queue/<id>.msg exists and may be trusted."""
    size: int
    """Bytes of the drop or of the message file, which decide its lane."""
    taken: Stamp | None = None

    @property
    def ref(self) -> bytes:
        return ref_of(self.drop, self.taken) if self.drop and self.taken else b""

    @property
    def durable(self) -> bool:
        return self.drop is None


class RecoveredDirectory(msgspec.Struct):
    """The content of the base directory."""

    highest: int = 0
    """The highest id that any file has."""
    offers: list[FoundMessage] = []
    finished: list[tuple[int, str]] = []
    """Messages whose outcome was decided and is now carried out: id and disposition."""
    broken: list[int] = []
    """Messages that a power cut left incomplete. They are in Bad/ now."""
    foreign: list[str] = []
    unfinished: list[int] = []
    """Offered messages that a processor was working on, oldest first: it left a half written or uncommitted file."""
    on_hold: list[int] = []
    """Messages in Hold/, by id."""


class _Disk(msgspec.Struct):
    """The names found, by their meaning."""

    drops: dict[int, str] = {}
    messages: set[int] = set()
    done: dict[int, list[int]] = {}
    temporary: list[str] = []
    half: set[int] = set()
    """Message files that a processor did not finish. Their drops still exist."""
    staged: dict[int, list[names.StagedName]] = {}
    foreign: list[str] = []


def recover(
    store: Store, *, cold: bool, decided: Callable[[int, int, str], None], progress: Callable[[], None] = lambda: None
) -> RecoveredDirectory:
    """Bring every message into a state from which it can go on.

    `cold`: the whole engine starts, perhaps after a power cut, so nothing that was not synced is trusted. Otherwise only the queue
    manager is new: files are as they were left, and filters may be reading them. `decided(id, n, disposition)` is called for each
    committed message, after its outputs are published and before its last name goes. `progress()` is called for every message.
    """
    seen = _look(store.disk)
    found = RecoveredDirectory()
    left = incoming.remove_dead(store.disk)
    found.foreign = seen.foreign + left.foreign
    found.highest = max((left.highest, *seen.drops, *seen.messages, *seen.done, *seen.staged, *_new_ids(seen), *_kept(store.disk, "Hold")))
    if seen.done:
        store.sync.committed()  # the process that was killed may not have done this
    for id, dispatches in sorted(seen.done.items()):
        _finish(store, seen, id, dispatches, found, decided)
        progress()
    for id, drop in sorted(seen.drops.items()):
        _tried(drop_path(drop), lambda id=id, drop=drop: _drop(store, seen, id, drop, cold, found))  # type: ignore[misc]
        progress()
    for id in sorted(seen.messages - seen.drops.keys()):
        _tried(queue_path(id), lambda id=id: _alone(store, id, cold, found))  # type: ignore[misc]
        progress()
    half = {parsed.id for name in seen.temporary if (parsed := names.parse_queue(name))} | seen.half
    found.unfinished = sorted((half | {id for id, left in seen.staged.items() if left}) & {offer.id for offer in found.offers})
    outputs = [names.staged(*left) for each in seen.staged.values() for left in each]
    _unlink(store.disk, "Queue", seen.temporary)
    _unlink(store.disk, "Staged", outputs)
    for folder in ("Quarantine", "Hold", "Bad"):
        _unlink(store.disk, folder, _lonely(store.disk, folder))
    found.on_hold = sorted(_kept(store.disk, "Hold"))
    if cold:
        store.sync.everything()
    return found


def _tried(path: str, action: Callable[[], object]) -> bool:
    """Do something with one entry. False: the disk refuses it, and the log says so. Raises OSError if the machine has no room."""
    try:
        action()
    except OSError as error:
        if no_room(error):
            raise
        log.error("%s: %s; it stays as it is", printable(path), error.strerror or error)
        return False
    return True


def _unlink(disk: DiskPort, folder: str, found: Iterable[str]) -> None:
    for name in found:
        _tried(f"{folder}/{name}", lambda name=name: disk.unlink(f"{folder}/{name}"))  # type: ignore[misc]


def _set_odd_aside(disk: DiskPort) -> set[str]:
    """Rename entries that have a name of ours and are not files; return the paths of those that could not be renamed."""
    left = set()
    for folder, ours in ((TAKEN, _is_taken), ("Queue", _is_queue), ("Staged", names.parse_staged), INCOMING):
        for name in disk.odd(folder):
            if ours(name) and not _tried(f"{folder}/{name}", lambda name=name, folder=folder: _odd_aside(disk, folder, name)):  # type: ignore[misc]
                left.add(f"{folder}/{name}")
    return left


def _odd_aside(disk: DiskPort, folder: str, name: str) -> None:
    for number in range(1, MAX_ODD):
        other = names.odd(name, number)
        try:
            disk.rename_new(f"{folder}/{name}", f"{folder}/{other}")
        except FileExistsError:
            continue
        log.error("%s is not a file: it was renamed to %s, and the engine ignores it", printable(f"{folder}/{name}"), printable(other))
        return


def _is_taken(name: str) -> object:
    return names.parse_taken(name.encode("utf-8", "surrogateescape"))


def _is_queue(name: str) -> object:
    return name in OWN or names.parse_queue(name)


def _look(disk: DiskPort) -> _Disk:
    seen = _Disk()
    odd = _set_odd_aside(disk)
    for name in disk.names(TAKEN):
        if f"{TAKEN}/{name}" in odd:
            continue
        if taken := names.parse_taken(name.encode("utf-8", "surrogateescape")):
            seen.drops[taken.id] = name
        else:
            seen.foreign.append(f"{TAKEN}/{name}")
    for name in disk.names("Queue"):
        if "Queue/" + name not in odd:
            _look_queue(seen, name)
    for name in disk.names("Staged"):
        if "Staged/" + name in odd:
            continue
        if staged := names.parse_staged(name):
            seen.staged.setdefault(staged.id, []).append(staged)
        else:
            seen.foreign.append("Staged/" + name)
    return seen


def _look_queue(seen: _Disk, name: str) -> None:
    match names.parse_queue(name):
        case None if name not in OWN:
            seen.foreign.append("Queue/" + name)
        case names.QueueName(id, "msg", _):
            seen.messages.add(id)
        case names.QueueName(_, "tmp", _):
            seen.temporary.append(name)
        case names.QueueName(id, "done", n):
            seen.done.setdefault(id, []).append(n)


def _finish(
    store: Store, seen: _Disk, id: int, dispatches: list[int], found: RecoveredDirectory, decided: Callable[[int, int, str], None]
) -> None:
    """Finish <id>.<n>.done: publish the outputs that dispatch n still has staged, unlink drop and .done."""
    drop = seen.drops.pop(id, None)
    for n in sorted(dispatches):
        done = "Queue/" + names.queue(id, "done", n)
        mine = [each for each in seen.staged.get(id, ()) if each.n == n]
        seen.staged[id] = [each for each in seen.staged.get(id, ()) if each.n != n]
        places = tuple(each.place for each in mine)
        if not _tried(done, lambda n=n, places=places: store.finish(id, n, drop, places)):  # type: ignore[misc]
            continue  # it is decided: a later start finishes it
        store.sync.published([Change(id, n, places)])
        seen.messages |= {new.id for place in places if (new := names.parse_new(place)) and new.folder == "Queue"}
        disposition = _disposition(store.disk, id, places)
        decided(id, n, disposition)
        _tried(done, lambda n=n: store.forget(id, n))  # type: ignore[misc]
        found.finished.append((id, disposition))
    seen.messages.discard(id)


def _disposition(disk: DiskPort, id: int, places: Sequence[str]) -> str:
    """Return what became of a message that still has its last name in Queue/, from the places of its outputs. `places`: those that were
    published just now. Module queues come last (store.finish).

    A message with several outcomes has the first of enqueued, quarantined, rejected, discarded and bad. A consumer may have taken the
    output from a module queue already. So a message without outputs was enqueued or discarded. The first is far more likely, and the
    board corrects it if it knows better.
    """
    if any(names.is_module(place.partition(".")[0]) for place in places):
        return "enqueued"
    try:
        if disk.stamp(names.final(id, "quarantine-why")):
            text = b"".join(disk.chunks(names.final(id, "quarantine-why")))
            return "rejected" if b'"fate": "rejected"' in text else "quarantined"
        if disk.stamp(names.final(id, "hold-why")):
            return "on_hold"
        return "bad" if disk.stamp(names.final(id, "bad-why")) else "enqueued"
    except OSError as error:
        log.error("%s: %s", error.filename, error.strerror)
        return "quarantined"


def _drop(store: Store, seen: _Disk, id: int, drop: str, cold: bool, found: RecoveredDirectory) -> None:
    """Recover a drop without .done. Cold: its message file is not trusted, and the drop is ingested again. Otherwise a whole one stays.

    Exception: if a message file does not have its drop's number, the writer went on. A filter may have scanned it, so the drop goes
    back, and comes again under another id.
    """
    ingested = id in seen.messages
    taken = store.disk.stamp(drop_path(drop))
    whole = list[bool]()
    if ingested and not (_tried(queue_path(id), lambda: whole.append(complete(store.disk, id))) and whole[0]):
        seen.half.add(id)
    if ingested and (cold or id in seen.half):
        store.disk.unlink(queue_path(id))
        ingested = False
    if taken is None:
        return
    if ingested and store.disk.changes(drop_path(drop)) != store.disk.marked(queue_path(id)):
        store.give_back(id, drop)
        return
    found.offers.append(FoundMessage(id, drop, ingested, taken[1], taken))


def _alone(store: Store, id: int, cold: bool, found: RecoveredDirectory) -> None:
    """Recover a message file without a drop: deferred, from a door, or released. It is mail: it is never wiped, and offered only if it
    is whole.
    """
    if fault := _fault(store.disk, id, cold):
        _set_aside(store.disk, id, fault)
        found.broken.append(id)
        return
    stamp = store.disk.stamp(queue_path(id))
    found.offers.append(FoundMessage(id, None, ingested=True, size=stamp[1] if stamp else 0))


def _fault(disk: DiskPort, id: int, cold: bool) -> str:
    """Return the fault of a message file, "" if there is none. Only a power cut breaks a file that its writer finished."""
    try:
        if not finished(disk, queue_path(id), of_others=True):
            return "the file is not whole: its writer had not finished it"
        return "" if not cold or whole(disk, id) else "the file does not match its own digest: it was not whole when the machine stopped"
    except OSError as error:
        if no_room(error):
            raise
        return f"the file cannot be read: {error.strerror or error}"


def _set_aside(disk: DiskPort, id: int, reason: str) -> None:
    text = json.dumps({"id": id, "fate": "bad", "reason": reason, "attempts": 0}, indent=1) + "\n"
    disk.create(names.final(id, "bad-why"), (text.encode(),))
    disk.rename(queue_path(id), names.final(id, "bad"))
    log.error("%s", reason, extra={"tag": f"QUEUE([{id}])"})


def _kept(disk: DiskPort, folder: str) -> Iterator[int]:
    """Return the ids of the messages in a folder of kept messages."""
    return (id for name in disk.names(folder) if (id := names.parse_shelf(name)) is not None)


def _new_ids(seen: _Disk) -> Iterator[int]:
    """Return the ids of new messages that are staged."""
    return (new.id for each in seen.staged.values() for left in each if (new := names.parse_new(left.place)))


def _lonely(disk: DiskPort, folder: str) -> Iterator[str]:
    """Find each .why without its message. A death between two renames left it: its message was published again or never will be."""
    there = set(disk.names(folder))
    for name in there:
        stem, _, suffix = name.rpartition(".")
        if suffix == "why" and stem.isdigit() and stem + ".msg" not in there:
            yield name
