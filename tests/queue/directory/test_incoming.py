"""What a door asks of the store: a message is received in Incoming/, accepted by one rename, or gone."""

import errno
import os
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from enqueuer.queue.directory import incoming, ingest, recovery
from enqueuer.queue.directory.disk import Disk, Stamp
from enqueuer.queue.directory.doorlock import DoorLock
from enqueuer.queue.directory.store import Store
from enqueuer.queue.directory.sync import EachSync, GroupSync, NoSync, Sync
from enqueuer.queue.message import envelope
from enqueuer.queue.message.client import RemoteClient

TEXT = b"From: a@a.example\n\nhello\n" * 100
ENVELOPE = envelope.make(b"a@a.example", (b"b@b.example",), "24-11-2026 10:00:00", "h", RemoteClient("10.0.0.1"))


@pytest.fixture
def lock(base: Path) -> Iterator[DoorLock]:
    lock = DoorLock("smtp")
    yield lock
    lock.close()


def _receive(disk: Disk, door: str, id: int = 7, buffer: int = incoming.BUFFER) -> incoming.Writer:
    writer = incoming.begin(disk, door, id, ENVELOPE, buffer)
    for start in range(0, len(TEXT), 11):
        writer.write(TEXT[start : start + 11])
    return writer


@pytest.mark.parametrize("buffer", [0, 1, 10, 11, 1000, 1 << 16])
@pytest.mark.parametrize("sync", [GroupSync, EachSync, NoSync])
def test_a_message_is_received_and_accepted(disk: Disk, lock: DoorLock, buffer: int, sync: type[Sync]) -> None:
    """In one write or in many: the same file, whole by its O line."""
    writer = _receive(disk, lock.name(), buffer=buffer)
    writer.finish(sync(disk))

    assert not os.path.lexists("Queue/7.msg")
    assert incoming.accept(disk, sync(disk), lock.name(), 7)
    assert ingest.whole(disk, 7)
    message = ingest.load(disk, 7, None)
    assert (message.envelope, Path("Queue/7.msg").read_bytes()[message.head :]) == (ENVELOPE, TEXT)
    assert os.listdir("Incoming") == ["smtp-1.lock"]


def test_a_message_of_no_bytes_is_a_message(disk: Disk, lock: DoorLock) -> None:
    writer = incoming.begin(disk, lock.name(), 7, ENVELOPE)
    writer.finish(NoSync(disk))

    assert incoming.accept(disk, NoSync(disk), lock.name(), 7)
    assert ingest.whole(disk, 7)


@pytest.mark.parametrize("buffer", [10, 1 << 16])
def test_what_is_not_finished_is_not_accepted(disk: Disk, lock: DoorLock, buffer: int) -> None:
    writer = _receive(disk, lock.name(), buffer=buffer)
    if buffer > len(TEXT):
        Path(f"Incoming/{lock.name()}.7.msg").write_bytes(b"")

    with pytest.raises(ValueError, match=r"smtp-1\.7\.msg is not whole"):
        incoming.accept(disk, NoSync(disk), lock.name(), 7)
    assert not os.path.lexists("Queue/7.msg")
    writer.abandon()


@pytest.mark.parametrize("buffer", [10, 1 << 16])
def test_an_abandoned_message_leaves_nothing(disk: Disk, lock: DoorLock, buffer: int) -> None:
    writer = _receive(disk, lock.name(), buffer=buffer)
    writer.abandon()
    writer.abandon()

    assert os.listdir("Incoming") == ["smtp-1.lock"]


def test_an_id_that_comes_twice_replaces_nothing(disk: Disk, lock: DoorLock) -> None:
    """Neither in Incoming/ nor in Queue/; the first message stays."""
    first = _receive(disk, lock.name())
    first.finish(NoSync(disk))
    with pytest.raises(FileExistsError):
        _receive(disk, lock.name()).finish(NoSync(disk))
    assert incoming.accept(disk, NoSync(disk), lock.name(), 7)
    _receive(disk, lock.name()).finish(NoSync(disk))
    with pytest.raises(FileExistsError):
        incoming.accept(disk, NoSync(disk), lock.name(), 7)
    assert ingest.whole(disk, 7)


def test_a_door_that_asks_again(disk: Disk, lock: DoorLock) -> None:
    """The queue manager died after the rename: the next one has the message already, or it has left. Only the first may be answered 2xx."""
    _receive(disk, lock.name()).finish(NoSync(disk))

    assert incoming.accept(disk, NoSync(disk), lock.name(), 7)
    assert not incoming.accept(disk, NoSync(disk), lock.name(), 7)
    disk.unlink("Queue/7.msg")
    with pytest.raises(FileNotFoundError):
        incoming.accept(disk, NoSync(disk), lock.name(), 7)


class _FailingSync(NoSync):
    def staged(self, changes: object, folders: object = ()) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_sync_that_fails_promises_nothing(disk: Disk, lock: DoorLock) -> None:
    """Neither half nor whole: the client is answered 4xx, and sends the message again."""
    with pytest.raises(OSError, match="Input/output"):
        _receive(disk, lock.name()).finish(_FailingSync(disk))
    assert os.listdir("Incoming") == ["smtp-1.lock"]

    _receive(disk, lock.name()).finish(NoSync(disk))
    with pytest.raises(OSError, match="Input/output"):
        incoming.accept(disk, _FailingSync(disk), lock.name(), 7)
    assert os.listdir("Incoming") == ["smtp-1.lock"]
    assert not os.path.lexists("Queue/7.msg")


class _Full(Disk):
    """A disk that has room for so many bytes."""

    room = 0

    def create(self, path: str, chunks: Iterable[bytes], *, new: bool = False) -> Stamp:
        self._expect_room(0)
        return super().create(path, chunks, new=new)

    def patch(self, path: str, offset: int, data: bytes) -> None:
        self._expect_room(offset)
        super().patch(path, offset, data)

    def _expect_room(self, offset: int) -> None:
        if offset >= self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("room", [0, 500])
def test_a_full_disk_leaves_nothing(disk: Disk, lock: DoorLock, room: int) -> None:
    full = _Full()
    full.room = room
    with pytest.raises(OSError, match="No space"):
        _receive(full, lock.name(), buffer=10).finish(NoSync(disk))
    full.close()
    assert os.listdir("Incoming") == ["smtp-1.lock"]


def test_a_write_that_the_disk_takes_in_part_is_no_message(disk: Disk, lock: DoorLock) -> None:
    """A disk that fills up takes a part first. The file would have its length all the same, if more came behind the gap."""
    size = len(ENVELOPE.above + envelope.PLACEHOLDER + ENVELOPE.below + TEXT)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - 2, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            _receive(disk, lock.name(), buffer=10).finish(NoSync(disk))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir("Incoming") == ["smtp-1.lock"]


# ---- deaths


def _dead(disk: Disk, id: int, *, finished: bool) -> str:
    """A process that began a message, and was killed. Its door's name."""
    ready, told = os.pipe()
    if not (pid := os.fork()):
        name = DoorLock("smtp").name()
        writer = _receive(disk, name, id, buffer=10)
        if finished:
            writer.finish(NoSync(disk))
        os.write(told, name.encode())
        os._exit(9)
    os.waitpid(pid, 0)
    os.close(told)
    with open(ready, "rb") as file:
        return file.read().decode()


@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("finished", [True, False])
def test_recovery_removes_what_dead_doors_left_and_nothing_of_a_living_one(disk: Disk, lock: DoorLock, cold: bool, finished: bool) -> None:
    """A whole file too: its client was not answered, and sends it again."""
    living = _receive(disk, lock.name(), 8, buffer=10)
    assert _dead(disk, 9, finished=finished) == "smtp-2"
    assert sorted(os.listdir("Incoming")) == ["smtp-1.8.msg", "smtp-1.lock", "smtp-2.9.msg", "smtp-2.lock"]

    found = recovery.recover(Store(disk), cold=cold, decided=lambda *_: None)

    assert sorted(os.listdir("Incoming")) == ["smtp-1.8.msg", "smtp-1.lock"]
    assert (found.offers, found.foreign, found.highest) == ([], [], 9)
    living.finish(NoSync(disk))
    assert incoming.accept(disk, NoSync(disk), lock.name(), 8)
    assert ingest.whole(disk, 8)


def test_a_file_whose_lock_is_gone_is_a_dead_doors(disk: Disk) -> None:
    Path("Incoming/smtp-3.7.msg").write_bytes(b"half")

    assert incoming.remove_dead(disk).highest == 7
    assert os.listdir("Incoming") == []


def test_foreign_files_are_left_alone_and_named(disk: Disk) -> None:
    for name in ("notes", "7.msg", "smtp-1.msg", "smtp.7.msg"):
        Path("Incoming", name).touch()

    found = recovery.recover(Store(disk), cold=True, decided=lambda *_: None)

    assert sorted(found.foreign) == ["Incoming/7.msg", "Incoming/notes", "Incoming/smtp-1.msg", "Incoming/smtp.7.msg"]
    assert len(os.listdir("Incoming")) == 4


@pytest.mark.parametrize("name", ["smtp-1.7.msg", "smtp-2.lock"])
def test_what_is_no_file_is_set_aside(disk: Disk, name: str) -> None:
    os.makedirs(f"Incoming/{name}/x")

    recovery.recover(Store(disk), cold=True, decided=lambda *_: None)

    assert os.listdir("Incoming") == [f"odd.{name}"]
