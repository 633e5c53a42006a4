"""Demands on new messages: each comes with the outcome that made it, once, whatever dies."""

import errno
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from enqueuer import basedir
from enqueuer.config import schema as configs
from enqueuer.ipc import frames
from enqueuer.ipc.scoreboard import Scoreboard
from enqueuer.manager.births import MOST_IDS, Births
from enqueuer.manager.holds import Holds
from enqueuer.manager.schedule import Entry, Schedule
from enqueuer.manager.settler import Settler
from enqueuer.policy.lanes import Lanes
from enqueuer.queue.directory import ingest, stage, sync
from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.durability import Durability
from enqueuer.queue.directory.ids import IdsFile
from enqueuer.queue.directory.messagestore import DirectoryStore
from enqueuer.queue.directory.ref import ref_of
from filterlink.wire.frames import AnswerKind, FilterAnswer, VerdictFrame
from filterlink.wire.loop import Loop

MAIL = b"To: b@b.example\n\ntext\n"
BORN = (
    frames.Born(8, 20, b"a@a.example", "rest of [7]", verdicts=(VerdictFrame(7, 3, "Scan", FilterAnswer(AnswerKind.OK), 0.1),)),
    frames.Born(9, 21, b"", "reply of rule x to [7]", state="deferred", filter="Scan", reason="Scan did not answer"),
    frames.Born(10, 22, b"<\x1b@x>", "rest of [7]", state="on_hold", reason="at night", until=5e9),
)


class _Bench:
    def __init__(self, durability: Durability) -> None:
        self.loop = Loop()
        self.board = Scoreboard()
        self.disk = Disk()
        self.schedule = Schedule(Lanes(1 << 20, 0.5, 4))
        self.store = DirectoryStore(self.disk, sync.start(self.disk, durability))
        self.settler = Settler(self.loop, self.store, self.board, self.schedule, lambda *_: None)
        self.holds = Holds(self.loop, self.store, self.schedule, self.settler.after_sync)
        settings = configs.load(Path("Settings/enqueuer.toml").read_bytes())
        self.births = Births(self.schedule, self.board, self.holds, lambda _filter, _now, pause: pause, settings)
        self.births.ids = IdsFile(self.disk)
        self.settler.enter = self.births.enter
        self.settler.decided = self.holds.decided

    def split(self, disposition: str = "discarded", places: tuple[str, ...] = ()) -> None:
        """Settle message 7, whose outcome makes three new messages."""
        drop = "Submitted/.taken/7.a.eml"
        Path(drop).write_bytes(MAIL)
        message = ingest.ingest(self.disk, 7, drop, "24-11-2026 10:00:00", "h")
        for place in ("queue-8", "queue-9", "hold-10"):
            stage.stage_new(self.disk, 7, 3, place, message.envelope, [MAIL])
        stage.stage_why(self.disk, 7, 3, "hold-10", {"until": 5e9})
        stamp = self.disk.stamp(drop)
        assert stamp is not None
        entry = Entry(7, ref_of("7.a.eml", stamp), 20, 0.0, ingested=True, counted=True, n=3)
        self.board.add("received")
        self.schedule.add(entry)
        self.schedule.next()
        self.schedule.settle(entry)
        all = (*places, "queue-8", "queue-9", "hold-10", "hold-10-why")
        self.settler.add(entry, frames.Outcome(7, 3, disposition, all, "x", message.stamp, born=BORN))
        until = time.monotonic() + 20
        while 7 in self.schedule.entries:
            assert time.monotonic() < until
            self.settler.pump()
            self.loop.turn(0.05)


@pytest.fixture(params=["group", "each", "off"])
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[_Bench]:
    basedir.create(tmp_path / "base")
    monkeypatch.chdir(tmp_path / "base")
    made = _Bench(request.param)
    yield made
    made.settler.close()
    made.disk.close()
    made.loop.close()


def test_new_messages_come_with_the_outcome(bench: _Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench.split()

    entries = bench.schedule.entries
    assert {id: entry.state for id, entry in entries.items()} == {8: "waiting", 9: "deferred"}
    assert (entries[8].verdicts, entries[8].durable, entries[8].ingested, entries[8].counted) == (BORN[0].verdicts, True, True, True)
    assert (entries[9].filter, entries[9].reason, entries[9].was_held) == ("Scan", "Scan did not answer", True)
    assert entries[9].until > time.monotonic() + 10
    assert bench.schedule.on_hold == {10: 5e9}
    assert {name: count for name, count in bench.board.totals().items() if count} == {"received": 4, "discarded": 1}
    assert sorted(os.listdir("Hold")) == ["10.msg", "10.why"]
    assert [record.getMessage() for record in caplog.records if "[7]" not in record.tag] == [  # type: ignore[attr-defined]
        "from <a@a.example>, 20 bytes, rest of [7]",
        "from <>, 21 bytes, reply of rule x to [7]",
        "deferred: Scan did not answer",
        "from <<\\x1b@x>>, 22 bytes, rest of [7]",
        "on hold: at night",
    ]


def test_a_successor_finds_each_once(bench: _Bench) -> None:
    """On disk they are messages without a drop, and one in Hold: received is what has left and what is here."""
    bench.split()

    found = bench.store.recover(cold=False, decided=lambda *_: None, progress=lambda: None)

    assert ([offer.id for offer in found.offers], found.on_hold) == ([8, 9], [10])
    assert all(offer.durable and offer.ingested for offer in found.offers)


def test_ids_are_given_once(bench: _Bench) -> None:
    """Also over a restart, and although no file has them. The disk may refuse."""
    given = bench.births.new_ids(3)
    bench.births.ids = IdsFile(bench.disk)
    given += bench.births.new_ids(3)

    assert len(set(given)) == 6
    assert sorted(given) == list(given)
    assert len(bench.births.new_ids(MOST_IDS)) == MOST_IDS
    assert bench.births.new_ids(MOST_IDS + 1) == ()

    class Full:
        def take(self, microseconds: int) -> int:
            raise OSError(errno.ENOSPC, "No space left on device", str(microseconds))

    bench.births.ids = Full()
    assert bench.births.new_ids(3) == ()
