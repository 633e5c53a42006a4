"""List the messages in Queue, Quarantine, Hold and Bad, for people and scripts. It reads the disk and changes nothing.

A listing needs no engine and takes no lock. So a file may go while it is read: it is then left out. Ages come from the times of
the files, not from the ids.
"""

import contextlib
import heapq
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from enqueuer.queue.directory import names
from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.layout import TAKEN
from enqueuer.queue.message import envelope, header
from enqueuer.queue.message.fields import message_id, subject

__all__ = ["Folder", "ShelfEntry", "claimed", "enqueued", "entries", "head", "output", "queued", "read", "waiting"]

Folder = Literal["Queue", "Quarantine", "Hold", "Bad"]
STATES = {"Hold": "on_hold"}
FIRST = 16 << 10
"""Bytes of the first read: the envelope and header of nearly every message."""
MAX_SHOWN = 1 << 20
"""Bytes of envelope and header that are shown, and of a .why that are read. More would not help."""


class ShelfEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One message."""

    id: int
    state: str
    """waiting = claimed, not begun; active = being scanned; deferred = waits for a filter; otherwise STATES or the word of the folder."""
    time: float
    """When the file was made, in seconds since 1970."""
    size: int
    """Bytes of the message without envelope; of a waiting drop, as it is."""
    sender: bytes | None = None
    recipients: tuple[bytes, ...] = ()
    drop: bytes | None = None
    """The name of the drop that it was made of, as long as that exists."""
    dropper: int | None = None
    """The account that dropped it; the engine's own if no other is named."""
    message_id: str = ""
    subject: str = ""
    """Both are printable, and cut."""
    why: dict[str, Any] = {}
    """The content of the .why file: reason, filter, rule and others."""


def entries(disk: Disk, folder: Folder) -> Iterator[ShelfEntry]:
    """Return all messages of a folder by id. Files that cannot be read are left out."""
    drops = dict(waiting(disk)) if folder == "Queue" else {}
    ids = {id for name in disk.names(folder) if (id := names.parse_shelf(name)) is not None}
    for id in sorted(ids | set(drops)):
        try:
            yield _entry(disk, folder, id, drops.get(id))
        except (OSError, ValueError):
            continue


def queued(disk: Disk) -> Iterator[ShelfEntry]:
    """Return all messages in the queue by id, those on hold included."""
    return heapq.merge(entries(disk, "Queue"), entries(disk, "Hold"), key=lambda entry: entry.id)


def read(disk: Disk, folder: Folder, id: int) -> ShelfEntry:
    """Return one message. Raises FileNotFoundError if it is not there, ValueError if the file is not a message."""
    drops = dict(waiting(disk)) if folder == "Queue" else {}
    return _entry(disk, folder, id, drops.get(id))


def waiting(disk: Disk) -> Iterator[tuple[int, bytes]]:
    """Return the claimed drops: id and name in .taken."""
    for name in disk.names(TAKEN):
        raw = name.encode(errors="surrogateescape")
        if parsed := names.parse_taken(raw):
            yield parsed.id, raw


def claimed(name: bytes) -> Iterator[tuple[int, int | None]]:
    """Return the ids of the claimed drops that had this name, and their owners."""
    for entry in os.listdir(os.fsencode(TAKEN)):
        found = names.parse_taken(entry)
        if found is not None and entry == names.taken(found.id, name):
            yield found.id, _owner(f"{TAKEN}/{os.fsdecode(entry)}")


def enqueued(id: int) -> list[str]:
    """Return the files of a message in the module queues. A message may have several in one module."""
    return sorted(str(path) for pattern in (f"{id}.msg", f"{id}-*.msg") for path in Path("Outbound").glob(f"*/{pattern}"))


def output(disk: Disk, path: str) -> tuple[ShelfEntry, tuple[bytes, bytes]]:
    """Return a message in a module queue, with its envelope lines and header. Raises FileNotFoundError if another program has taken it,
    ValueError if the file is not a message.
    """
    stamp = disk.stamp(path)
    id = re.match(r"[0-9]+", Path(path).name)
    if stamp is None or id is None:
        raise FileNotFoundError(path)
    parts = _head(disk, path)
    parsed = envelope.parse(parts[0])
    entry = ShelfEntry(
        id=int(id[0]),
        state="enqueued",
        time=stamp[0] / 1e9,
        size=stamp[1] - len(parts[0]) - 1,
        sender=parsed.sender,
        recipients=parsed.recipients,
        dropper=parsed.dropper,
        message_id=message_id(parts[1]),
        subject=subject(parts[1]),
    )
    return entry, parts


def head(disk: Disk, folder: Folder, id: int) -> tuple[bytes, bytes]:
    """Return envelope lines and header of a message, both without the empty line behind them."""
    return _head(disk, f"{folder}/{names.queue(id)}")


def _head(disk: Disk, path: str) -> tuple[bytes, bytes]:
    data = b""
    end = -1
    blank = -1
    with contextlib.closing(disk.chunks(path, first=FIRST)) as chunks:
        for chunk in chunks:
            data += chunk
            end = envelope.head_end(data)
            blank = header.header_end(data[end:]) if end >= 0 else -1
            if blank >= 0 or len(data) > MAX_SHOWN:
                break
    if end < 0:
        raise ValueError(f"{path}: no empty line after the envelope")
    return data[: end - 1], data[end:][: blank if blank >= 0 else MAX_SHOWN]


def _entry(disk: Disk, folder: Folder, id: int, drop: bytes | None) -> ShelfEntry:
    stamp = disk.stamp(f"{folder}/{names.queue(id)}")
    if stamp is None:
        return _drop(disk, folder, id, drop)
    lines, fields = head(disk, folder, id)
    parsed = envelope.parse(lines)
    state = ("active" if drop else "deferred") if folder == "Queue" else STATES.get(folder, folder.lower())
    return ShelfEntry(
        id=id,
        state=state,
        time=stamp[0] / 1e9,
        size=stamp[1] - len(lines) - 1,
        sender=parsed.sender,
        recipients=parsed.recipients,
        drop=drop.partition(b".")[2] if drop else None,
        dropper=_owner(f"{folder}/{names.queue(id)}") if parsed.dropper is None else parsed.dropper,
        message_id=message_id(fields),
        subject=subject(fields),
        why=_why(disk, folder, id),
    )


def _drop(disk: Disk, folder: Folder, id: int, drop: bytes | None) -> ShelfEntry:
    stamp = disk.stamp(f"{TAKEN}/{drop.decode(errors='surrogateescape')}") if drop else None
    if drop is None or stamp is None:
        raise FileNotFoundError(f"{folder} holds no message {id}")
    owner = _owner(f"{TAKEN}/{os.fsdecode(drop)}")
    return ShelfEntry(id=id, state="waiting", time=stamp[0] / 1e9, size=stamp[1], drop=drop.partition(b".")[2], dropper=owner)


def _owner(path: str) -> int | None:
    try:
        return os.stat(path, follow_symlinks=False).st_uid
    except OSError:
        return None


def _why(disk: Disk, folder: Folder, id: int) -> dict[str, Any]:
    """Return the reason beside a message; empty if there is none or it cannot be read."""
    try:
        found = json.loads(next(disk.chunks(f"{folder}/{id}.why", first=MAX_SHOWN)))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
