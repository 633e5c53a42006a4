"""Demands on messages on hold: they are in the queue, no processor gets them, and each comes back once."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enqueuer import basedir
from enqueuer.lab.trial import Trial, signal_all
from enqueuer.manager import holds as module
from enqueuer.manager.holds import Holds, until_of
from enqueuer.manager.schedule import Entry, Schedule
from enqueuer.policy.lanes import Lanes
from enqueuer.policy.outcome import mark
from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.ingest import load
from enqueuer.queue.directory.messagestore import DirectoryStore
from enqueuer.queue.message import envelope
from enqueuer.queue.port import NotKept
from filterlink.wire.loop import Loop

Make = Callable[..., bytes]
Config = Callable[..., str]
Trials = Callable[[str], Trial]
LATER = 'retry_after = "1s"', 'retry_after = "1h"'


class _Bench:
    def __init__(self) -> None:
        self.loop = Loop()
        self.disk = Disk()
        self.schedule = Schedule(Lanes(1 << 20, 0.5, 4))
        self.store = DirectoryStore(self.disk)
        self.synced = list[Callable[[], None]]()
        self.holds = Holds(self.loop, self.store, self.schedule, lambda action, *_: self.synced.append(action))
        self.said = list[tuple[bool, str]]()

    def answer(self, done: bool, text: str) -> None:
        self.said.append((done, text))

    def on_hold(self, id: int, **why: object) -> None:
        made = envelope.make(b"a@a.example", [b"b@b.example"], "24-11-2026 10:00:00", "h")
        Path(f"Hold/{id}.msg").write_bytes(made.above + envelope.Digest(made.above, made.below).line() + made.below)
        Path(f"Hold/{id}.why").write_text(json.dumps(why))

    def turn(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < until
            self.loop.turn(0.05)
            for action in self.synced:
                action()
            self.synced.clear()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Bench]:
    basedir.create(tmp_path / "base")
    monkeypatch.chdir(tmp_path / "base")
    monkeypatch.setattr(module, "EACH", 0.01)
    made = _Bench()
    yield made
    made.disk.close()
    made.loop.close()


def test_a_release_goes_on_after_the_action_of_the_rule(bench: _Bench) -> None:
    """Its reason has the action; the message has the same id and does not count as returned."""
    bench.on_hold(7, rule="night", action=["Hold until", "18:00"], until=0)
    bench.holds.restore([7])

    bench.holds.release(7, bench.answer)
    bench.turn(lambda: bool(bench.said))

    assert bench.said == [(True, '7 released: goes on after "Hold until" in rule "night"')]
    assert load(bench.disk, 7, None).mark == mark("night", "Hold until", "18:00")
    assert (list(bench.schedule.entries), bench.schedule.on_hold) == ([7], {})
    bench.turn(lambda: not os.listdir("Hold"))


def test_a_release_of_the_administrators_hold_keeps_the_mark_that_it_has(bench: _Bench) -> None:
    """It was released from Quarantine before: it is not caught there again."""
    bench.on_hold(7, until=0)
    bench.store.requeue(7, "hold", b"0123abcd", lambda action, *_: action(), lambda *_: None)
    os.rename("Queue/7.msg", "Hold/7.msg")
    bench.holds.restore([7])

    bench.holds.release(7, bench.answer)
    bench.turn(lambda: bool(bench.said))

    assert bench.said == [(True, "7 released: its rules are tried again")]
    assert load(bench.disk, 7, None).mark == b"0123abcd"


def test_what_is_not_on_hold_is_not_released(bench: _Bench) -> None:
    bench.on_hold(7, until=0)
    bench.on_hold(8, until=0)
    bench.holds.restore([7, 8])
    bench.holds.release(7, bench.answer)
    bench.schedule.add(Entry(8, b"", 10, 0.0))

    for id, text in ((7, "is not on hold"), (8, "just being put on hold"), (9, "is not on hold")):
        with pytest.raises(NotKept, match=text):
            bench.holds.release(id, bench.answer)


def test_times_survive_and_end_by_themselves(bench: _Bench) -> None:
    """Thousands of them, in slices. Those without a time, and those of the future, stay."""
    past = time.time() - 10
    for id in range(1, 2001):
        bench.on_hold(id, until=past if id % 2 else time.time() + 3600)
    bench.on_hold(3000, until=0)
    bench.on_hold(3001, until="soon")
    Path("Hold/3002.why").write_text("[" * 100_000)
    bench.holds.restore([*range(1, 2001), 3000, 3001, 3002])
    longest = 0.0
    until = time.monotonic() + 60
    while len(bench.schedule.entries) < 1000:
        begun = time.thread_time()
        bench.loop.turn(0.05)
        longest = max(longest, time.thread_time() - begun)
        assert time.monotonic() < until
        for action in bench.synced:
            action()
        bench.synced.clear()

    assert sorted(bench.schedule.entries) == list(range(1, 2001, 2))
    assert {*range(2, 2001, 2), 3000, 3001, 3002} == set(bench.schedule.on_hold)
    assert longest < 0.1


def test_a_time_that_comes_releases(bench: _Bench) -> None:
    bench.on_hold(7)
    bench.holds.keep(7, time.time() + 0.2)
    bench.turn(lambda: 7 in bench.schedule.entries)

    assert bench.schedule.on_hold == {}


def test_what_the_disk_refuses_is_tried_again(bench: _Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The message stays on hold, and the log says why."""
    caplog.set_level(logging.ERROR)
    monkeypatch.setattr(module, "AGAIN", 0.1)
    bench.holds.keep(7, time.time() - 1)
    bench.turn(lambda: bool(caplog.records))
    assert "stays for now: Hold holds no message 7" in caplog.text

    bench.on_hold(7)
    bench.turn(lambda: 7 in bench.schedule.entries)


@pytest.mark.parametrize("value", [None, True, "1", -1, 0, float("nan"), float("inf"), 10**30, [1]])
def test_what_is_no_time_is_none(value: object) -> None:
    assert until_of(value) == 0.0


@pytest.mark.parametrize("state", ["waiting", "parked", "deferred", "active"])
def test_a_message_of_each_state_is_marked_and_offered(bench: _Bench, state: str) -> None:
    """An active one is only marked: it is offered when its processor is done with it."""
    entry = Entry(7, b"", 10, 0.0, durable=True)
    bench.schedule.add(entry)
    if state != "waiting":
        bench.schedule.next()
    if state == "parked":
        bench.schedule.park(entry, "F")
    if state == "deferred":
        bench.schedule.defer(entry, "F", 1e9)
    bench.holds.hold(7, 5.0, "ask Ann", bench.answer)

    assert (entry.hold, entry.hold_until) == ("by the administrator: ask Ann", 5.0)
    assert entry.state == ("active" if state == "active" else "waiting")
    assert bench.said == []
    bench.holds.decided(7, "on_hold", 0.0)
    assert bench.said == [(True, "7 is on hold until it is released")]
    with pytest.raises(NotKept, match="the queue has no message 8"):
        bench.holds.hold(8, 0.0, "", bench.answer)


def test_a_message_that_is_decided_meanwhile_is_not_on_hold(bench: _Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_WITHIN", 0.01)
    entry = Entry(7, b"", 10, 0.0)
    bench.schedule.add(entry)
    bench.schedule.next()
    bench.holds.hold(7, 0.0, "", bench.answer)
    bench.holds.decided(7, "enqueued", 0.0)
    bench.holds.hold(7, 0.0, "", bench.answer)
    bench.turn(lambda: len(bench.said) == 2)
    bench.schedule.settle(entry)
    with pytest.raises(NotKept, match="decided already"):
        bench.holds.hold(7, 0.0, "", bench.answer)

    assert bench.said == [
        (False, "message 7 was enqueued meanwhile: it is not on hold"),
        (True, "7 will be on hold as soon as its processor is done with it, unless it is decided by then"),
    ]


# ---- with an engine


def _enqueuer(trial: Trial, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "enqueuer.cli.app", *words, "--base", str(trial.base)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _listed(trial: Trial) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_enqueuer(trial, "queue", "list", "--json").stdout)
    return found


def test_hold_and_release_with_commands(trials: Trials, config: Config, mail: Make) -> None:
    """A deferred message: it is on hold over a restart and a kill of the queue manager; released, it goes through its rules, once."""
    with trials(config(filter='timeout = "1s"').replace(*LATER)) as trial:
        trial.drop("a", mail("a", "30 OK"))
        trial.wait(lambda: trial.status()["queue"]["deferred"] == 1, "it is deferred")
        (id,) = (each["id"] for each in _listed(trial))
        done = _enqueuer(trial, "queue", "hold", str(id), "--for", "2h", "--reason", "ask \x1b[31mAnn")
        assert (done.returncode, done.stdout.split(" until ")[0]) == (0, f"{id} is on hold"), done.stderr
        signal_all(trial.pids("queue manager"))
        trial.wait(lambda: trial.status()["queue"]["on_hold"] == 1, "it is on hold")
        (found,) = _listed(trial)
        shown = _enqueuer(trial, "queue", "show", str(id)).stdout
        assert (found["state"], found["why"]["reason"]) == ("on_hold", "by the administrator: ask \x1b[31mAnn")
        assert "\x1b" not in shown
        assert f"enqueuer queue release {id}" in shown
        assert "on hold: by the administrator" in trial.log()
        again = _enqueuer(trial, "queue", "retry", str(id))
        assert again.returncode == 66
        assert "is on hold; to release it" in again.stderr
    with trial:
        assert trial.status()["queue"]["on_hold"] == 1
        assert trial.status()["totals"]["received"] == 1
        released = _enqueuer(trial, "queue", "release", str(id))
        assert released.stdout == f"{id} released: its rules are tried again\n"
        trial.wait(lambda: trial.status()["queue"]["deferred"] == 1, "it is deferred again")
        assert _enqueuer(trial, "queue", "hold", str(id), "--for", "1s").returncode == 0
        trial.wait(lambda: "released: its rules" in trial.log().rpartition("is on hold")[2], "its time has come")
        trial.wait(lambda: trial.status()["queue"]["on_hold"] == 0, "it is back")
        totals = trial.status()["totals"]
        assert (totals["received"], totals["returned"], trial.status()["unaccounted"]) == (1, 0, 0)


def test_a_message_that_waits_for_its_ingest_is_put_on_hold(trials: Trials, config: Config, mail: Make) -> None:
    """No processor is free at first: one ingests it, and tries no rule."""
    with trials(config(processors=1, filter='timeout = "3s"').replace(*LATER)) as trial:
        trial.drop("a", mail("a", "30 OK"))
        trial.wait(lambda: trial.status()["queue"]["active"] == 1, "it is scanned")
        trial.drop("b", mail("b"))
        trial.wait(lambda: trial.status()["queue"]["waiting"] == 1, "another one waits")
        (id,) = (each["id"] for each in _listed(trial) if each["state"] == "waiting")
        done = _enqueuer(trial, "queue", "hold", str(id))

        assert (done.returncode, done.stdout) == (0, f"{id} is on hold until it is released\n"), done.stderr
        assert trial.outbound() == []
        assert sorted(os.listdir(trial.base / "Hold")) == [f"{id}.msg", f"{id}.why"]
        assert _enqueuer(trial, "queue", "release", str(id)).returncode == 0
        trial.wait(lambda: len(trial.outbound()) == 1, "it is enqueued")
