"""Demands on a filter whose settings change: mail does not feel that its helper is replaced, and from the report on the new settings judge.

Each row of the table in DESIGN.md (Rollover) has its test here.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filterlink.config.settings import Filter
from filterlink.wire.frames import AnswerKind, Ask, FilterAnswer, Park, Renewed, VerdictFrame, Wake
from filterlink.wire.link import Channel
from tests.helpers.paths import PROGRAMS

Rigs = Callable[..., Any]
Make = Callable[..., Filter]


class Reloads:
    """A server whose one filter is configured again and again; `reported` has which revision was said to be in force."""

    def __init__(self, here: Any, settings: Make) -> None:
        self.here = here
        self._settings = settings
        self.reported: list[int] = []
        self.revision = 0
        self.first = self.pids[0]

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(self.here.until_state("ready").pids)

    def to(self, program: str, **values: Any) -> None:
        self.revision += 1
        revision = self.revision
        self.here.server.configure([self._settings(program, **values)], lambda: self.reported.append(revision))

    def until_beside(self) -> int:
        """Wait until the new helper runs beside the old one; its pid."""
        self.here.until(lambda: len(self.here.states[0].pids) == 2)
        return int(self.here.states[0].pids[1])

    def until_reported(self) -> None:
        self.here.until(lambda: self.reported and self.reported[-1] == self.revision)

    def until_ended(self, *pids: int) -> None:
        self.here.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


@pytest.fixture
def reloads(rig: Rigs, settings: Make) -> Callable[..., Reloads]:
    """Starts a server with the first settings: reloads("says.sh OK", timeout=1)."""

    def start(program: str, **values: Any) -> Reloads:
        return Reloads(rig(program, **values), settings)

    return start


def send(here: Any, id: int, park: bool = False) -> Channel:
    """Ask and wait for nothing."""
    channel = here.send(here.client(), Ask(id, 1, "Test", False, 1, park))
    assert isinstance(channel, Channel)
    return channel


def test_the_old_helper_judges_until_the_new_one_is_ready(reloads: Callable[..., Reloads]) -> None:
    """Nobody is parked meanwhile, and the revision is not reported before; then the new one judges alone, and the old one is gone."""
    it = reloads("says.sh OK")
    it.to("says.sh DISCARD go")
    it.until_beside()
    for id in range(5):
        assert it.here.ask(id, park=True) == VerdictFrame(id, 1, "Test", FilterAnswer(AnswerKind.OK))
    assert (it.reported, it.here.states[0].state) == ([], "ready")
    Path("go").touch()
    it.until_reported()

    assert it.here.ask(6, park=True) == VerdictFrame(6, 1, "Test", FilterAnswer(AnswerKind.DISCARD))
    it.until_ended(it.first)
    assert it.here.wakes == [] == [each for each in it.here.states if each.parked]
    assert it.here.renewed == [Renewed("Test")]


def test_what_the_old_one_was_asked_it_answers(reloads: Callable[..., Reloads], base: Path) -> None:
    """It stays as long as that takes, while the new one judges what comes."""
    it = reloads("say.sh", timeout=30)
    os.mkfifo(base / "Queue/1.msg")
    channel = send(it.here, 1)
    it.here.until(lambda: it.here.states[0].in_flight == 1)
    it.to("says.sh DISCARD", timeout=30)
    it.until_reported()
    assert it.here.ask(2) == VerdictFrame(2, 1, "Test", FilterAnswer(AnswerKind.DISCARD))
    with (base / "Queue/1.msg").open("w") as fifo:
        fifo.write("%N ERROR old\n")

    assert it.here.answer(channel) == VerdictFrame(1, 1, "Test", FilterAnswer(AnswerKind.ERROR, "old"))
    it.until_ended(it.first)


def test_all_instances_are_ready_first(reloads: Callable[..., Reloads]) -> None:
    """The capacity is never less than it was."""
    it = reloads("says.sh OK", instances=2)
    it.to("sh -c 'mkdir one || until [ -e go ]; do sleep 0.02; done; exec sh ok'", instances=2)
    Path("ok").write_bytes((PROGRAMS / "ok.sh").read_bytes())
    it.here.until(lambda: len(it.here.states[0].pids) == 4)
    it.here.until(lambda: sum(unit.ready for unit in it.here.server._succession._coming["Test"].gate.units) == 1)
    it.here.ask(1)
    assert it.reported == []
    Path("go").touch()
    it.until_reported()
    assert sum(unit.ready for unit in it.here.server._succession.judging["Test"].gate.units) == 2


def test_one_that_never_becomes_ready(reloads: Callable[..., Reloads], caplog: pytest.LogCaptureFixture) -> None:
    """After the time-out the new settings hold all the same: messages are parked, and told UNAVAILABLE after another one."""
    it = reloads("says.sh OK", timeout=1)
    it.to("no-such-program", timeout=0.6)
    assert it.here.ask(1).answer.kind == AnswerKind.OK
    it.until_reported()
    assert isinstance(it.here.ask(2, park=True), Park)
    assert it.here.ask(3).answer.kind == AnswerKind.UNAVAILABLE
    it.here.until(lambda: it.here.wakes)

    assert it.here.ask(2, n=2, park=True).answer.kind == AnswerKind.UNAVAILABLE
    assert "no new helper is ready after 0.6 s" in caplog.text
    it.until_ended(it.first)


def test_one_that_leaves_intf_unanswered(reloads: Callable[..., Reloads]) -> None:
    """It is taken for ready when a helper at any start would be; not before."""
    it = reloads("says.sh OK", timeout=1)
    it.to("silent.sh", timeout=1)
    it.until_beside()
    assert it.reported == []
    it.until_reported()
    assert (it.here.ask(1).answer.kind, it.here.states[0].restarts) == (AnswerKind.OK, 0)


def test_a_program_that_is_not_there(reloads: Callable[..., Reloads]) -> None:
    """The old one goes on for the time-out; status says at once what is wrong, and the program may still come."""
    it = reloads("says.sh OK", timeout=30)
    it.to("./sh-that-comes -c 'exec sh ok'", timeout=30)
    it.here.until(lambda: it.here.states[0].state == "failed")
    assert "./sh-that-comes: No such file or directory" in it.here.states[0].last_error
    assert (it.here.ask(1, park=True).answer.kind, it.reported) == (AnswerKind.OK, [])
    Path("ok").write_bytes((PROGRAMS / "ok.sh").read_bytes())
    Path("sh-that-comes").symlink_to("/bin/sh")
    it.until_reported()
    assert it.first not in it.pids


@pytest.mark.parametrize("status", [2, 64, 78, 126, 127])
def test_one_whose_command_line_is_wrong(reloads: Callable[..., Reloads], status: int) -> None:
    """It ends at once and says so by its exit status: no reason for the old one to leave."""
    it = reloads("says.sh OK", timeout=30)
    it.to(f"sh -c 'test -e mended || {{ echo no option -x >&2; exit {status}; }}; exec sh helpers/ok.sh'", timeout=30, auto_restart=0.3)
    it.here.until(lambda: it.here.states[0].state == "failed")
    assert f"ended with exit status {status}: no option -x" in it.here.states[0].last_error
    assert (it.here.ask(1, park=True).answer.kind, it.reported) == (AnswerKind.OK, [])
    Path("helpers").symlink_to(PROGRAMS)
    Path("mended").touch()
    it.until_reported()
    assert it.here.ask(2).answer.kind == AnswerKind.OK
    assert it.first not in it.pids


def test_one_that_comes_and_then_runs_only_once(reloads: Callable[..., Reloads]) -> None:
    """What was wrong before its last end counts no more: it ends for another reason now, and the old one makes room."""
    it = reloads("says.sh OK", timeout=30)
    it.to("./sh-that-comes -c 'exit 1'", timeout=30, auto_restart=0.3)
    it.here.until(lambda: it.here.states[0].state == "failed")
    Path("sh-that-comes").symlink_to("/bin/sh")
    it.until_reported()
    it.here.until(lambda: "exit status 1" in (it.here.states[0].last_error or ""))


def test_a_program_that_is_not_there_and_never_tried_again(reloads: Callable[..., Reloads]) -> None:
    """With auto_restart = "never" nothing is to be waited for: messages are told at once."""
    it = reloads("says.sh SILENCE", timeout=30, max_in_flight=1)
    send(it.here, 1)
    assert isinstance(it.here.ask(2, park=True), Park)
    it.to("no-such-program", timeout=30, auto_restart=float("inf"))
    it.until_reported()
    assert it.here.wakes == [Wake("Test", 1)]
    assert it.here.ask(2, n=2, park=True).answer.kind == AnswerKind.UNAVAILABLE


def test_one_that_runs_only_once(reloads: Callable[..., Reloads], caplog: pytest.LogCaptureFixture) -> None:
    """The old one leaves first; the new one is then started at once, whatever its pause after a fault. Who is parked is woken."""
    it = reloads("says.sh OK / lock")
    it.to("says.sh DISCARD / lock", auto_restart=60)
    it.until_reported()
    got = it.here.ask(1, park=True)
    if isinstance(got, Park):
        it.here.until(lambda: it.here.wakes)
        got = it.here.ask(1, n=2)
    assert got.answer.kind == AnswerKind.DISCARD
    assert "another one runs; it is started again when it is alone" in caplog.text


def test_the_old_one_dies_meanwhile(reloads: Callable[..., Reloads]) -> None:
    """The new settings hold at once; what was open or is asked waits for the new helper, no longer."""
    it = reloads("says.sh SILENCE", timeout=30, auto_restart=60)
    it.to("says.sh OK go", timeout=30)
    it.until_beside()
    parked = send(it.here, 1, park=True)
    it.here.until(lambda: it.here.states[0].in_flight == 1)
    os.kill(it.first, signal.SIGKILL)
    it.until_reported()
    assert isinstance(it.here.answer(parked), Park)
    assert isinstance(it.here.ask(2, park=True), Park)
    Path("go").touch()
    it.here.until(lambda: sum(wake.count for wake in it.here.wakes) >= 2)
    assert [it.here.ask(id, n=2, park=True).answer.kind for id in (1, 2)] == [AnswerKind.OK] * 2


def test_an_old_one_that_hangs(reloads: Callable[..., Reloads]) -> None:
    """It is asked nothing more, and the new one waits neither for its answers nor for its end."""
    it = reloads("says.sh SILENCE", timeout=30, slow_after=0.2)
    send(it.here, 1)
    it.here.until_state("stalled")
    it.to("says.sh OK", timeout=30)
    assert it.reported == [1]
    assert it.here.ask(2).answer.kind == AnswerKind.OK
    assert Path(f"/proc/{it.first}").exists()


def test_a_second_and_a_third_reload(reloads: Callable[..., Reloads]) -> None:
    """The newest wins; one in the middle never judges, and never are there three."""
    it = reloads("says.sh OK")
    seen = set()
    for word in ("DISCARD", "FAILURE", "REJECTED"):
        it.to(f"says.sh {word} never")
        seen.add(it.until_beside())
        it.here.until(lambda: it.here.states[0].pids[1] not in seen or len(seen) == 1)
        seen.add(it.here.states[0].pids[1])
        assert len(running()) <= 2
        assert it.here.ask(1).answer.kind == AnswerKind.OK
    it.to("says.sh ERROR")
    it.here.until(lambda: len(running()) <= 2 and it.reported)

    assert it.reported == [4]
    assert it.here.ask(2).answer.kind == AnswerKind.ERROR
    it.until_ended(it.first, *seen)
    assert len(running()) == 1 == len(it.pids)


def running() -> list[int]:
    """The helpers that run, as the children of this process."""
    return [int(pid) for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()]


def test_a_reload_while_the_one_before_still_answers(reloads: Callable[..., Reloads]) -> None:
    """The newest waits for its end, the present one judges."""
    it = reloads("says.sh SILENCE", timeout=2, slow_after=30)
    send(it.here, 1)
    it.here.until(lambda: it.here.states[0].in_flight == 1)
    it.to("says.sh OK")
    it.until_reported()
    it.to("says.sh DISCARD")
    it.here.until(lambda: it.here.states[0].pids)
    assert it.here.ask(2).answer.kind == AnswerKind.OK
    assert len(running()) == 2
    it.until_reported()
    assert it.here.ask(3).answer.kind == AnswerKind.DISCARD
    it.until_ended(it.first)


def test_back_to_the_old_settings(reloads: Callable[..., Reloads]) -> None:
    """The old helper stays, the new one ends; that is in force at once."""
    it = reloads("says.sh OK")
    it.to("says.sh DISCARD never")
    new = it.until_beside()
    it.to("says.sh OK")
    assert it.reported == [2]
    it.until_ended(new)
    assert (it.pids, it.here.ask(1).answer.kind) == ((it.first,), AnswerKind.OK)


@pytest.mark.parametrize("gone", [True, False], ids=["removed", "disabled"])
def test_removed_or_disabled_meanwhile(reloads: Callable[..., Reloads], gone: bool) -> None:
    """Both helpers end; what is open is dispatched again at once."""
    it = reloads("says.sh SILENCE", timeout=30)
    channel = send(it.here, 1, park=True)
    of_door = it.here.send(it.here.client(), Ask(10, 1, "Test", False, 1, False, asked=True))
    it.to("says.sh OK never", timeout=30)
    new = it.until_beside()
    if gone:
        it.here.server.configure([], lambda: it.reported.append(0))
    else:
        it.to("says.sh OK never", timeout=30, enabled=False)
    assert isinstance(it.here.answer(channel), Park)
    assert it.here.answer(of_door).apart
    assert it.here.wakes == [Wake("Test", 1, id=1)], "a door needs no Wake, and the manager does not know its message"
    assert len(it.reported) == 1
    it.until_ended(it.first, new)


@pytest.mark.parametrize("again", [False, True], ids=["one comes", "one comes, one leaves"])
def test_stopped_meanwhile(reloads: Callable[..., Reloads], again: bool) -> None:
    """None of the helpers is left, and none is started any more."""
    it = reloads("says.sh OK")
    it.to("says.sh DISCARD never")
    it.until_beside()
    if again:
        it.to("says.sh REJECTED")
    it.here.stop()
    it.here.until(lambda: not running())  # a child of a helper that was killed is adopted, and reaped a moment later
    assert it.reported == []


def test_a_late_answer_is_not_anothers(reloads: Callable[..., Reloads], base: Path) -> None:
    """Both ask by numbers of one sequence, which never come again."""
    it = reloads("say.sh", log_level="low-level")
    for id in range(1, 4):
        (base / f"Queue/{id}.msg").write_text("%N OK\n")
        assert it.here.ask(id).answer.kind == AnswerKind.OK
    it.to("say.sh", timeout=5)
    it.until_reported()
    judging = it.here.server._succession.judging["Test"]
    assert it.here.ask(3).answer.kind == AnswerKind.OK
    assert next(judging.numbers) > 5
