"""Incoming/: where doors receive messages, and how a message gets from there into Queue/.

    door             begin, Writer.write    Incoming/<door>.<id>.msg grows, without its O line
    door             Writer.finish          the O line, then a sync: the file is whole and durable
    queue manager    accept                 is it whole? rename to Queue/<id>.msg, sync of the name
    door             answers 2xx            the message is the engine's: a message file without a drop

Before the rename nothing is promised. Recovery removes the files of dead doors, whole ones too: a client without an answer sends
its message again. Only the door and accept() touch the file of a living door (doorlock.py).
"""

import contextlib
import errno
import logging
import os
from collections.abc import Iterator

import msgspec

from enqueuer.queue.directory import names
from enqueuer.queue.directory.disk import DiskPort, no_room
from enqueuer.queue.directory.ingest import finished, queue_path
from enqueuer.queue.directory.sync import Sync
from enqueuer.queue.message import envelope as envelopes

__all__ = ["BUFFER", "LeftByDoors", "Writer", "accept", "begin", "remove_dead"]

log = logging.getLogger("QUEUE")

FOLDER = "Incoming"
BUFFER = 64 << 10
"""Bytes of a message that a door keeps in memory. A shorter message is written at once."""


class LeftByDoors(msgspec.Struct):
    """The content of Incoming/ when recovery runs."""

    highest: int = 0
    """The highest id that a file has. Files of living doors count."""
    foreign: list[str] = []


class Writer:
    """One message that a door receives. After an OSError nothing of the message is left: the client gets a 4xx answer."""

    def __init__(self, disk: DiskPort, path: str, envelope: envelopes.Envelope, buffer: int) -> None:
        self._disk = disk
        self._path = path
        self._buffer = buffer
        self._above = envelope.above
        self._below = envelope.below
        self._digest = envelopes.Digest(self._above, self._below)
        self._rest = bytearray()
        self._written = 0
        """Bytes of the file; 0: there is no file."""

    def write(self, data: bytes) -> None:
        """Add bytes of the message: lines with LF. Raises OSError."""
        self._digest.feed(data)
        self._rest += data
        if len(self._rest) > self._buffer:
            with self._nothing_left():
                self._flush(envelopes.PLACEHOLDER)

    def finish(self, sync: Sync) -> None:
        """Write the O line, last of all bytes, and make the file durable. Then the door may ask for accept(). Raises OSError."""
        with self._nothing_left():
            patched = self._written > 0
            self._flush(self._digest.line())
            if patched:
                self._disk.patch(self._path, len(self._above), self._digest.line())
            sync.staged((), (self._path,))

    def abandon(self) -> None:
        """Remove the file: the client ended the transaction, or is gone. Raises OSError."""
        if self._written:
            self._disk.unlink(self._path)
            self._written = 0

    def _flush(self, line: bytes) -> None:
        """Write the bytes in memory. `line` is the O line of a new file."""
        if self._written:
            self._disk.patch(self._path, self._written, bytes(self._rest))
        else:
            self._rest[:0] = self._above + line + self._below
            self._disk.create(self._path, (bytes(self._rest),), new=True)
        self._written += len(self._rest)
        self._rest.clear()

    @contextlib.contextmanager
    def _nothing_left(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            with contextlib.suppress(OSError):  # recovery removes it when the door has ended
                self.abandon()
            raise


def begin(disk: DiskPort, door: str, id: int, envelope: envelopes.Envelope, buffer: int = BUFFER) -> Writer:
    """Begin a message. `door`: DoorLock.name(). `id`: one that was given to this door, and is used once."""
    return Writer(disk, f"{FOLDER}/{names.incoming(door, id)}", envelope, buffer)


def accept(disk: DiskPort, sync: Sync, door: str, id: int) -> bool:
    """Take a finished message of a living door into Queue/, durably. Only then the door answers its client 2xx.

    False: it is in Queue/ already. An earlier queue manager took it, and recovery offered it. Raises ValueError if the file is not
    whole; FileNotFoundError if there is no file: it has left, or was removed. Raises OSError if it cannot be made durable: then
    nothing was accepted. In each case the client gets a 4xx answer.
    """
    source = f"{FOLDER}/{names.incoming(door, id)}"
    target = queue_path(id)
    if disk.stamp(source) is None:
        if disk.stamp(target) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source)
        sync.staged((), ("Queue",))
        return False
    if not finished(disk, source):
        raise ValueError(f"{source} is not whole")
    disk.rename_new(source, target)
    try:
        sync.staged((), ("Queue",))
    except OSError:
        disk.unlink(target)
        raise
    return True


def remove_dead(disk: DiskPort) -> LeftByDoors:
    """Remove the files of dead doors, their lock files last. If the disk refuses for one door, it is logged, and its files stay."""
    left = LeftByDoors()
    doors = dict[str, list[str]]()
    for name in disk.names(FOLDER):
        if found := names.parse_incoming(name):
            left.highest = max(left.highest, found.id)
            doors.setdefault(found.door, []).append(name)
        else:
            left.foreign.append(f"{FOLDER}/{name}")
    for door, files in sorted(doors.items()):
        try:
            _remove(disk, names.door_lock(door), files)
        except OSError as error:
            if no_room(error):
                raise
            log.error("%s: %s; it stays as it is", error.filename or door, error.strerror or error)
    return left


def _remove(disk: DiskPort, lock: str, files: list[str]) -> None:
    if disk.held(f"{FOLDER}/{lock}"):
        return
    for name in sorted(files, key=lambda name: name == lock):
        disk.unlink(f"{FOLDER}/{name}")
