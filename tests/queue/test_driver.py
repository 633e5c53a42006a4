"""The order that the model explores is the engine's: the driver and the engine's settler leave the same trail on a disk."""

from collections.abc import Iterator

import pytest

from enqueuer import frames, schedule
from enqueuer.board import Board
from enqueuer.queue import driver
from enqueuer.queue.disk import Port
from enqueuer.queue.store import Store
from enqueuer.queue.sync import Each
from enqueuer.queue.twin import Twin
from enqueuer.settler import Settler
from filterlink.loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def _judged(verdict: str, drives: driver.Driver) -> tuple[Twin, driver.Entry]:
    """A disk on which a processor has done its work."""
    twin = Twin()
    twin.create(driver.DROPPED, (driver.MAIL,))
    entry = driver.Entry(1, drives.claim(twin, 1), derived=False, n=1, verdict=verdict)
    places = drives.process(twin, entry)
    return twin, entry._replace(places=places) if isinstance(places, tuple) else entry


class _InSteps(driver.Driver):
    def store(self, disk: Port) -> Store:
        return Store(disk, Each(disk))


def _engine(loop: Loop, store: Store, entry: driver.Entry, *, moved: bool) -> None:
    """Have the engine's settler do what is left."""
    board, scheduled = Board(), schedule.Schedule(schedule.Lanes(1 << 20, 0.5, 4))
    settler = Settler(loop, store, board, scheduled, lambda *_: None)
    theirs = schedule.Entry(entry.id, entry.drop, 10, 0.0, derived=True)
    scheduled.add(theirs)
    assert scheduled.next() is theirs
    theirs.n = board.next_dispatch()
    held = entry.verdict == "held"
    settler.add(theirs, None if held else frames.Outcome(entry.id, theirs.n, "enqueued", entry.places, "", (0, 0), moved))
    for _ in range(1000):
        settler.pump()
        if not settler.busy:
            break
        loop.turn(0.01)
    settler.close()
    assert (theirs.drop is None) if held else (len(scheduled) == 0)


@pytest.mark.parametrize("drives", [driver.Driver(), _InSteps()], ids=["group", "each"])
@pytest.mark.parametrize("verdict", [*driver.VERDICTS, "held"])
def test_the_driver_does_what_the_settler_does(loop: Loop, verdict: str, drives: driver.Driver) -> None:
    """The same names are durable by the last sync, and the same names change after it, one after the other."""
    model, entry = _judged(verdict, drives)
    engine, _ = _judged(verdict, drives)

    _engine(loop, drives.store(engine), entry, moved=drives.is_moved(engine, entry.places))
    assert drives.hold(model, entry) if verdict == "held" else drives.settle(model, entry)

    assert engine.state == model.state
    assert model.state.log
