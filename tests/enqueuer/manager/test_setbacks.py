"""Demands on what comes to nothing: the disk may refuse everything, and the message is tried again."""

import time
from pathlib import Path

import pytest

from enqueuer.ipc import frames
from enqueuer.ipc.scoreboard import Scoreboard
from enqueuer.manager.blame import AGAIN, Blame
from enqueuer.manager.manager import log
from enqueuer.manager.pauses import Machine
from enqueuer.manager.schedule import Entry, Schedule
from enqueuer.manager.setbacks import Setbacks
from enqueuer.policy.lanes import Lanes
from enqueuer.queue.directory import ingest
from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.store import Store

DEFERRED = frames.Deferred(7, 1, "Judge", "cannot read it", (), (0, 0), rule="scan everything")


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder in ("Queue", "Staged", "Submitted/.taken"):
        Path(folder).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def schedule() -> Schedule:
    made = Schedule(Lanes(1 << 20, 0.5, 4))
    made.add(Entry(7, None, 10, 0.0, ingested=True, counted=True))
    assert made.next() is made.entries[7]
    return made


def test_giving_up_waits_for_the_disk(base: Path, schedule: Schedule) -> None:
    """Nothing can be staged: the message is put off, and given up when there is room again."""
    (base / "Queue/7.msg").write_bytes(b"message")
    settled = list[frames.Outcome]()
    put_off = list[float]()

    def later(entry: Entry, seconds: float, reason: str) -> None:
        put_off.append(seconds)
        schedule.defer(entry, "", 0.0, reason=reason)

    blame = Blame(Disk(), Scoreboard(), schedule, lambda _, outcome: settled.append(outcome), lambda *_: None, later)
    blame.most = 1
    (base / "Staged").rename(base / "away")
    blame.refused(schedule.entries[7], DEFERRED, "bad", 1.0)
    assert (settled, put_off) == ([], [AGAIN])

    (base / "away").rename(base / "Staged")
    schedule.release_due(1.0)
    entry = schedule.next()
    assert entry is not None
    assert not blame.admit(entry)
    assert [each.disposition for each in settled] == ["bad"]
    assert sorted(path.name.partition(".")[0] for path in (base / "Staged").iterdir()) == ["7", "7"]


def test_what_was_staged_goes_when_the_folder_can_be_read(base: Path, schedule: Schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second later. Up to the dispatch that came to nothing, and no later one's."""
    setbacks = Setbacks(Store(Disk()), schedule, Machine(log), Scoreboard())
    entry = schedule.entries[7]
    for n in (1, 2, 3):
        (base / f"Staged/7.{n}.OUT").touch()
    entry.n = 2
    (base / "Staged").rename(base / "away")
    setbacks.put_off(entry, 1.0)
    setbacks.wipe()
    (base / "away").rename(base / "Staged")
    later = time.monotonic() + 1.0
    monkeypatch.setattr(time, "monotonic", lambda: later)
    setbacks.wipe()

    assert [path.name for path in (base / "Staged").iterdir()] == ["7.3.OUT"]
    assert entry.state == "deferred"


def test_a_message_file_whose_drop_has_gone_is_never_unlinked(base: Path, schedule: Schedule) -> None:
    """It is all that is left of the message."""
    setbacks = Setbacks(Store(Disk()), schedule, Machine(log), Scoreboard())
    entry = schedule.entries[7]
    Path("Submitted/.taken/7.a.eml").write_bytes(b"To: b@b.example\n\ntext\n")
    ingest.ingest(Disk(), 7, "Submitted/.taken/7.a.eml", "01-01-2026 00:00:00", "a.example")
    Path("Submitted/.taken/7.a.eml").unlink()
    entry.drop = "7.a.eml"
    entry.ingested = False
    setbacks.refuse(entry, "it was removed before it could be read")

    assert Path("Queue/7.msg").exists()
    assert not entry.drop
    assert (entry.state, entry.ingested) == ("deferred", True)


def test_a_name_that_stays_keeps_no_other(base: Path, schedule: Schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    """It alone is tried again, a second later, and the folder is listed no more often."""
    disk = Disk()
    clock = [100.0]
    listed = list[str]()
    setbacks = Setbacks(Store(disk), schedule, Machine(log), Scoreboard())
    names = disk.names
    entries = [Entry(id, None, 10, 0.0, ingested=True, n=1) for id in (8, 9, 10)]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def counted(folder: str) -> list[str]:
        listed.append(folder)
        return sorted(names(folder))

    monkeypatch.setattr(disk, "names", counted)
    for entry in entries:
        schedule.add(entry)
        assert schedule.next() is entry
        (base / f"Staged/{entry.id}.1.OUT").touch()
        setbacks.put_off(entry, 1.0)
    (base / "Staged/8.1.OUT").unlink()
    (base / "Staged/8.1.OUT").mkdir()
    setbacks.wipe()
    assert [path.name for path in (base / "Staged").iterdir()] == ["8.1.OUT"]

    setbacks.wipe()
    assert listed == ["Staged"]
    (base / "Staged/9.1.OUT").touch()  # forgotten: it is gone
    clock[0] += 1.0
    setbacks.wipe()
    (base / "Staged/8.1.OUT").rmdir()
    (base / "Staged/8.1.OUT").touch()
    clock[0] += 1.0
    setbacks.wipe()
    clock[0] += 1.0
    setbacks.wipe()
    assert ([path.name for path in (base / "Staged").iterdir()], len(listed)) == (["9.1.OUT"], 3)
