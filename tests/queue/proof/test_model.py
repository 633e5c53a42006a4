"""Every interleaving of the store's own steps with kills, power cuts, consumers and changed minds: nothing lost, nothing twice.

And the checker checked: each wrong order that DESIGN.md names is tried here, and must come to a wrong end.
"""

import sys
from collections.abc import Collection, Iterable, Sequence

import pytest

from enqueuer.queue.directory import ingest, names
from enqueuer.queue.directory.disk import DiskPort
from enqueuer.queue.directory.settle import DirectorySettlement
from enqueuer.queue.directory.store import Store, drop_path
from enqueuer.queue.directory.sync import Change, EachSync
from enqueuer.queue.port import Decision
from enqueuer.queue.proof.model import explore
from enqueuer.queue.proof.scenario import ModelEntry, Scenario
from enqueuer.queue.proof.world import FaultBounds, World, begin


@pytest.mark.parametrize(
    "bounds",
    [
        FaultBounds(kills=2, cuts=0, waits=0),
        FaultBounds(kills=1, cuts=1, waits=1),
        FaultBounds(kills=0, cuts=2, waits=1),
        FaultBounds(kills=0, cuts=1, waits=1, fails=1),
        FaultBounds(kills=1, cuts=0, waits=0, writes=1),
        FaultBounds(kills=0, cuts=1, waits=1, writes=1),
        FaultBounds(kills=0, cuts=0, waits=1, writes=2),
        pytest.param(FaultBounds(kills=1, cuts=0, waits=1, writes=1), marks=pytest.mark.storm),
        pytest.param(FaultBounds(kills=0, cuts=1, waits=1, writes=2), marks=pytest.mark.storm),
        pytest.param(FaultBounds(kills=1, cuts=1, waits=0, fails=1), marks=pytest.mark.storm),
        pytest.param(FaultBounds(kills=1, cuts=1, waits=1, fails=1), marks=pytest.mark.storm),
        pytest.param(FaultBounds(kills=2, cuts=1, waits=1), marks=pytest.mark.storm),
        pytest.param(FaultBounds(kills=1, cuts=2, waits=2), marks=pytest.mark.storm),
        pytest.param(FaultBounds(kills=0, cuts=2, waits=1, fails=2), marks=pytest.mark.storm),
        pytest.param(FaultBounds(kills=1, cuts=1, waits=1, writes=1), marks=pytest.mark.storm),
        pytest.param(FaultBounds(kills=2, cuts=0, waits=0, writes=1), marks=pytest.mark.storm),
        pytest.param(FaultBounds(kills=0, cuts=1, waits=1, fails=1, writes=1), marks=pytest.mark.storm),
    ],
    ids=str,
)
def test_a_message_comes_to_one_fate_whatever_happens(bounds: FaultBounds) -> None:
    """Its outputs whole and once each, nothing left behind, and no disposition that no verdict gave it."""
    report = explore(Scenario(), begin(bounds))

    print(f"{bounds}: {report.worlds} worlds")
    assert report.wrong == {}
    assert not report.cut_short


BOTH = [
    FaultBounds(kills=1, cuts=1, waits=0),
    FaultBounds(kills=0, cuts=2, waits=1),
    pytest.param(FaultBounds(kills=1, cuts=1, waits=1), marks=pytest.mark.storm),
]
"""For those that differ from the shipped scenario in one thing."""


class InSteps(Scenario):
    """`durability = "each"`: every file and folder by itself."""

    def store(self, disk: DiskPort) -> Store:
        return Store(disk, EachSync(disk))


@pytest.mark.parametrize("bounds", BOTH, ids=str)
def test_what_is_synced_file_by_file_comes_to_one_fate_too(bounds: FaultBounds) -> None:
    """No file is forgotten: here one that was not synced by name is broken by a cut."""
    report = explore(InSteps(), begin(bounds))

    assert report.wrong == {}
    assert not report.cut_short


class Staging(Scenario):
    """Every output is staged, as where it differs from the message file."""

    moves = False


@pytest.mark.parametrize("bounds", BOTH, ids=str)
def test_what_is_staged_comes_to_one_fate_too(bounds: FaultBounds) -> None:
    """A single module as well: a hard link, when the message was changed for nobody."""
    report = explore(Staging(), begin(bounds))

    assert report.wrong == {}
    assert not report.cut_short


class Splitting(Scenario):
    """Decisions with new messages and with holds; what is on hold is released."""

    splits = True


class SplittingInSteps(Splitting):
    def store(self, disk: DiskPort) -> Store:
        return Store(disk, EachSync(disk))


@pytest.mark.parametrize("scenario", [Splitting, SplittingInSteps])
@pytest.mark.parametrize(
    "bounds",
    [
        FaultBounds(kills=1, cuts=0, waits=1),
        FaultBounds(kills=0, cuts=1, waits=1),
        FaultBounds(kills=1, cuts=1, waits=0),
        pytest.param(FaultBounds(kills=2, cuts=0, waits=1), marks=pytest.mark.storm),
        pytest.param(FaultBounds(kills=1, cuts=1, waits=1), marks=pytest.mark.storm),
        pytest.param(FaultBounds(kills=0, cuts=2, waits=1), marks=pytest.mark.storm),
        pytest.param(FaultBounds(kills=0, cuts=1, waits=0, fails=1), marks=pytest.mark.storm),
    ],
    ids=str,
)
def test_each_new_message_and_hold_has_one_disposition(scenario: type[Scenario], bounds: FaultBounds) -> None:
    """A rest is there if and only if its first message was decided so; a message on hold comes back."""
    report = explore(scenario(), begin(bounds))

    print(f"{bounds}: {report.worlds} worlds")
    assert report.wrong == {}
    assert not report.cut_short


# ---- wrong orders


class _NoSync(DirectorySettlement[Decision]):
    def sync_staged(self, batch: Sequence[Decision], others: Collection[str]) -> None: ...


class NoSync(Staging):
    order = _NoSync


class _CommitBeforeSync(DirectorySettlement[Decision]):
    def sync_staged(self, batch: Sequence[Decision], others: Collection[str]) -> None:
        for decision in batch:
            super().commit(decision)
        self.store.disk.sync()

    def commit(self, decision: Decision) -> None: ...


class CommitBeforeSync(Staging):
    order = _CommitBeforeSync


class _SyncAfterAll(_NoSync):
    def forget(self, decision: Decision) -> None:
        super().forget(decision)
        self.store.disk.sync()


class SyncAfterAll(Staging):
    order = _SyncAfterAll


class _PublishBeforeCommit(DirectorySettlement[Decision]):
    def commit(self, decision: Decision) -> None:
        self.store.finish(decision.id, decision.n, None, decision.places or ())
        super().commit(decision)


class PublishBeforeCommit(Staging):
    order = _PublishBeforeCommit


class _ForgetBeforePublish(DirectorySettlement[Decision]):
    def publish(self, decision: Decision) -> None:
        super().forget(decision)
        super().publish(decision)

    def forget(self, decision: Decision) -> None: ...


class ForgetBeforePublish(Staging):
    order = _ForgetBeforePublish


class _DropBeforeSync(DirectorySettlement[Decision]):
    def sync_staged(self, batch: Sequence[Decision], others: Collection[str]) -> None:
        for decision in batch:
            if decision.places is not None:
                self.release_drop(decision)
        super().sync_staged(batch, others)


class DropBeforeSync(Scenario):
    order = _DropBeforeSync


class _DropBeforeHeldIsDurable(DirectorySettlement[Decision]):
    def sync_staged(self, batch: Sequence[Decision], others: Collection[str]) -> None:
        super().sync_staged([decision for decision in batch if decision.places is not None], others)


class DropBeforeHeldIsDurable(Scenario):
    order = _DropBeforeHeldIsDurable


class _PublishesAll(Store):
    def finish(self, id: int, n: int, drop: str | None, places: Iterable[str]) -> None:
        super().finish(id, n, drop, places)
        for name in self.disk.names("Staged"):
            found = names.parse_staged(name)
            if found and found.id == id:
                self.publish(id, found.n, found.place)


class _NeverWipes(Staging):
    """What the death of a processor leaves is left there."""

    def put_off(self, disk: DiskPort, id: int) -> bool:
        return disk.stamp(ingest.queue_path(id)) is not None


class PublishWhatAnotherStaged(_NeverWipes):
    def store(self, disk: DiskPort) -> Store:
        return _PublishesAll(disk)


class WipeBeforeDone(Staging):
    def recover(self, disk: DiskPort, cold: bool) -> list[ModelEntry] | None:
        if not cold:
            for name in disk.names("Staged"):
                disk.unlink(f"Staged/{name}")
        return super().recover(disk, cold)


class _EexistIsDone(Store):
    def publish(self, id: int, n: int, place: str) -> None:
        staged = "Staged/" + names.staged(id, n, place)
        try:
            self.disk.rename_new(staged, names.final(id, place))
        except FileExistsError:
            self.disk.unlink(staged)
        except FileNotFoundError:
            pass


class EexistIsDone(Staging):
    def store(self, disk: DiskPort) -> Store:
        return _EexistIsDone(disk)


class _MoveBeforeSync(DirectorySettlement[Decision]):
    def sync_staged(self, batch: Sequence[Decision], others: Collection[str]) -> None:
        for decision in batch:
            if decision.moved:
                super().move(decision, "OUT")
        super().sync_staged([decision for decision in batch if not decision.moved], others)

    def move(self, decision: Decision, place: str) -> None: ...


class MoveBeforeSync(Scenario):
    order = _MoveBeforeSync


class _DropLast(DirectorySettlement[Decision]):
    def move(self, decision: Decision, place: str) -> None:
        self.store.move(decision.id, place)
        self.release_drop(decision)


class MoveBeforeTheDropGoes(Scenario):
    order = _DropLast


class FreeOnAPipesEnd(Staging):
    waits_for_reaped = False


class _SyncsNoOutputs(EachSync):
    def staged(self, changes: Sequence[Change], folders: Collection[str] = ()) -> None:
        super().staged([change._replace(places=()) for change in changes], folders)


class SyncOnlyTheMessage(Scenario):
    """With `durability = "each"`."""

    def store(self, disk: DiskPort) -> Store:
        return Store(disk, _SyncsNoOutputs(disk))


class ForgetFailedSyncs(Scenario):
    remembers = False


class TrustAfterACut(Scenario):
    """Every recovery as if only the queue manager were new."""

    def recover(self, disk: DiskPort, cold: bool) -> list[ModelEntry] | None:
        found = super().recover(disk, cold=False)
        disk.sync()
        return found


class TakeAnyMessageFile(Scenario):
    """A processor died: whatever lies in Queue/ is what it had ingested."""

    knows_what_it_wrote = False


class _NoComparison(DirectorySettlement[Decision]):
    def compare(self, decision: Decision) -> bool:
        return False


class NoComparison(Scenario):
    order = _NoComparison


class _CompareBeforeSync(DirectorySettlement[Decision]):
    def sync_staged(self, batch: Sequence[Decision], others: Collection[str]) -> None:
        self.seen = {decision.id: super(_CompareBeforeSync, self).compare(decision) for decision in batch}
        super().sync_staged(batch, others)

    def compare(self, decision: Decision) -> bool:
        return self.seen[decision.id]


class CompareBeforeSync(Scenario):
    """Whatever is written while the sync runs is not seen."""

    order = _CompareBeforeSync


class _ReleaseWithoutComparison(DirectorySettlement[Decision]):
    def compare(self, decision: Decision) -> bool:
        return decision.places is not None and super().compare(decision)


class ReleaseWithoutComparison(Scenario):
    order = _ReleaseWithoutComparison


class TrustWhatAnyDropBecame(Scenario):
    """A new queue manager takes a whole message file for what its drop is now."""

    def recover(self, disk: DiskPort, cold: bool) -> list[ModelEntry] | None:
        for name in disk.names("Submitted/.taken"):
            if (taken := names.parse_taken(name.encode())) and disk.stamp(ingest.queue_path(taken.id)):
                disk.mark(ingest.queue_path(taken.id), disk.changes(drop_path(name)))
        return super().recover(disk, cold)


class GiveBackBeforeTheMessageGoes(Scenario):
    """The drop is free, and what was made of it is still there."""

    def store(self, disk: DiskPort) -> Store:
        return _GivesBackFirst(disk)


class _GivesBackFirst(Store):
    def give_back(self, id: int, drop: str) -> bytes | None:
        self.disk.rename_new(drop_path(drop), "Submitted/" + drop.partition(".")[2])
        self.wipe({id: sys.maxsize})
        self.undo_ingest(id)
        return b""


class _NewBeforeCommit(DirectorySettlement[Decision]):
    def commit(self, decision: Decision) -> None:
        for place in decision.places or ():
            if names.parse_new(place):
                self.store.publish(decision.id, decision.n, place)
        super().commit(decision)


class NewMessagesBeforeTheCommit(Splitting):
    order = _NewBeforeCommit


class _NewAfterForget(DirectorySettlement[Decision]):
    def publish(self, decision: Decision) -> None:
        self.store.finish(decision.id, decision.n, "1.a.eml", [place for place in decision.places or () if not names.parse_new(place)])

    def forget(self, decision: Decision) -> None:
        super().forget(decision)
        self.store.finish(decision.id, decision.n, None, [place for place in decision.places or () if names.parse_new(place)])


class NewMessagesAfterTheEnd(Splitting):
    order = _NewAfterForget


class ForgetNewMessages(Splitting):
    """A recovery offers only what was in the queue before it carried out a decision."""

    def recover(self, disk: DiskPort, cold: bool) -> list[ModelEntry] | None:
        before = set(disk.names("Queue"))
        found = super().recover(disk, cold)
        return found and [entry for entry in found if names.queue(entry.id) in before or entry.drop]


class _ReleaseAtOnce(DirectorySettlement[Decision]):
    def forget(self, decision: Decision) -> None:
        if "hold" in (decision.places or ()):
            self.store.disk.rename(names.final(decision.id, "hold"), ingest.queue_path(decision.id))
        super().forget(decision)


class ReleaseBeforeTheEnd(Splitting):
    """A message goes back into the queue while it still has its .done."""

    order = _ReleaseAtOnce


CUT = FaultBounds(kills=0, cuts=1, waits=0)
KILL = FaultBounds(kills=1, cuts=0, waits=0)
STRAY = ("Outbound/OUT/1.msg", b"what stood there when the power was cut")
WRONG: list[tuple[type[Scenario], World, str]] = [
    (NoSync, begin(CUT), "one module, but leaves OUT (broken)"),
    (CommitBeforeSync, begin(CUT), "one module, but leaves OUT (broken)"),
    (SyncAfterAll, begin(CUT), "one module, but leaves OUT (broken)"),
    (PublishBeforeCommit, begin(KILL), "discarded, but leaves OUT"),
    (ForgetBeforePublish, begin(KILL), "one module, but leaves nothing"),
    (DropBeforeSync, begin(CUT), "undecided, but leaves Bad/msg (broken), Bad/why (broken)"),
    (DropBeforeHeldIsDurable, begin(CUT._replace(waits=1)), "undecided, but leaves Bad/msg (broken), Bad/why (broken)"),
    (PublishWhatAnotherStaged, begin(KILL), "quarantined, but leaves OUT, Quarantine/msg, Quarantine/why"),
    (WipeBeforeDone, begin(KILL), "one module, but leaves nothing"),
    (EexistIsDone, begin(KILL, [STRAY]), "one module, but leaves OUT (broken)"),
    (MoveBeforeSync, begin(CUT), "one module, but leaves OUT (broken)"),
    (MoveBeforeTheDropGoes, begin(KILL), "one module and one module, but leaves OUT, OUT"),
    (FreeOnAPipesEnd, begin(KILL), "stays behind: Queue/1.msg"),
    (TrustAfterACut, begin(CUT), "one module, but leaves OUT (broken)"),
    (ForgetFailedSyncs, begin(CUT._replace(fails=1)), "one module, but leaves OUT (broken)"),
    (SyncOnlyTheMessage, begin(CUT), "two modules, but leaves OUT (broken), SMTP"),
    (NoComparison, begin(FaultBounds(kills=0, cuts=0, waits=0, writes=1)), "one module, but leaves OUT (cut)"),
    (CompareBeforeSync, begin(FaultBounds(kills=0, cuts=0, waits=0, writes=1)), "one module, but leaves OUT (cut)"),
    (ReleaseWithoutComparison, begin(FaultBounds(kills=0, cuts=0, waits=1, writes=1)), "one module, but leaves OUT (cut)"),
    (TrustWhatAnyDropBecame, begin(KILL._replace(writes=1)), "one module, but leaves OUT (cut)"),
    (GiveBackBeforeTheMessageGoes, begin(KILL._replace(writes=1)), "one module and one module, but leaves OUT (cut), OUT"),
    (NewMessagesBeforeTheCommit, begin(KILL), "stays behind: Queue/51.msg"),
    (NewMessagesAfterTheEnd, begin(KILL), "a rest waits, but leaves OUT"),
    (ForgetNewMessages, begin(KILL), "stays behind: Queue/51.msg"),
    (ReleaseBeforeTheEnd, begin(KILL._replace(waits=1)), "stays behind: Queue/1.msg"),
    (TakeAnyMessageFile, begin(FaultBounds(kills=1, cuts=1, waits=0, fails=1)), "one module, but leaves OUT (broken)"),
]


@pytest.mark.parametrize(("scenario", "start", "end"), WRONG, ids=[scenario.__name__ for scenario, _, _ in WRONG])
def test_a_wrong_order_comes_to_a_wrong_end(scenario: type[Scenario], start: World, end: str) -> None:
    """As few blows as one are enough for each; that the right order stands them all is shown above."""
    wrong = explore(scenario(), start, until=end).wrong

    assert end in wrong
    print(f"{end}:\n    " + "\n    ".join(wrong[end]))


def test_a_file_at_an_outputs_place_is_replaced_by_the_right_order() -> None:
    """What EexistIsDone comes to, from the same start."""
    assert "one module, but leaves OUT (broken)" not in explore(Scenario(), begin(KILL, [STRAY])).wrong


def test_a_drop_may_go_as_soon_as_its_message_file_is_durable() -> None:
    """Before the commit too, if it is after the sync: that is a deferred message (state 10). So the sync is what counts."""

    class Early(DirectorySettlement[Decision]):
        def sync_staged(self, batch: Sequence[Decision], others: Collection[str]) -> None:
            super().sync_staged(batch, others)
            for decision in batch:
                self.release_drop(decision)

    class DropAfterSync(Scenario):
        order = Early

    assert explore(DropAfterSync(), begin(FaultBounds(kills=1, cuts=1, waits=0))).wrong == {}
