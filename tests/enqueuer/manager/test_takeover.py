"""Demands on a queue manager that takes over: what its predecessor may not have heard of stays distrusted."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enqueuer import basedir
from enqueuer.config import schema as configs
from enqueuer.ipc.child import Birth
from enqueuer.ipc.scoreboard import Scoreboard
from enqueuer.lab.trial import Trial
from enqueuer.log import serverlog
from enqueuer.manager.blame import Blame
from enqueuer.manager.holds import Holds
from enqueuer.manager.schedule import Schedule
from enqueuer.manager.takeover import take_over
from enqueuer.policy.lanes import Lanes
from enqueuer.queue.directory import ingest
from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.messagestore import DirectoryStore
from enqueuer.queue.directory.ref import Taken, taken_of
from filterlink.wire.loop import Loop


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    basedir.create(tmp_path / "base")
    monkeypatch.chdir(tmp_path / "base")
    disk = Disk()
    yield disk
    disk.close()


def _take_over(disk: Disk, board: Scoreboard) -> Schedule:
    loop = Loop()
    schedule = Schedule(Lanes(1000, 0.5, 4))
    settings = configs.load(Path("Settings/enqueuer.toml").read_bytes())
    log: serverlog.LogHandler = None  # type: ignore[assignment]  # not used here
    birth = Birth("manager", 0, -1, 1, settings, 1, board, log)
    store = DirectoryStore(disk)
    blame = Blame(store, board, schedule, lambda _entry, _outcome: None, lambda _entry, _reason: None, lambda *_: None)
    take_over(store, birth, schedule, blame, Holds(loop, store, schedule, lambda *_: None))
    loop.close()
    return schedule


@pytest.mark.parametrize("killed_over_a_sync", [False, True])
def test_a_successors_successor_distrusts_too(disk: Disk, killed_over_a_sync: bool) -> None:
    """Killed over a sync, then a good sync, then killed again: the message file that was lost by the first is still not used."""
    board = Scoreboard()
    _take_over(disk, board)
    Path("Submitted/.taken/7.a.eml").write_bytes(b"To: b@b.example\n\nx\n")
    ingest.ingest(disk, 7, "Submitted/.taken/7.a.eml", "24-11-2026 10:00:00", "h")
    if killed_over_a_sync:
        board.syncing().__enter__()  # and never left

    first = _take_over(disk, board).entries[7]
    with board.syncing():
        pass
    second = _take_over(disk, board).entries[7]

    assert (first.ingested, second.ingested) == (not killed_over_a_sync, not killed_over_a_sync)
    stamp = disk.stamp("Submitted/.taken/7.a.eml")
    assert stamp is not None
    assert taken_of(first.ref) == taken_of(second.ref) == Taken("7.a.eml", stamp)


@pytest.mark.parametrize("counted", [False, True])
def test_a_message_that_was_moved_to_its_place_is_counted_once(disk: Disk, counted: bool) -> None:
    """No file tells a successor of it: the board does, whether its predecessor died before or after the total rose."""
    board = Scoreboard()
    _take_over(disk, board)
    board.decide(7, "enqueued")
    board.moving = 7
    if counted:
        board.announce(7, "enqueued")
        board.add("enqueued")

    _take_over(disk, board)
    _take_over(disk, board)

    assert board.total("enqueued") == board.total("received") == 1


def test_a_message_that_was_not_moved_yet_is_offered_again(disk: Disk) -> None:
    """Its drop is gone, its file stands: nothing is decided."""
    board = Scoreboard()
    _take_over(disk, board)
    Path("Queue/7.msg").write_bytes(b"P I x <>\nO L\n\nx\n")
    board.decide(7, "enqueued")
    board.moving = 7

    schedule = _take_over(disk, board)

    assert list(schedule.entries) == [7]
    assert board.total("enqueued") == 0


@pytest.mark.parametrize("risen", [False, True])
def test_a_batch_of_which_one_was_being_counted_is_counted_once(disk: Disk, risen: bool) -> None:
    """With `each` several outcomes are decided at once: the one announced is counted anew, and wipes out no other's count."""
    board = Scoreboard()
    _take_over(disk, board)
    for id in (5, 9):
        Path(f"Queue/{id}.1.done").write_bytes(b"x")
        board.decide(id, "enqueued")
    board.announce(9, "enqueued")
    if risen:
        board.add("enqueued")

    _take_over(disk, board)
    _take_over(disk, board)

    assert board.total("enqueued") == board.total("received") == 2


@pytest.mark.parametrize("published", [False, True])
def test_a_message_that_was_put_on_hold_has_not_ended(disk: Disk, published: bool) -> None:
    """It is present, and in no total. The queue manager died before or after it forgot the message."""
    board = Scoreboard()
    _take_over(disk, board)
    board.decide(7, "on_hold")
    Path("Hold/7.msg").write_bytes(b"x")
    Path("Hold/7.why").write_text("{}")
    if not published:
        Path("Queue/7.1.done").write_bytes(b"x")

    schedules = [_take_over(disk, board) for _ in range(2)]

    assert [list(schedule.on_hold) for schedule in schedules] == [[7], [7]]
    assert {name: count for name, count in board.totals().items() if count} == {"received": 1}


def test_a_released_message_has_its_last_disposition(disk: Disk) -> None:
    """It was on hold a short time before: the scoreboard has both decisions."""
    board = Scoreboard()
    _take_over(disk, board)
    board.decide(7, "on_hold")
    board.decide(7, "discarded")
    Path("Queue/7.2.done").write_bytes(b"x")

    _take_over(disk, board)

    assert {name: count for name, count in board.totals().items() if count} == {"received": 1, "discarded": 1}


@pytest.mark.parametrize("kind", ["folder", "FIFO"])
def test_an_engine_starts_whatever_has_the_name_of_a_file_of_ours(
    trials: Callable[[str], Trial], config: Callable[..., str], mail: Callable[..., bytes], kind: str
) -> None:
    """It is named in the log, once, and moved out of the way; the queue manager does not die of it, and mail goes on."""
    trial = trials(config())
    odd = [f"Queue/{name}" for name in ("7.msg", "8.tmp", "9.1.done", ".ids", ".ids.tmp", ".attempts", ".attempts.tmp")]
    for path in (*odd, "Staged/7.1.OUT", "Submitted/.taken/10.a.eml", "Quarantine/7.why", "Bad/7.why"):
        if kind == "folder":
            (trial.base / path / "x").mkdir(parents=True)
        else:
            os.mkfifo(trial.base / path)
    with trial:
        trial.drop("a", mail("a"))
        trial.wait(trial.outbound, "it is enqueued")
        assert len(trial.pids("queue manager")) == 1
        log = trial.log()
    assert log.count("is not a file: it was renamed") == len(odd) + 2
    assert "queue manager" not in "".join(line for line in log.splitlines() if "ended" in line)
