"""A door as a party of the model: what was answered 2xx is never lost nor doubled; what was not is there whole, or not at all."""

from collections.abc import Iterable

import pytest

from enqueuer.queue.directory import incoming, ingest, names
from enqueuer.queue.directory.disk import DiskPort
from enqueuer.queue.directory.store import Store
from enqueuer.queue.directory.sync import EachSync, GroupSync, NoSync
from enqueuer.queue.proof.doors import DOOR, ENVELOPE, DoorDriver, begin_at_door
from enqueuer.queue.proof.model import explore
from enqueuer.queue.proof.scenario import MAIL, ModelEntry, straight
from enqueuer.queue.proof.simdisk import SimulatedDisk
from enqueuer.queue.proof.world import FaultBounds


@pytest.mark.parametrize(
    "bounds",
    [
        FaultBounds(kills=1, cuts=1, waits=0),
        FaultBounds(kills=0, cuts=2, waits=1),
        FaultBounds(kills=0, cuts=1, waits=0, fails=1),
        pytest.param(FaultBounds(kills=2, cuts=0, waits=0), marks=pytest.mark.storm),
        pytest.param(FaultBounds(kills=1, cuts=1, waits=1), marks=pytest.mark.storm),
        pytest.param(FaultBounds(kills=1, cuts=1, waits=0, fails=1), marks=pytest.mark.storm),
        pytest.param(FaultBounds(kills=2, cuts=1, waits=0), marks=pytest.mark.storm),
        pytest.param(FaultBounds(kills=0, cuts=2, waits=1, fails=2), marks=pytest.mark.storm),
    ],
    ids=str,
)
def test_an_answered_message_comes_to_one_fate_whatever_happens(bounds: FaultBounds) -> None:
    report = explore(DoorDriver(), begin_at_door(bounds))

    print(f"{bounds}: {report.worlds} worlds")
    assert report.wrong == {}
    assert not report.cut_short


class InSteps(DoorDriver):
    """`durability = "each"`: every file and folder by itself."""

    def store(self, disk: DiskPort) -> Store:
        return Store(disk, EachSync(disk))


class Staging(DoorDriver):
    """Every output is staged."""

    moves = False


@pytest.mark.parametrize("scenario", [InSteps, Staging])
@pytest.mark.parametrize(
    "bounds",
    [FaultBounds(kills=0, cuts=1, waits=0), FaultBounds(kills=1, cuts=0, waits=0), pytest.param(FaultBounds(), marks=pytest.mark.storm)],
    ids=str,
)
def test_in_the_other_ways_too(scenario: type[DoorDriver], bounds: FaultBounds) -> None:
    report = explore(scenario(), begin_at_door(bounds))

    assert report.wrong == {}
    assert not report.cut_short


def test_both_ways_in_make_the_same_file() -> None:
    """The model compares the outputs of a door's message with those of a drop."""
    simdisk = SimulatedDisk()
    scenario = DoorDriver()
    assert scenario.receive(simdisk, 1) == "asks"
    assert scenario.accept(simdisk, 1) == "taken"

    assert straight("one module") == {"Outbound/OUT/1.msg": simdisk.state.read()["Queue/1.msg"]}


# ---- wrong orders


class _Unsynced(DoorDriver):
    def receive(self, disk: DiskPort, id: int) -> str:
        self.write(disk, id).finish(NoSync(disk))
        return "asks"


class RenameBeforeSync(_Unsynced):
    """One sync for the file and its name, after the rename."""


class AnswerBeforeSync(DoorDriver):
    """The file is durable, and its name is not."""

    def accept(self, disk: DiskPort, id: int) -> str:
        incoming.accept(disk, NoSync(disk), DOOR, id)
        return "taken"


class AnswerBeforeRename(DoorDriver):
    """The file is whole and durable in Incoming/: is that enough?"""

    def receive(self, disk: DiskPort, id: int) -> str:
        super().receive(disk, id)
        return "answered"


class AskBeforeTheEnd(DoorDriver):
    """The queue manager takes the file before it has its O line, and does not look."""

    def receive(self, disk: DiskPort, id: int) -> str:
        self.write(disk, id)
        return "asks"

    def accept(self, disk: DiskPort, id: int) -> str:
        disk.rename_new(f"Incoming/{names.incoming(DOOR, id)}", ingest.queue_path(id))
        disk.sync()
        return "taken"


class RecoveryRemovesALivingDoorsFile(DoorDriver):
    def recover(self, disk: DiskPort, cold: bool) -> list[ModelEntry] | None:
        self.remove_dead(disk)
        return super().recover(disk, cold)

    def remove_dead(self, disk: DiskPort) -> None:
        for name in disk.names("Incoming"):
            disk.unlink(f"Incoming/{name}")


class TakeADeadDoorsFile(DoorDriver):
    """It is whole and durable, and its client has no answer."""

    def recover(self, disk: DiskPort, cold: bool) -> list[ModelEntry] | None:
        path = f"Incoming/{names.incoming(DOOR, 1)}"
        if not disk.held("Incoming/" + names.door_lock(DOOR)) and ingest.finished(disk, path):
            disk.rename(path, ingest.queue_path(1))
        return super().recover(disk, cold)


class OfferWithoutTheCheck(RenameBeforeSync):
    """The check is what keeps half a message from being delivered where an order is wrong."""

    def recover(self, disk: DiskPort, cold: bool) -> list[ModelEntry] | None:
        if not (alone := list(_alone(disk))):
            return super().recover(disk, cold)
        incoming.remove_dead(disk)
        disk.sync()
        return [ModelEntry(id, None, ingested=True) for id in alone]


class OfferAHalfOneToANewQueueManager(DoorDriver):
    """The door writes into Queue/ itself, and a recovery while it lives does not look whether the file is whole."""

    def write(self, disk: DiskPort, id: int) -> incoming.Writer:
        return incoming.Writer(disk, ingest.queue_path(id), ENVELOPE, 0)

    def receive(self, disk: DiskPort, id: int) -> str:
        writer = self.write(disk, id)
        writer.write(MAIL[:300])
        writer.write(MAIL[300:])
        writer.finish(GroupSync(disk))
        return "asks"

    def accept(self, disk: DiskPort, id: int) -> str:
        return "taken"

    def recover(self, disk: DiskPort, cold: bool) -> list[ModelEntry] | None:
        return OfferWithoutTheCheck().recover(disk, cold)


class MissingIsAccepted(RecoveryRemovesALivingDoorsFile):
    """A file that is not there was accepted before: nobody else takes it."""

    def accept(self, disk: DiskPort, id: int) -> str:
        answer = super().accept(disk, id)
        return "there" if answer == "refused" else answer


def _alone(disk: DiskPort) -> Iterable[int]:
    found = (names.parse_queue(name) for name in disk.names("Queue"))
    return (each.id for each in found if each and each.kind == "msg")


CUT = FaultBounds(kills=0, cuts=1, waits=0)
KILL = FaultBounds(kills=1, cuts=0, waits=0)
BAD = "undecided, but leaves Bad/msg (broken), Bad/why (broken)"
WRONG: list[tuple[type[DoorDriver], FaultBounds, str]] = [
    (RenameBeforeSync, CUT, BAD),
    (AnswerBeforeSync, CUT, "undecided, but leaves nothing"),
    (AnswerBeforeRename, KILL, "undecided, but leaves nothing"),
    (AskBeforeTheEnd, KILL._replace(kills=0), "one module, but leaves OUT (broken)"),
    (RecoveryRemovesALivingDoorsFile, KILL, "a living door is refused"),
    (TakeADeadDoorsFile, KILL, "taken from a dead door, and its client sends it again"),
    (MissingIsAccepted, KILL, "undecided, but leaves nothing"),
    (OfferAHalfOneToANewQueueManager, KILL, "one module, but leaves OUT (broken)"),
    (OfferWithoutTheCheck, CUT, "one module, but leaves OUT (broken)"),
]


@pytest.mark.parametrize(("scenario", "bounds", "end"), WRONG, ids=[scenario.__name__ for scenario, _, _ in WRONG])
def test_a_wrong_order_comes_to_a_wrong_end(scenario: type[DoorDriver], bounds: FaultBounds, end: str) -> None:
    """One blow is enough for each."""
    wrong = explore(scenario(), begin_at_door(bounds), until=end).wrong

    assert end in wrong
    print(f"{end}:\n    " + "\n    ".join(wrong[end]))


def test_the_check_delivers_no_half_message() -> None:
    """What OfferWithoutTheCheck comes to, from the same wrong order."""
    assert list(explore(RenameBeforeSync(), begin_at_door(CUT)).wrong) == [BAD]
