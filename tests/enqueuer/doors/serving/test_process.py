"""Door processes of whole engines, asked by a small MTA: what it hears, and what is left behind when each party dies."""

import os
import re
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enqueuer.lab.trial import Trial, signal_all
from tests.helpers.mta import Mta, free_port

Trials = Callable[[str], Trial]
Config = Callable[..., str]
Mail = Callable[..., bytes]


def door(port: int, more: str = "", name: str = "postfix") -> str:
    return f'[[doors]]\nname = "{name}"\nkind = "milter"\nlisten = "inet:127.0.0.1:{port}"\n{more}\n'


@pytest.fixture
def port() -> int:
    return free_port()


def of(trial: Trial, name: str = "postfix") -> dict[str, Any]:
    return next(each for each in trial.status()["doors"] if each["name"] == name)


def left(trial: Trial) -> list[str]:
    return os.listdir(trial.base / "Asked")


def lines(trial: Trial, words: str) -> list[str]:
    return [line for line in trial.log().splitlines() if " DOOR([" in line and words in line]


def test_each_answer_of_a_filter_reaches_the_mta(trials: Trials, config: Config, mail: Mail, port: int) -> None:
    with trials(config(more=door(port))) as trial, Mta(port) as mta:
        mta.greet()
        assert mta.ask(mail("1"))[:2] == (b"c", "")
        added = mta.ask(mail("2", '0 ADDHEADER "X-Seen: yes"'))
        assert added.letter == b"c"
        assert added.changes == ((b"i", b"\0\0\0\0X-Seen\0 yes\0"),)
        caught = mta.ask(mail("3", '0 ERROR "a virus"'))
        assert re.fullmatch(r"550 5\.7\.1 a virus \(Judge, id 1\d{17}\)", caught.text)
        assert mta.ask(mail("4", '0 REJECTED "not now"')).text.startswith("451 4.7.1 not now")
        assert mta.ask(mail("5", "0 DISCARD")).letter == b"d"
        assert mta.ask(mail("6", '0 ADDROUTE "c@c.example"')).changes == ((b"+", b"<c@c.example>\0"),)
        assert not left(trial)
        trial.wait(lambda: of(trial)["asked"] == 6, "the status has the counts")
        shown = of(trial)
        assert (shown["accepted"], shown["refused"], shown["tempfailed"], shown["discarded"]) == (3, 1, 1, 1)
        assert (shown["sessions"], shown["cancelled"]) == (1, 0)
        totals = trial.status()["totals"]
        assert not any(totals.values())
        trial.wait(lambda: len(lines(trial, "postfix")) == 6, "the log has a line a message")
        (line,) = lines(trial, "rejected")
        for fact in ("to=<bob@b.example>", "message-id=<3@test.example>", "from=<ann@a.example>", "client=192.0.2.7", "queue-id=4F2K1"):
            assert fact in line


def test_a_late_answer_serves_the_second_try(trials: Trials, config: Config, mail: Mail, port: int) -> None:
    with trials(config(more=door(port, 'answer_within = "200ms"'))) as trial, Mta(port) as mta:
        mta.greet()
        slow = mail("1", '0.8 ERROR "found late"')
        began = time.monotonic()
        assert mta.ask(slow).text.startswith("451 4.7.1 Judge has not scanned the message yet")
        assert time.monotonic() - began < 0.8
        trial.wait(lambda: trial.status()["filters"][0]["answered"] == 1, "the scan goes on")
        trial.wait(lambda: not left(trial), "its file is removed")
        again = mta.ask(slow, id="4F2K2")
        assert again.text.startswith("550 5.7.1 found late")
        assert trial.status()["filters"][0]["answered"] == 1
        assert mta.ask(slow, sender="other@a.example").text.startswith("451")


def test_a_new_configuration_drops_the_kept_answers(trials: Trials, config: Config, mail: Mail, port: int) -> None:
    text = config(more=door(port, 'answer_within = "200ms"'))
    with trials(text) as trial, Mta(port) as mta:
        mta.greet()
        slow = mail("1", "0.5 OK")
        assert mta.ask(slow).text.startswith("451")
        trial.wait(lambda: not left(trial), "the late scan ends")
        trial.configure(text.replace("max_in_flight = 50", "max_in_flight = 49"))
        trial.wait(lambda: "configuration 2 accepted" in trial.log(), "the new configuration is active")
        trial.wait(lambda: trial.status()["filters"][0]["state"] == "ready" and len(trial.pids("helper")) <= 1, "one helper is there")
        trial.wait(lambda: mta.ask(slow).text.startswith("451"), "the message is scanned again", 5)


@pytest.mark.parametrize(("word", "letter"), [("pass", b"c"), ("quarantine", b"c"), ("defer", b"y")])
def test_on_late_and_on_failure_are_the_doors_own(trials: Trials, config: Config, mail: Mail, port: int, word: str, letter: bytes) -> None:
    more = door(port, f'answer_within = "200ms"\non_late = "{word}"\non_failure = "{word}"')
    with trials(config(more=more)) as trial, Mta(port) as mta:
        mta.greet()
        late = mta.ask(mail("1", "5 OK"))
        failed = mta.ask(mail("2", "0 nonsense"))
        for found in (late, failed):
            assert found.letter == letter
            assert any(change[0] == b"q" for change in found.changes) == (word == "quarantine")
        trial.wait(lambda: not left(trial) or word == "defer", "nothing is left")


def test_an_mta_that_leaves_frees_the_slot_of_its_message(trials: Trials, config: Config, mail: Mail, port: int) -> None:
    with trials(config(slots=1, more=door(port))) as trial, Mta(port) as first, Mta(port) as second, Mta(port) as third:
        first.greet().message(mail("1", "1 OK"))
        trial.wait(lambda: trial.status()["filters"][0]["in_flight"] == 1, "the first is scanned")
        second.greet().message(mail("2", "30 OK"))
        trial.wait(lambda: len(left(trial)) == 2, "the second waits for the slot")
        second.sock.close()
        trial.wait(lambda: len(left(trial)) == 1, "the file of the second is removed")
        third.greet()
        assert third.ask(mail("3")).letter == b"c"
        assert first.reply().letter == b"c"
        trial.wait(lambda: of(trial)["cancelled"] == 1, "the status counts it")
        assert len(lines(trial, "cancelled")) == 1


def test_a_dead_multiplexer_loses_no_answer(trials: Trials, config: Config, mail: Mail, port: int) -> None:
    with trials(config(more=door(port))) as trial, Mta(port) as mta:
        mta.greet().message(mail("1", '0.5 ERROR "a virus"'))
        trial.wait(lambda: trial.status()["filters"][0]["in_flight"] == 1, "it is scanned")
        signal_all(trial.pids("filterlink"))
        assert mta.reply().text.startswith("550 5.7.1 a virus")


def test_a_dead_door_is_replaced_and_leaves_nothing(trials: Trials, config: Config, mail: Mail, port: int) -> None:
    with trials(config(more=door(port))) as trial:
        with Mta(port) as mta:
            mta.greet()
            assert mta.ask(mail("1")).letter == b"c"
            mta.message(mail("2", "20 OK"))
            trial.wait(lambda: bool(left(trial)), "it is scanned")
            trial.wait(lambda: of(trial)["asked"] == 1, "the count is published")
            signal_all(trial.pids("door"))
            with pytest.raises((EOFError, ConnectionError)):
                mta.reply()
        with Mta(port) as mta:
            assert mta.greet().ask(mail("3")).letter == b"c"
        assert not left(trial)
        trial.wait(lambda: of(trial)["asked"] == 2, "the counts go on")


def test_a_message_that_ends_helpers_is_deferred_and_the_others_go_on(trials: Trials, config: Config, mail: Mail, port: int) -> None:
    with trials(config(more=door(port))) as trial, Mta(port) as poison, Mta(port) as good:
        poison.greet().message(mail("1", "die"))
        good.greet()
        assert poison.reply().text.startswith("451 4.7.1 Judge cannot scan the message now")
        assert good.ask(mail("2")).letter == b"c"
        assert trial.status()["filters"][0]["restarts"] <= 2
        assert len(trial.pids("door")) == 1


def test_doors_change_live(trials: Trials, config: Config, mail: Mail, port: int) -> None:
    other = free_port()
    with trials(config(more=door(port))) as trial, Mta(port) as mta:
        mta.greet()
        trial.configure(config(more=door(port, 'on_caught = "discard"') + door(other, name="second")))
        trial.wait(lambda: len(trial.status()["doors"]) == 2, "there are two doors")
        with Mta(other) as more:
            assert more.greet().ask(mail("1")).letter == b"c"
        trial.wait(lambda: mta.ask(mail("2", '0 ERROR "a virus"')).letter == b"d", "an open session has the new settings")
        mta.message(mail("3", "1 OK"))
        trial.wait(lambda: bool(left(trial)), "it is scanned")
        trial.configure(config(more=door(other, name="second")))
        assert mta.reply().letter == b"c"
        with pytest.raises((EOFError, ConnectionError)):
            mta.hear()
        trial.wait(lambda: not _open(port), "the old door is closed")
        trial.configure(config(more=f"[[doors]]\n{door(other, name='second')[10:]}" + door(other + 0, name="third")))
        trial.wait(lambda: "listens there" in str(trial.status()["config"]["error"]), "two doors at one address are refused")
        assert _open(other)


@pytest.mark.parametrize("trouble", ["no-such-group", "disk"])
def test_a_refused_revision_leaves_engine_and_doors_as_they_were(
    trials: Trials, config: Config, mail: Mail, port: int, trouble: str
) -> None:
    """A door process that starts after the refusal still knows the door by its old name."""
    unix = '[[doors]]\nname = "unix"\nkind = "milter"\nlisten = "unix:a.sock"\n'
    with trials(config(more=door(port) + unix)) as trial:
        if trouble == "disk":
            (trial.base / "Run/config.2").mkdir()  # the copy of the new revision cannot be written
        group = 'group = "no-such-group"\n' if trouble == "no-such-group" else ""
        trial.configure(config(more=door(port, name="renamed") + unix + group))
        trial.wait(lambda: trial.status()["config"]["error"], "it is refused")
        old = trial.pids("door")
        signal_all(old)
        trial.wait(lambda: trial.pids("door") not in ([], old), "another process is there")
        with Mta(port, timeout=5) as mta:
            assert mta.greet().ask(mail("1")).letter == b"c"


def test_a_process_without_descriptors_for_a_new_door_is_replaced(trials: Trials, config: Config, mail: Mail, port: int) -> None:
    """Else the new door has a listener that no process serves, and an MTA waits for minutes."""
    other = free_port()
    with trials(config(more=door(port))) as trial:
        (pid,) = trial.pids("door")
        trial.wait(lambda: _open(port), "it listens")
        used = {int(each) for each in os.listdir(f"/proc/{pid}/fd")}
        first_free = min(set(range(1000)) - used)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (first_free + 1, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))
        trial.configure(config(more=door(other, name="new") + door(port)))
        trial.wait(lambda: "configuration 2 accepted" in trial.log(), "there are two doors")
        for each in (other, port):
            with Mta(each, timeout=5) as mta:
                assert mta.greet().ask(mail("1")).letter == b"c"


def test_doors_that_get_new_names_again_and_again_are_still_counted(trials: Trials, config: Config, mail: Mail) -> None:
    """A page that does not fit is not shown. Then the supervisor would kill the process: its loop seems to do nothing."""

    def doors(generation: int) -> str:
        listen = 'kind = "milter"\nmax_sessions = 10\nlisten = "unix:{}.sock"\n'
        return config(more="".join(f'[[doors]]\nname = "{n:026}{generation:06}"\n{listen.format(n)}' for n in range(63)))

    with trials(doors(0)) as trial:
        for generation in range(1, 6):
            trial.configure(doors(generation))
            trial.wait(lambda g=generation: f"configuration {g + 1} accepted" in trial.log(), "the doors have new names")  # type: ignore[misc]
        trial.wait(lambda: len(trial.pids("door")) == 1, "the process is there")
        trial.wait(lambda: _accepted(trial.base / "0.sock", mail("1")), "a message is accepted")
        trial.wait(lambda: of(trial, f"{0:026}{5:06}")["asked"] == 1, "the message is counted", 5)


def _accepted(socket: Path, data: bytes) -> bool:
    """Ask about a message as an MTA does, which tries again after a reset: the door may just take over its listeners."""
    try:
        with Mta(socket) as mta:
            return mta.greet().ask(data).letter == b"c"
    except (ConnectionResetError, EOFError):
        return False


def _open(port: int) -> bool:
    try:
        Mta(port).sock.close()
    except OSError:
        return False
    return True


def test_a_door_at_a_used_address_is_refused_and_the_old_ones_stay(trials: Trials, config: Config, mail: Mail, port: int) -> None:
    import socket

    with trials(config(more=door(port))) as trial, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        trial.configure(config(more=door(taken.getsockname()[1])))
        trial.wait(lambda: "another program listens there" in str(trial.status()["config"]["error"]), "it is refused")
        with Mta(port) as mta:
            assert mta.greet().ask(mail("1")).letter == b"c"


def test_more_sessions_than_allowed_are_turned_away_with_a_reason(trials: Trials, config: Config, mail: Mail, port: int) -> None:
    with trials(config(more=door(port, "max_sessions = 2"))) as trial, Mta(port) as one, Mta(port) as two, Mta(port) as three:
        one.greet()
        two.greet()
        three.greet()
        letter, text = three.hear()
        assert (letter, text[:4]) == (b"y", b"421 ")
        assert one.ask(mail("1")).letter == b"c"
        trial.wait(lambda: of(trial)["turned_away"] == 1, "the status counts it")


def test_a_stopping_engine_answers_the_messages_in_work(trials: Trials, config: Config, mail: Mail, port: int) -> None:
    trial = trials(config(more=door(port)))
    trial.start()
    with Mta(port) as busy, Mta(port) as idle:
        idle.greet()
        busy.greet().message(mail("1", "1 OK"))
        trial.wait(lambda: bool(left(trial)), "it is scanned")
        assert trial.process is not None
        os.kill(trial.process.pid, signal.SIGTERM)
        with pytest.raises((EOFError, ConnectionError)):
            idle.hear()
        assert busy.reply().letter == b"c"
    assert trial.stop() == 0
    assert not left(trial)


def test_a_missing_folder_defers_and_is_made_again(trials: Trials, config: Config, mail: Mail, port: int) -> None:
    with trials(config(more=door(port))) as trial, Mta(port) as mta:
        mta.greet()
        (trial.base / "Asked").rmdir()
        found = mta.ask(mail("1"))
        assert found.text.startswith("451 4.3.0") or found.letter == b"c"  # the supervisor may be faster
        trial.wait(lambda: mta.ask(mail("2")).letter == b"c", "the folder is there again")


def test_mail_in_a_loop_is_refused(trials: Trials, config: Config, mail: Mail, port: int) -> None:
    with trials(config(more=door(port))), Mta(port) as mta:
        looped = b"".join(b"Received: from a by b; %d\n" % n for n in range(51)) + mail("1")
        assert mta.greet().ask(looped).text.startswith("554 5.4.6")
        assert mta.ask(looped.partition(b"\n")[2]).letter == b"c"


def test_a_filter_sees_session_and_client(trials: Trials, config: Config, mail: Mail, port: int, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    helper = tmp_path / "copy.py"
    helper.write_text(
        "import sys, shutil\n"
        "for line in sys.stdin:\n"
        "    number, verb, *rest = line.split()\n"
        f"    if verb == 'FILE': shutil.copy(rest[0], {str(seen)!r})\n"
        "    print(number, 'INTF 4' if verb == 'INTF' else 'OK', flush=True)\n"
    )
    import sys

    with trials(config(judge=f"{sys.executable} {helper}", more=door(port))), Mta(port) as mta:
        assert mta.greet().ask(mail("1")).letter == b"c"
    lines = seen.read_bytes().split(b"\n")
    assert lines[0].endswith(b"<ann@a.example>")
    assert lines[2] == b"S SMTP [192.0.2.7]"
    assert b" helo=mx.example" in lines[3]
    assert b" queue-id=4F2K1" in lines[3]
    assert lines[4].endswith(b"<bob@b.example>")
    assert lines[6].startswith(b"Received: from mx.example ([192.0.2.7] helo=mx.example)")
    assert b"From: ann@a.example" in lines
