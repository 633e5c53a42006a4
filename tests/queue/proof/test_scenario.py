"""The order that the model explores is the engine's: the scenario and the engine's settler leave the same trail on a disk."""

from collections.abc import Iterator

import pytest

from enqueuer.ipc import frames
from enqueuer.ipc.scoreboard import Scoreboard
from enqueuer.manager import schedule
from enqueuer.manager.settler import Settler
from enqueuer.policy.lanes import Lanes
from enqueuer.queue.directory.disk import DiskPort
from enqueuer.queue.directory.store import Store
from enqueuer.queue.directory.sync import EachSync
from enqueuer.queue.proof import scenario
from enqueuer.queue.proof.simdisk import SimulatedDisk
from filterlink.wire.loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def _judged(verdict: str, drives: scenario.Scenario, *, changed: bool = False) -> tuple[SimulatedDisk, scenario.ModelEntry]:
    """A disk on which a processor has done its work."""
    simdisk = SimulatedDisk()
    simdisk.create(scenario.DROPPED, (scenario.MAIL,))
    drop, taken = drives.claim(simdisk, 1)
    entry = scenario.ModelEntry(1, drop, ingested=False, n=1, verdict=verdict, taken=taken)
    places = drives.process(simdisk, entry)
    if changed:
        simdisk.append(f"Submitted/.taken/{drop}", scenario.MORE)
    return simdisk, entry._replace(places=places) if isinstance(places, tuple) else entry


class _InSteps(scenario.Scenario):
    def store(self, disk: DiskPort) -> Store:
        return Store(disk, EachSync(disk))


def _engine(loop: Loop, store: Store, entry: scenario.ModelEntry, *, moved: bool) -> schedule.Entry | None:
    """Have the engine's settler do what is left; the message, if it is still in the queue."""
    board = Scoreboard()
    scheduled = schedule.Schedule(Lanes(1 << 20, 0.5, 4))
    settler = Settler(loop, store, board, scheduled, lambda *_: None)

    def give_back(given: schedule.Entry) -> None:
        store.give_back(given.id, given.drop or "")
        scheduled.remove(given)

    settler.give_back = give_back
    theirs = schedule.Entry(entry.id, entry.drop, 10, 0.0, ingested=True, taken=entry.taken)
    scheduled.add(theirs)
    assert scheduled.next() is theirs
    theirs.n = board.next_dispatch()
    held = entry.verdict == "deferred"
    settler.add(theirs, None if held else frames.Outcome(entry.id, theirs.n, "enqueued", entry.places, "", (0, 0), moved))
    for _ in range(1000):
        settler.pump()
        if not settler.busy:
            break
        loop.turn(0.01)
    settler.close()
    return theirs if scheduled.entries else None


@pytest.mark.parametrize("drives", [scenario.Scenario(), _InSteps()], ids=["group", "each"])
@pytest.mark.parametrize("verdict", [*scenario.VERDICTS, "deferred"])
@pytest.mark.parametrize("changed", [False, True])
def test_the_driver_does_what_the_settler_does(loop: Loop, verdict: str, drives: scenario.Scenario, changed: bool) -> None:
    """The same names are durable by the last sync, and the same names change after it, also where the writer of the drop went on."""
    model, entry = _judged(verdict, drives, changed=changed)
    engine, _ = _judged(verdict, drives, changed=changed)

    left = _engine(loop, drives.store(engine), entry, moved=drives.is_moved(engine, entry.places))
    assert (drives.hold(model, entry) is not changed) if verdict == "deferred" else drives.settle(model, entry)

    assert engine.state == model.state
    assert (scenario.DROPPED in model.state.names()) == (changed and verdict != "deferred")
    assert (left and left.drop) == (entry.drop if changed and verdict == "deferred" else None)
