"""Demands on the end of a message: nothing is published before its sync, and a failed sync costs a repetition and nothing else."""

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from enqueuer import basedir
from enqueuer.ipc import frames
from enqueuer.ipc.scoreboard import Scoreboard
from enqueuer.manager.schedule import Entry, Schedule
from enqueuer.manager.settler import Settler
from enqueuer.policy.lanes import Lanes
from enqueuer.queue.directory import sync
from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.durability import Durability
from enqueuer.queue.directory.store import Store
from filterlink.wire.loop import Loop

STAMP = (1, 1)


class _Disk(Disk):
    """A real disk on which a sync of a named folder, or of everything, can fail."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: str | None = None
        self.log: list[str] = []

    def sync(self) -> None:
        self._sync("all")

    def fsync(self, path: str) -> None:
        self._sync(path)

    def fsync_all(self, paths: Sequence[str]) -> None:
        self._sync("files")

    def rename(self, source: str, target: str) -> None:
        self.log.append(f"{source} -> {target}")
        super().rename(source, target)

    def unlink(self, path: str) -> bool:
        self.log.append(f"unlink {path}")
        return super().unlink(path)

    def _sync(self, what: str) -> None:
        self.log.append(f"sync {what}")
        if self.broken == what:
            raise OSError(errno.EIO, "Input/output error")


class _Bench:
    def __init__(self, durability: Durability) -> None:
        self.loop = Loop()
        self.board = Scoreboard()
        self.disk = _Disk()
        self.schedule = Schedule(Lanes(1 << 20, 0.5, 4))
        self.store = Store(self.disk, sync.start(self.disk, durability))
        self.put_off: list[tuple[int, float]] = []
        self.settler = Settler(self.loop, self.store, self.board, self.schedule, self._put_off)

    def _put_off(self, entry: Entry, seconds: float) -> None:
        self.store.wipe({entry.id: entry.n})
        self.put_off.append((entry.id, seconds))
        self.schedule.defer(entry, "", seconds)

    def message(self, id: int) -> Entry:
        """A message that a processor is done with: drop, message file and output are there."""
        entry = Entry(id, f"{id}.a.eml", 10, 0.0)
        self.schedule.add(entry)
        assert self.schedule.next() is entry
        self.stage(entry)
        return entry

    def stage(self, entry: Entry) -> None:
        entry.n = self.board.next_dispatch()
        entry.ingested = True
        entry.taken = self.disk.create(f"Submitted/.taken/{entry.drop}", (b"drop",))
        self.disk.create(f"Queue/{entry.id}.msg", (b"text",))
        self.disk.link(f"Queue/{entry.id}.msg", f"Staged/{entry.id}.{entry.n}.OUT")

    def outcome(self, entry: Entry) -> None:
        """Give its outcome; a message that was put off is dispatched first."""
        if entry.state == "deferred":
            self.schedule.wait(entry)
            assert self.schedule.next() is entry
        self.schedule.settle(entry)
        self.settler.add(entry, frames.Outcome(entry.id, entry.n, "enqueued", ("OUT",), "OUT(1)", STAMP))

    def until(self, condition: Callable[[], object]) -> None:
        for _ in range(500):
            if condition():
                return
            self.settler.pump()
            self.loop.turn(0.01)
        raise AssertionError(self.disk.log)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Durability], _Bench]]:
    basedir.create(tmp_path / "base")
    monkeypatch.chdir(tmp_path / "base")
    made: list[_Bench] = []

    def make(durability: Durability) -> _Bench:
        made.append(_Bench(durability))
        return made[-1]

    yield make
    for each in made:
        each.settler.close()
        each.disk.close()
        each.loop.close()


def test_a_message_file_that_is_the_output_is_moved_after_the_sync(bench: Callable[[Durability], _Bench]) -> None:
    """The drop goes, then one rename is commit, publication and end: no other file, no other name."""
    b = bench("group")
    entry = b.message(1)
    b.disk.unlink(f"Staged/1.{entry.n}.OUT")
    b.disk.log.clear()
    b.schedule.settle(entry)
    b.settler.add(entry, frames.Outcome(1, entry.n, "enqueued", ("OUT",), "OUT(1)", STAMP, moved=True))

    b.until(lambda: not b.schedule.entries)

    assert b.disk.log == ["sync all", "unlink Submitted/.taken/1.a.eml", "Queue/1.msg -> Outbound/OUT/1.msg"]
    assert b.board.total("enqueued") == 1
    assert b.board.moving == 0


def test_a_move_that_fails_halfway_leaves_the_message_file(bench: Callable[[Durability], _Bench]) -> None:
    """The drop has gone, the module's folder is missing, and then a sync fails: the message file is all that is left, and is kept."""
    b = bench("group")
    entry = b.message(1)
    b.disk.unlink(f"Staged/1.{entry.n}.OUT")
    Path("Outbound/OUT").rename("Outbound/away")
    b.schedule.settle(entry)
    b.settler.add(entry, frames.Outcome(1, entry.n, "enqueued", ("OUT",), "OUT(1)", STAMP, moved=True))
    b.until(lambda: not Path("Submitted/.taken/1.a.eml").exists())
    b.disk.broken = "all"
    b.until(lambda: b.put_off)

    assert (entry.drop, entry.ingested) == (None, True)
    assert Path("Queue/1.msg").read_bytes() == b"text"


def test_each_takes_a_batch_through_the_steps_in_the_order_of_the_design(bench: Callable[[Durability], _Bench]) -> None:
    """Files, Staged/; commits; Queue/; drops and outputs; their folders; the last names. Folders once a batch."""
    b = bench("each")
    b.disk.log.clear()
    for id in (1, 2):
        b.outcome(b.message(id))
    b.disk.log.clear()
    b.until(lambda: not b.schedule.entries)

    assert b.disk.log == [
        "sync files",
        "sync Staged",
        "Queue/1.msg -> Queue/1.1.done",
        "Queue/2.msg -> Queue/2.2.done",
        "sync Queue",
        "unlink Submitted/.taken/1.a.eml",
        "Staged/1.1.OUT -> Outbound/OUT/1.msg",
        "unlink Submitted/.taken/2.a.eml",
        "Staged/2.2.OUT -> Outbound/OUT/2.msg",
        "sync Outbound/OUT",
        "sync Staged",
        "sync Submitted/.taken",
        "unlink Queue/1.1.done",
        "unlink Queue/2.2.done",
    ]
    assert b.board.total("enqueued") == 2


@pytest.mark.parametrize(("durability", "syncs"), [("group", ["sync all"]), ("off", [])])
def test_group_syncs_once_before_the_commit_and_off_never(
    bench: Callable[[Durability], _Bench], durability: Durability, syncs: list[str]
) -> None:
    b = bench(durability)
    entry = b.message(1)
    b.disk.log.clear()
    b.outcome(entry)
    b.until(lambda: not b.schedule.entries)

    assert b.disk.log == [
        *syncs,
        "Queue/1.msg -> Queue/1.1.done",
        "unlink Submitted/.taken/1.a.eml",
        "Staged/1.1.OUT -> Outbound/OUT/1.msg",
        "unlink Queue/1.1.done",
    ]


@pytest.mark.parametrize(("durability", "broken"), [("group", "all"), ("each", "files"), ("each", "Staged")])
def test_a_failed_sync_publishes_nothing_and_judges_again(
    bench: Callable[[Durability], _Bench], caplog: pytest.LogCaptureFixture, durability: Durability, broken: str
) -> None:
    """What was staged is wiped, the message is judged again later, from its drop: its file is written anew. An alarm is logged."""
    b = bench(durability)
    entry = b.message(1)
    b.disk.broken = broken
    b.outcome(entry)
    b.until(lambda: b.put_off)

    assert b.disk.names("Outbound/OUT") == b.disk.names("Staged") == []
    assert not entry.ingested
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    assert "sync failed" in caplog.text

    b.disk.broken = None
    b.stage(entry)
    b.outcome(entry)
    b.until(lambda: not b.schedule.entries)
    assert b.disk.names("Outbound/OUT") == ["1.msg"]
    assert b.board.total("enqueued") == 1


def test_many_failures_in_a_moment_are_no_long_pause(bench: Callable[[Durability], _Bench]) -> None:
    """A message waits for as long as the disk has failed, not for a minute after eight failures in a second."""
    b = bench("group")
    b.disk.broken = "all"
    began = time.monotonic()
    for id in range(1, 11):
        b.outcome(b.message(id))
        b.until(lambda id=id: len(b.put_off) == id)  # type: ignore[misc]

    assert max(seconds for _, seconds in b.put_off) <= max(1.0, time.monotonic() - began)


def test_what_was_written_before_a_failed_sync_is_never_trusted(bench: Callable[[Durability], _Bench]) -> None:
    """The kernel tells of lost pages once: the next sync would succeed. So other messages in work are ingested anew as well."""
    b = bench("group")
    first, second, third = (b.message(id) for id in (1, 2, 3))
    b.disk.broken = "all"
    b.outcome(first)
    b.until(lambda: b.put_off)
    b.disk.broken = None
    b.outcome(second)
    b.settler.add(third, None)
    b.until(lambda: len(b.put_off) == 2)

    assert [id for id, _ in b.put_off] == [1, 2]
    assert not b.settler.busy
    assert not third.ingested
    assert third.drop is not None, "its drop is not released on the word of that sync"
    assert b.board.distrusts

    assert not b.settler.trusts(third)
    b.stage(third)
    assert b.settler.trusts(third), "the next dispatch has written it anew"


@pytest.mark.parametrize("held", [False, True])
def test_what_gathers_while_a_sync_fails_is_not_trusted_either(bench: Callable[[Durability], _Bench], held: bool) -> None:
    """It was written before the failure, and the sync that is its own succeeds."""
    b = bench("group")
    first = b.message(1)
    second = b.message(2)
    b.disk.broken = "all"
    b.outcome(first)
    b.settler.pump()
    if held:
        b.settler.add(second, None)
    else:
        b.outcome(second)
    for _ in range(500):
        if b.put_off:
            break
        b.loop.turn(0.01)
    b.disk.broken = None
    b.until(lambda: not b.settler.busy)

    assert [id for id, _ in b.put_off] == ([1] if held else [1, 2])
    assert second.drop == "2.a.eml"
    assert set(b.disk.names("Queue")) == {".format", "1.msg", "2.msg"}
    assert b.disk.names("Outbound/OUT") == []
    assert not second.ingested


def test_what_a_message_without_drop_staged_before_a_failed_sync_is_staged_again(bench: Callable[[Durability], _Bench]) -> None:
    """Its own file has long been durable; copies and reasons that were staged of it have not."""
    b = bench("group")
    first = b.message(1)
    second = b.message(2)
    second.drop = None
    b.disk.broken = "all"
    b.outcome(first)
    b.until(lambda: b.put_off)
    b.disk.broken = None
    b.outcome(second)
    b.until(lambda: not b.settler.busy)

    assert [id for id, _ in b.put_off] == [1, 2]
    assert b.disk.names("Outbound/OUT") == b.disk.names("Staged") == []
    assert second.ingested


def test_a_long_failure_makes_longer_pauses(bench: Callable[[Durability], _Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each repetition scans the message again. A sync that succeeds ends it."""
    monkeypatch.setattr("enqueuer.manager.settler.REPEAT", 0.01)
    b = bench("group")
    b.disk.broken = "all"
    entry = b.message(1)
    for count in (1, 2, 3):
        began = time.monotonic()
        b.outcome(entry)
        b.until(lambda count=count: len(b.put_off) == count)  # type: ignore[misc]
        b.until(lambda began=began: time.monotonic() > began + 0.1)  # type: ignore[misc]
        b.stage(entry)

    pauses = [seconds for _, seconds in b.put_off]
    assert pauses == sorted(set(pauses))
    assert pauses[2] > 0.15


@pytest.mark.parametrize("broken", ["Queue", "Outbound/OUT"])
def test_a_sync_that_fails_after_the_commit_is_waited_for(
    bench: Callable[[Durability], _Bench], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """What is decided is never undone: `.done` stays until a sync has succeeded, then the message goes on, counted once."""
    monkeypatch.setattr("enqueuer.manager.settler.REPEAT", 0.05)
    b = bench("each")
    entry = b.message(1)
    b.disk.broken = broken
    b.outcome(entry)
    b.until(lambda: b.disk.log.count(f"sync {broken}") >= 3)

    assert b.put_off == []
    assert "1.1.done" in b.disk.names("Queue")
    assert bool(b.disk.names("Submitted/.taken")) == (broken == "Queue")

    b.disk.broken = None
    b.until(lambda: not b.schedule.entries)
    assert b.disk.names("Outbound/OUT") == ["1.msg"]
    assert b.board.total("enqueued") == 1


def test_a_last_name_that_does_not_go_is_not_counted_twice(bench: Callable[[Durability], _Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enqueuer.manager.settler.REPEAT", 0.05)
    b = bench("group")
    entry = b.message(1)
    forget = b.store.forget
    tried = []

    def refuse(id: int, n: int) -> None:
        tried.append(id)
        if len(tried) < 3:
            raise OSError(errno.EROFS, "Read-only file system")
        forget(id, n)

    monkeypatch.setattr(b.store, "forget", refuse)
    b.outcome(entry)
    b.until(lambda: not b.schedule.entries)

    assert len(tried) == 3
    assert b.board.total("enqueued") == 1


def test_a_first_hold_releases_the_drop_once_the_message_is_durable(bench: Callable[[Durability], _Bench]) -> None:
    b = bench("each")
    entry = b.message(1)
    b.disk.log.clear()
    b.settler.add(entry, None)
    b.until(lambda: entry.drop is None)

    assert b.disk.log == ["sync files", "sync Queue", "unlink Submitted/.taken/1.a.eml"]
    assert b.disk.names("Queue").count("1.msg") == 1
