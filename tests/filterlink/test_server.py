"""Demands on the multiplexer as a whole, with real helpers over real pipes and links."""

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filterlink.config.settings import Filter
from filterlink.wire.frames import Abandon, AnswerKind, Ask, FilterAnswer, Hello, Park, VerdictFrame, Wake, encode
from filterlink.wire.link import Channel, connect
from tests.helpers.paths import PROGRAMS

Rigs = Callable[..., Any]
Make = Callable[..., Filter]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def group(leader: int) -> list[str]:
    """The processes of a group that are no zombies, as their lines in /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            line = stat.read_text()
            state, _parent, pgrp = line.rpartition(")")[2].split()[:3]
            if int(pgrp) == leader and state != "Z":
                found.append(line)
    return found


def test_a_ten_line_helper_judges(rig: Rigs) -> None:
    """Any helper that answers OK lets a message pass."""
    here = rig("ok.sh")

    assert VerdictFrame(1, 7, "Test", FilterAnswer(AnswerKind.OK)) == here.ask(1, n=7)


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("%N OK", VerdictFrame(5, 1, "Test", FilterAnswer(AnswerKind.OK))),
        ('%N ADDHEADER "X-A: 1\\eX-B: 2" OK', VerdictFrame(5, 1, "Test", FilterAnswer(AnswerKind.OK, "", (b"X-A: 1", b"X-B: 2")))),
        ('%N ERROR "EICAR found"', VerdictFrame(5, 1, "Test", FilterAnswer(AnswerKind.ERROR, "EICAR found"))),
        ("%N REJECTED come again", VerdictFrame(5, 1, "Test", FilterAnswer(AnswerKind.REJECTED, "come again"))),
        ("%N DISCARD", VerdictFrame(5, 1, "Test", FilterAnswer(AnswerKind.DISCARD))),
        ("%N FAILURE", VerdictFrame(5, 1, "Test", FilterAnswer(AnswerKind.FAILURE))),
        ("%N FILE Queue/5.msg", VerdictFrame(5, 1, "Test", FilterAnswer(AnswerKind.FAILURE))),
    ],
)
def test_verdicts_reach_who_asked(rig: Rigs, base: Path, said: str, verdict: VerdictFrame) -> None:
    """Each verdict comes out as its kind, with its text and fields; an echoed request is a FAILURE."""
    (base / "Queue/5.msg").write_text(said + "\n")

    assert verdict == rig("say.sh").ask(5)


@pytest.mark.parametrize(("role", "read"), [("door", 5), ("processor", 1)])
def test_the_requests_of_a_door_come_in_bursts(rig: Rigs, role: str, read: int) -> None:
    """It has many at a time. Other peers ask one thing at a time."""
    here = rig("mute.sh", max_in_flight=10)
    here.until_state("ready")
    channel = Channel(connect("link"))
    channel.send(encode(Hello(role, 1, 1, os.getpid())))
    here.until(lambda: any(link.peer for link in here.server._links))
    for id in range(5):
        channel.send(encode(Ask(10 + id, 1, "Test", False, 1, False, asked=True)))
    here.until(lambda: here.server._gates[0].in_flight)

    assert here.server._gates[0].in_flight == read
    channel.close()


def test_a_helper_reads_the_message_of_a_door(rig: Rigs, base: Path) -> None:
    """It is in Asked/; the message with the same id in Queue/ is another one."""
    for folder, said in (("Queue", "OK"), ("Asked", "DISCARD")):
        (base / folder).mkdir(exist_ok=True)
        (base / folder / "5.msg").write_text(f"%N {said}\n")
    here = rig("say.sh")
    channel = here.send(here.client(), Ask(5, 1, "Test", False, 1, False, asked=True))

    assert here.answer(channel) == VerdictFrame(5, 1, "Test", FilterAnswer(AnswerKind.DISCARD))


def test_a_door_abandons_messages(rig: Rigs) -> None:
    """The line in the pipe stays; the one behind it is taken back, and its slot is free at once. Unknown messages are ignored."""
    here = rig("stubborn.sh", max_in_flight=2)
    here.until_state("ready")
    client = here.client()
    for id in (5, 6, 7):
        channel = here.send(client, Ask(id, 1, "Test", False, 1, False, asked=True))
    slots = here.server._gates[0].slots
    here.until(lambda: ([request.id for request in slots.open], [request.id for request in slots.waiting]) == ([5, 6], [7]))
    for id in (99, 5, 6):
        channel.send(encode(Abandon(id)))
    here.until(lambda: not slots.waiting)

    assert [(request.id, request.client is None) for request in slots.open] == [(5, True), (7, False)]


def test_answers_in_any_order(rig: Rigs) -> None:
    """Three messages answered last one first, by a helper of old manners, each get their own answer."""
    here = rig("shuffle.pl")
    channels = [here.client() for _ in range(3)]
    here.until_state("ready")
    first = [here.send(client, Ask(id, 1, "Test", False, 1, False)) for id, client in enumerate(channels, 1)]

    assert [here.answer(channel).id for channel in first] == [1, 2, 3]


def test_one_line_in_the_pipe_at_a_time(rig: Rigs) -> None:
    """A helper that polls its pipe and then reads one line through a buffer never stalls."""
    here = rig("poller.py")
    here.until_state("ready")
    channels = [here.send(here.client(), Ask(id, 1, "Test", False, 1, False)) for id in range(1, 9)]

    assert set(range(1, 9)) == {here.answer(channel).id for channel in channels}


def test_pipelining_answers_all(rig: Rigs) -> None:
    """With pipelining = true many lines stand in the pipe, and all are answered."""
    here = rig("ok.sh", pipelining=True, max_in_flight=50)
    here.until_state("ready")
    channels = [here.send(here.client(), Ask(id, 1, "Test", False, 1, False)) for id in range(1, 40)]

    assert {AnswerKind.OK} == {here.answer(channel).answer.kind for channel in channels}


def test_a_mute_helper_times_out_and_is_replaced(rig: Rigs) -> None:
    """A request that is not answered in time gets TIMEOUT; the process is replaced by a new one."""
    here = rig("mute.sh", timeout=0.4)
    pid = here.until_state("ready").pids[0]
    verdict = here.ask(1)

    assert (verdict.answer.kind, verdict.answer.text) == (AnswerKind.TIMEOUT, 'filter "Test": no answer within 0.4 s')
    here.until(lambda: here.states[0].state == "ready" and here.states[0].pids != (pid,))
    assert not alive(pid)


def test_a_helper_that_is_killed_is_replaced(rig: Rigs, base: Path) -> None:
    """Its requests go to the next helper; nobody who asked hears of it."""
    here = rig("say.sh")
    pid = here.until_state("ready").pids[0]
    channel = here.send(here.client(), Ask(8, 1, "Test", False, 1, False))
    here.until(lambda: here.states[0].in_flight == 1)
    (base / "Queue/8.msg").write_text("%N DISCARD\n")
    os.kill(pid, signal.SIGKILL)

    assert VerdictFrame(8, 1, "Test", FilterAnswer(AnswerKind.DISCARD)) == here.answer(channel)
    here.until(lambda: here.states[0].restarts == 1)
    assert "signal 9" in here.states[0].last_error


def test_who_ends_helpers_is_found(rig: Rigs) -> None:
    """A message of which helper after helper dies is told of as guilty; others are answered in between."""
    here = rig("dies.sh", timeout=30)
    here.until_state("ready")
    channel = here.send(here.client(), Ask(13, 7, "Test", False, 1, False))
    for id in range(20, 25):
        assert here.ask(id).answer.kind == AnswerKind.OK
    here.until(lambda: here.guilty)

    assert (here.guilty[0].id, here.guilty[0].n, here.guilty[0].filter) == (13, 7, "Test")
    assert "I cannot stand Queue/13.msg" in here.guilty[0].reason
    channel.close()


def test_a_filter_that_ends_over_all_it_is_asked_is_away(rig: Rigs) -> None:
    """With no answer at all for the time-out, who asks is told with the helper's last words; nobody is to blame."""
    here = rig("dies.sh", timeout=0.6)
    verdict = here.ask(13)

    assert verdict.answer.kind == AnswerKind.UNAVAILABLE
    assert "I cannot stand Queue/13.msg" in verdict.answer.text
    here.until_state("ready")
    assert here.ask(14).answer.kind == AnswerKind.OK
    assert here.guilty == []


def test_parked_messages_are_woken(rig: Rigs) -> None:
    """Who may park is told to while the filter starts; a Wake follows when it is ready."""
    here = rig("ok.sh")
    answer = here.ask(1, park=True)

    assert isinstance(answer, Park)
    here.until(lambda: here.wakes)
    assert [Wake("Test", 1)] == here.wakes
    assert VerdictFrame(1, 2, "Test", FilterAnswer(AnswerKind.OK)) == here.ask(1, n=2, park=True)


def test_a_program_that_is_not_there(rig: Rigs) -> None:
    """The filter is failed, with the reason; after the time-out everybody is told UNAVAILABLE; the parked are woken."""
    here = rig("no-such-program --now", timeout=0.4)
    state = here.until_state("failed")
    assert "no-such-program is not on PATH" in (state.last_error or "")
    assert isinstance(here.ask(1, park=True), Park)

    verdict = here.ask(2)
    assert verdict.answer.kind == AnswerKind.UNAVAILABLE
    assert "no-such-program" in verdict.answer.text
    here.until(lambda: here.wakes)
    assert here.ask(1, n=2, park=True).answer.kind == AnswerKind.UNAVAILABLE


def test_auto_restart_never(rig: Rigs) -> None:
    """A helper that ended and may not be restarted is failed at once."""
    here = rig("false", auto_restart=float("inf"))

    assert "exit status 1" in (here.until_state("failed").last_error or "")
    assert here.ask(1, park=True).answer.kind == AnswerKind.UNAVAILABLE


def test_one_dead_filter_hurts_no_other(rig: Rigs, settings: Make) -> None:
    """Beside a filter that cannot start and one that is mute, a third one judges."""
    here = rig(settings("no-such-program", name="Dead"), settings("mute.sh", name="Mute"), settings("ok.sh"))
    here.send(here.client(), Ask(1, 1, "Mute", False, 1, False))
    here.send(here.client(), Ask(1, 1, "Dead", False, 1, False))

    assert here.ask(1).answer.kind == AnswerKind.OK


def test_unknown_and_disabled_filters(rig: Rigs, settings: Make) -> None:
    """A filter that is not there is UNAVAILABLE, and no process is started for a disabled one."""
    here = rig(settings("ok.sh", enabled=False))

    assert here.ask(1, filter="Nobody").answer.text == 'filter "Nobody" is not configured or disabled'
    assert here.until_state("disabled").pids == ()


def test_a_door_asks_for_a_filter_that_is_not_there(rig: Rigs, settings: Make) -> None:
    """It has other settings than filterlink, for a moment: it asks again by itself, and the manager has nothing to wake."""
    here = rig(settings("ok.sh", enabled=False))
    for filter in ("Nobody", "Test"):
        channel = here.send(here.client(), Ask(10, 1, filter, False, 1, False, asked=True))
        assert here.answer(channel) == Park(10, 1, filter, "not configured here", True)
    assert isinstance(here.ask(1, park=True), Park)
    here.until(lambda: here.wakes)

    assert here.wakes == [Wake("Test", 1, id=1)]


def test_intf_unanswered(rig: Rigs) -> None:
    """A helper that leaves INTF unanswered is taken for an old one, and works."""
    assert rig("silent.sh", timeout=0.3).ask(1).answer.kind == AnswerKind.OK


def test_a_planned_exit_is_no_fault(rig: Rigs) -> None:
    """A helper that leaves by itself after its answer is started again at once, and no error is told of."""
    here = rig("once.sh", auto_restart=60)

    assert [here.ask(id).answer.kind for id in range(1, 5)] == [AnswerKind.OK] * 4
    here.until(lambda: here.states and here.states[0].restarts >= 3)
    assert here.states[0].last_error is None


def test_a_verdict_is_no_error_of_the_filter(rig: Rigs, base: Path) -> None:
    """REJECTED is an answer, as of greylisting. The end of a helper is an error, and has a time."""
    here = rig("say.sh")
    (base / "Queue/1.msg").write_text('%N REJECTED "greylisted, try again later"\n')
    before = time.time()

    assert here.ask(1).answer.kind == AnswerKind.REJECTED
    here.until(lambda: here.states and here.states[0].answered == 1)
    assert (here.states[0].last_error, here.states[0].last_error_at) == (None, None)
    os.kill(here.states[0].pids[0], signal.SIGKILL)
    here.until(lambda: "signal 9" in (here.states[0].last_error or ""))
    assert before <= here.states[0].last_error_at <= time.time()


def test_answers_of_a_dead_parents_child_count(rig: Rigs) -> None:
    """A helper's output is read to its end after its death, before anything is sent again."""
    here = rig("parent.sh")

    assert here.ask(1).answer.kind == AnswerKind.DISCARD
    here.until(lambda: here.states and here.states[0].answered == 1)


def test_a_stderr_flood_blocks_nobody(rig: Rigs, caplog: pytest.LogCaptureFixture) -> None:
    """stderr is drained all the time; the log gets a bounded part of it."""
    here = rig("flood.sh")

    assert [here.ask(id).answer.kind for id in range(1, 4)] == [AnswerKind.OK] * 3
    lines = [record.getMessage() for record in caplog.records if "something is odd" in record.getMessage()]
    assert 1 <= len(lines) <= 200


def test_a_second_answer_in_one_read(rig: Rigs, base: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What it says is not laid at the message's door."""
    here = rig("say.sh")
    (base / "Queue/1.msg").write_text("%N OK\n%N FAILURE too late\n")

    assert here.ask(1).answer.kind == AnswerKind.OK
    here.until(lambda: "not outstanding" in caplog.text)
    assert "answered FAILURE" not in caplog.text


def test_garbage_is_logged_and_survived(rig: Rigs, caplog: pytest.LogCaptureFixture) -> None:
    """Babble, wrong numbers and second answers change no verdict."""
    here = rig("garbage.pl")

    assert [here.ask(id).answer.kind for id in range(1, 4)] == [AnswerKind.OK] * 3
    here.until(lambda: here.states and here.states[0].answered == 3)
    assert "line without a number" in caplog.text
    assert "not outstanding" in caplog.text


def test_the_dialogue_is_logged_at_low_level(rig: Rigs, caplog: pytest.LogCaptureFixture) -> None:
    """Lines to and from the helper stand in the log of the filter with their lengths."""
    here = rig("ok.sh", log_level="low-level")
    here.ask(1)

    lines = [record.getMessage() for record in caplog.records if record.name == "EXTFILTER(Test)" and record.levelno == logging.INFO]
    assert lines == ["out(8): 1 INTF 4", "inp(8): 1 INTF 4", "out(18): 2 FILE Queue/1.msg", "inp(4): 2 OK"]


def test_asked_again_while_it_runs(rig: Rigs, base: Path) -> None:
    """A message dispatched anew takes over the scan that runs for it; the first asker hears nothing."""
    here = rig("say.sh", timeout=30)
    here.until_state("ready")
    first = here.client()
    here.send(first, Ask(3, 1, "Test", False, 1, True))
    here.until(lambda: here.states[0].in_flight == 1)
    first.close()
    channel = here.send(here.client(), Ask(3, 2, "Test", False, 1, True))
    (base / "Queue/3.msg").write_text("%N OK\n")
    os.kill(here.states[0].pids[0], signal.SIGKILL)  # the helper looked for the file before it was there

    answer = here.answer(channel)
    assert (answer.id, answer.n) == (3, 2)
    assert here.states[0].in_flight <= 1


def test_stop_ends_the_most_stubborn(rig: Rigs) -> None:
    """Stop goes on to SIGKILL for the whole process group, and reaps it."""
    here = rig("stubborn.sh")
    pid = here.until_state("ready").pids[0]
    here.stop()

    assert not alive(pid)
    here.until(lambda: not group(pid))


def test_instances_share_the_work(rig: Rigs) -> None:
    """Two helpers of one slot each take two messages at once."""
    here = rig("mute.sh", instances=2, max_in_flight=1)
    here.until(lambda: here.states and len(here.states[0].pids) == 2 and here.states[0].state == "ready")
    here.until(lambda: all(unit.ready for unit in next(iter(here.server._succession.judging.values())).gate.units[:2]))
    for id in (1, 2):
        here.send(here.client(), Ask(id, 1, "Test", False, 1, True))

    here.until(lambda: here.states[0].in_flight == 2)
    assert isinstance(here.ask(3, park=True), Park)


def test_stalled_is_told(rig: Rigs) -> None:
    """A filter with requests open that says nothing for slow_after is stalled."""
    here = rig("mute.sh", slow_after=0.2)
    here.send(here.client(), Ask(1, 1, "Test", False, 1, False))

    assert here.until_state("stalled").in_flight == 1


def test_many_requests_in_a_second(rig: Rigs) -> None:
    """The multiplexer adds little to a helper: a thousand questions one after the other take no ten seconds."""
    here = rig("ok.sh")
    client = here.client()
    before = time.monotonic()
    for id in range(1000):
        client.ask(Ask(id, 1, "Test", False, 1, False), here.wait)

    assert time.monotonic() - before < 10


def test_a_babbler_leaves_the_others_their_time(rig: Rigs, settings: Make) -> None:
    """Beside a helper that writes nonsense without end, on both its outputs, another filter answers as ever."""
    here = rig(settings("babble.sh", name="Babble"), settings("ok.sh"))
    here.until(lambda: [state.state for state in here.states] == ["ready", "ready"])
    before = time.monotonic()

    assert [here.ask(id).answer.kind for id in range(20)] == [AnswerKind.OK] * 20
    assert time.monotonic() - before < 10


def test_who_closes_its_input_is_replaced(rig: Rigs) -> None:
    """A helper that can hear nothing more is stopped, and what it was asked goes to the next one, uncharged."""
    here = rig("deaf.sh", timeout=15)

    assert here.ask(1).answer.kind == AnswerKind.OK
    here.until(lambda: here.states[0].restarts == 1)
    assert "closed its input, but does not end" in here.states[0].last_error


def test_the_dead_get_nothing(rig: Rigs, base: Path) -> None:
    """While a dead helper's child holds its output nothing is asked of it: the next one answers."""
    here = rig("orphan.sh")
    here.until_state("ready")
    (base / "go").touch()
    here.until_state("restarting")
    channel = here.send(here.client(), Ask(1, 1, "Test", False, 1, False))

    assert here.answer(channel) == VerdictFrame(1, 1, "Test", FilterAnswer(AnswerKind.OK))
    here.until(lambda: here.states[0].restarts == 1)


def test_the_last_words_are_the_last(rig: Rigs) -> None:
    """Of all that a helper wrote to stderr before it died, its end is the reason."""
    here = rig("sh -c 'yes chatter | head -c 60000 >&2; echo no licence >&2; exit 5'", auto_restart=60)

    assert here.until_state("restarting").last_error.endswith("chatter / no licence")
    assert len(here.states[0].last_error) < 2000


def test_a_new_manager_starts_from_nought(rig: Rigs) -> None:
    """When the queue manager is a new one all messages ask again: the old parked ones count no more, and are not woken."""
    here = rig("sh -c 'while [ ! -e go ]; do sleep 0.02; done; exec sh ok'", timeout=30)
    Path("ok").write_bytes((PROGRAMS / "ok.sh").read_bytes())
    here.ask(1, park=True)
    here.until(lambda: here.states and here.states[0].parked == 1)
    here.server.forget_parked()
    here.until(lambda: here.states[0].parked == 0)
    Path("go").touch()
    here.until_state("ready")

    assert here.wakes == []


def test_a_helper_is_replaced_after_so_many_requests(rig: Rigs) -> None:
    """Another is ready before it leaves: nobody is parked for it, none is lost, and it is no restart."""
    here = rig("ok.sh", max_requests=5)
    pids = {here.until_state("ready").pids[0]}
    for id in range(1, 41):
        assert here.ask(id).answer.kind == AnswerKind.OK
        here.until(lambda id=id: here.states[0].answered == id)
        pids.update(here.states[0].pids)

    assert len(pids) >= 4
    assert (here.states[0].restarts, here.states[0].state, here.states[0].last_error) == (0, "ready", None)
    here.until(lambda: len(here.states[0].pids) == 1 and not alive((pids - set(here.states[0].pids)).pop()))


def test_a_helper_is_replaced_when_it_is_old(rig: Rigs, base: Path) -> None:
    """What it was asked it answers; its successor has the next ones meanwhile."""
    here = rig("say.sh", max_age=1.0, timeout=30)
    old = here.until_state("ready").pids[0]
    os.mkfifo(base / "Queue/1.msg")
    channel = here.send(here.client(), Ask(1, 1, "Test", False, 1, False))
    here.until(lambda: len(here.states[0].pids) == 2)
    (base / "Queue/2.msg").write_text("%N OK\n")
    here.until(lambda: here.server._succession.judging["Test"].gate.units[1].ready)
    assert here.ask(2) == VerdictFrame(2, 1, "Test", FilterAnswer(AnswerKind.OK))
    with (base / "Queue/1.msg").open("w") as fifo:
        fifo.write("%N DISCARD\n")

    assert here.answer(channel) == VerdictFrame(1, 1, "Test", FilterAnswer(AnswerKind.DISCARD))
    here.until(lambda: old not in here.states[0].pids and not alive(old))


def test_one_that_hangs_on_its_way_out_is_ended(rig: Rigs) -> None:
    """The time-out holds for it too; it is not started again."""
    here = rig("mute.sh", max_age=1.0, timeout=2.5)
    old = here.until_state("ready").pids[0]
    here.until(lambda: len(here.states[0].pids) == 1)
    assert here.ask(1).answer.kind == AnswerKind.TIMEOUT
    here.until(lambda: not alive(old))
    here.until(lambda: here.states[0].pids and old not in here.states[0].pids)
