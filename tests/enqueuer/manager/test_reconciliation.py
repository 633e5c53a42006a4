"""Demands on the conservation audit: silent while all is right, however busy; loud when a message is on one side only."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from enqueuer import basedir
from enqueuer.ipc.scoreboard import Scoreboard
from enqueuer.manager import reconciliation as audits
from enqueuer.manager.reconciliation import Reconciliation
from enqueuer.manager.schedule import Entry, Schedule
from enqueuer.policy.lanes import Lanes
from enqueuer.queue.directory.disk import Disk
from filterlink.wire.loop import Loop


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reconciliation]:
    basedir.create(tmp_path / "base")
    monkeypatch.chdir(tmp_path / "base")
    loop = Loop()
    disk = Disk()
    yield Reconciliation(loop, disk, Schedule(Lanes(1000, 0.5, 4)), Scoreboard())
    disk.close()
    loop.close()


def _message(audit: Reconciliation, id: int, *, here: bool = True, on_disk: bool = True) -> None:
    if here:
        audit._schedule.add(Entry(id, None, 10, 0.0, ingested=True, counted=True))
        audit._board.add("received")
    if on_disk:
        Path(f"Queue/{id}.msg").write_bytes(b"x")


def _run(audit: Reconciliation) -> None:
    for _ in audit.audit():
        pass


def test_all_is_right(audit: Reconciliation) -> None:
    """Messages that are here, a drop that waits, one that has left: nothing is unaccounted for."""
    for id in range(1, 20):
        _message(audit, id)
    Path("Submitted/.taken/30.a.eml").write_bytes(b"x")
    audit._schedule.add(Entry(30, "30.a.eml", 10, 0.0))
    audit._board.add("received")
    audit._board.add("enqueued")
    for _ in range(2):
        _run(audit)

    assert audit.unaccounted == 0


def test_one_side_only_is_told_at_the_second_look(audit: Reconciliation, caplog: pytest.LogCaptureFixture) -> None:
    """A file that nobody knows of, and a message whose file is gone."""
    caplog.set_level(logging.ERROR)
    _message(audit, 1, here=False)
    _message(audit, 2, on_disk=False)
    _run(audit)
    assert audit.unaccounted == 0
    _run(audit)

    assert audit.unaccounted == 2
    assert "1, 2" in caplog.text


def test_totals_that_do_not_add_up(audit: Reconciliation) -> None:
    _message(audit, 1)
    audit._board.add("received", 3)
    _run(audit)

    assert audit.unaccounted == 3


def test_what_comes_and_goes_meanwhile_is_no_fault(audit: Reconciliation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that leaves between two slices is on disk and not in the books, once."""
    monkeypatch.setattr(audits, "SLICE", 1)
    for round in (1, 2, 3):
        for id in range(10):
            _message(audit, 100 * round + id)
        slices = audit.audit()
        for id in range(10):
            next(slices, None)
            audit._schedule.remove(audit._schedule.entries[100 * round + id])
            audit._board.add("enqueued")
            Path(f"Queue/{100 * round + id}.msg").unlink()
        for _ in slices:
            pass

        assert audit.unaccounted == 0
