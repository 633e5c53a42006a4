"""Demands on attempts: what kills ends in Bad/, what is only unlucky does not."""

import itertools
import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from enqueuer.control import client
from enqueuer.lab.trial import Trial, signal_all

Make = Callable[..., bytes]
Config = Callable[..., str]
Trials = Callable[[str], Trial]
FEW = "max_attempts = 3"


def _working_on(trial: Trial, states: tuple[str, ...]) -> list[dict[str, Any]]:
    return [task for task in trial.status()["processors"]["tasks"] if task["message"] and task["state"] in states]


def _kill_until(trial: Trial, states: tuple[str, ...], done: Callable[[], bool]) -> None:
    """Kill each processor that is seen at work in one of these states, until it is done."""

    def look() -> bool:
        signal_all([task["pid"] for task in _working_on(trial, states)])
        return done()

    trial.wait(look, "it is given up", 60)


def _why(trial: Trial) -> dict[str, Any]:
    (path,) = (trial.base / "Bad").glob("*.why")
    assert path.with_suffix(".msg").exists()
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_what_kills_processors_ends_in_bad(trials: Trials, config: Config, mail: Make) -> None:
    """Three deaths of processors while they write its output: it is given up, with the reason and what happened; others go on."""
    with trials(config(engine=FEW)) as trial:
        trial.drop("poison", mail("poison", '0 ADDHEADER "X-A: b"', size=150 << 20))
        _kill_until(trial, ("writing",), lambda: trial.status()["totals"]["bad"] == 1)
        trial.drop("good", mail("good"))
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == 1, "others go on")
        totals = trial.status()["totals"]
        why = _why(trial)

    assert (totals["received"], totals["enqueued"], totals["bad"]) == (2, 1, 1)
    assert why["attempts"] == 3
    assert "processors ended 3 times" in why["reason"]
    assert len(why["log"]) == 3
    assert "bad: processors ended 3 times" in trial.log()
    assert not (trial.base / "Queue/.attempts").exists()


def test_a_drop_that_kills_whoever_reads_it_goes_back(trials: Trials, config: Config, mail: Make) -> None:
    """It never became a message, so it is the dropper's: NAME.bad with the reason."""
    with trials(config(engine=FEW, processors=1)) as trial:
        trial.drop("poison", mail("poison", size=250 << 20))
        _kill_until(trial, ("reading",), (trial.base / "Submitted/poison.bad.why").exists)

    assert "processors ended 3 times" in json.loads((trial.base / "Submitted/poison.bad.why").read_text())["reason"]
    assert list((trial.base / "Queue").glob("*.msg")) == []


def test_a_message_that_times_out_while_others_are_answered_is_given_up(trials: Trials, config: Config, mail: Make) -> None:
    with trials(config(engine=FEW, filter='timeout = "600ms"').replace('"1s"', '"200ms"')) as trial:
        trial.drop("slow", mail("slow", "60 OK"))
        count = 0
        while trial.status()["totals"]["bad"] == 0:
            count += 1
            trial.drop(f"quick{count}", mail(f"quick{count}", "0.02 OK"))
            trial.wait(lambda: len(trial.outbound()) == count, f"quick ones pass, {count}")  # noqa: B023
            assert count < 500
        why = _why(trial)

    assert why["attempts"] == 3
    assert "Judge did not answer for it 3 times" in why["reason"]


def test_an_outage_sends_nothing_to_bad(trials: Trials, config: Config, mail: Make, tmp_path: Path) -> None:
    """A filter that answers nobody says nothing about any message, however long."""
    (tmp_path / "mute.sh").write_text('read n rest; echo "$n INTF 4"; exec sleep 1000\n')
    mute = config(engine=FEW, filter='timeout = "300ms"', judge=f"sh {tmp_path / 'mute.sh'}").replace('"1s"', '"100ms"')
    with trials(mute) as trial:
        for n in range(5):
            trial.drop(str(n), mail(str(n)))
        trial.wait(lambda: trial.status()["filters"][0]["restarts"] >= 4, "it is restarted again and again")

        assert trial.status()["totals"]["bad"] == 0
        assert not (trial.base / "Queue/.attempts").exists()


def test_killed_processors_that_wait_for_a_filter_charge_nobody(trials: Trials, config: Config, mail: Make) -> None:
    with trials(config(engine=FEW, processors=1)) as trial:
        trial.drop("slow", mail("slow", "2 OK"))
        for death in range(6):
            task = trial.wait(lambda: _working_on(trial, ("filter",)), f"death {death}")[0]
            signal_all([task["pid"]])
            trial.wait(lambda task=task: task["pid"] not in trial.pids("processor"), "it is dead")  # type: ignore[misc]
        trial.wait(lambda: len(trial.outbound()) == 1, "it is enqueued all the same")


def test_what_kills_the_queue_manager_ends_in_bad(trials: Trials, config: Config, mail: Make) -> None:
    """Whatever was being worked on runs one at a time after it; the one over which it dies again is given up, the others pass."""
    with trials(config(engine=FEW, processors=4)) as trial:
        for name in ("a", "b", "c"):
            trial.drop(name, mail(name, "0.3 OK"))
        trial.drop("poison", mail("poison", "8 OK"))
        trial.wait(lambda: trial.status()["processors"]["busy"] == 4, "all four are being worked on")
        poison = _poison(trial)
        before: set[int] = set()

        def at_work() -> bool:
            """In a processor that lives: the board shows the work of the dead until others are there."""
            alive = set(trial.pids("processor")) - before
            return any(task["message"] == poison and task["pid"] in alive for task in _working_on(trial, ("filter",)))

        for death in range(4):
            trial.wait(at_work, f"death {death}")
            before = set(trial.pids("processor"))
            signal_all(trial.pids("queue manager"))
            trial.wait(lambda before=before: not before & set(trial.pids("processor")), "all are new")  # type: ignore[misc]
        trial.wait(lambda: trial.status()["totals"]["bad"] == 1, "it is given up")
        trial.wait(lambda: len(trial.outbound()) == 3, "the others are enqueued")

        why = _why(trial)
        assert poison == str(why["id"])
        assert (why["recipients"], why["subject"], why["message_id"]) == (["bob@b.example"], "poison", "poison@test.example")
        line = next(line for line in trial.log().splitlines() if f"QUEUE([{poison}]) bad: " in line)
        assert "; to=<bob@b.example>, message-id=<poison@test.example>, delay=" in line
        assert line.endswith('s, subject="poison"')


def _poison(trial: Trial) -> str:
    """The id of the message that says poison. A busy processor may still be reading its drop."""

    def found() -> str:
        return next((path.stem for path in (trial.base / "Queue").glob("*.msg") if b"Subject: poison" in path.read_bytes()), "")

    return trial.wait(found, "the message file is there")


def test_what_kills_helpers_ends_in_bad_and_the_others_pass(trials: Trials, config: Config, mail: Make) -> None:
    """200 messages, one of which kills whatever judges it: it is found, nobody else is charged, the others are enqueued."""
    with trials(config(filter='timeout = "60s"')) as trial:
        for n in range(200):
            trial.drop(f"{n:03}", mail(str(n), "die" if n == 77 else "0.01 OK"))
        trial.wait(lambda: len(trial.outbound()) == 199 and trial.status()["totals"]["bad"] == 1, "all are decided", 60)
        why = _why(trial)
        filter = trial.status()["filters"][0]
        attempts = (trial.base / "Queue/.attempts").exists()

    assert b"Subject: 77" in (trial.base / f"Bad/{why['id']}.msg").read_bytes()
    assert (why["attempts"], why["filter"], why["reason"]) == (5, "Judge", "5 helpers of Judge ended while they scanned this message")
    assert filter["restarts"] <= 7  # five that are charged, one for the suspicion, one over nothing that was answered
    assert not attempts, "nobody else was charged"


@pytest.mark.parametrize("how", ["die", "leave"])
def test_a_few_others_are_enough_to_find_who_ends_helpers(trials: Trials, config: Config, mail: Make, how: str) -> None:
    """What was proved once needs no further proof: with three others, answered long since, it comes to its end all the same."""
    with trials(config(filter='timeout = "60s"').replace('auto_restart = "100ms"', 'auto_restart = "0s"')) as trial:
        trial.drop("poison", mail("poison", how))
        for n in range(3):
            trial.drop(str(n), mail(str(n), "0.01 OK"))
        trial.wait(lambda: len(trial.outbound()) == 3 and trial.status()["totals"]["bad"] == 1, "all are decided", 60)
        why = _why(trial)

    assert (why["attempts"], why["filter"]) == (5, "Judge")


def test_helpers_that_die_over_everything_charge_nobody(trials: Trials, config: Config, mail: Make, tmp_path: Path) -> None:
    """An outage, however long: when the filter is itself again all is enqueued."""
    (tmp_path / "ill").touch()
    script = f'read n rest; echo "$n INTF 4"; while read n verb rest; do [ -e {tmp_path}/ill ] && exit 3; echo "$n OK"; done'
    (tmp_path / "ill.sh").write_text(script + "\n")
    ill = config(engine="max_attempts = 1", filter='timeout = "60s"', judge=f"sh {tmp_path / 'ill.sh'}")
    with trials(ill.replace('auto_restart = "100ms"', 'auto_restart = "0s"')) as trial:
        for n in range(20):
            trial.drop(str(n), mail(str(n)))
        trial.wait(lambda: trial.status()["filters"][0]["restarts"] >= 4, "it is restarted again and again")
        (tmp_path / "ill").unlink()
        trial.wait(lambda: len(trial.outbound()) == 20, "all are enqueued")
        totals = trial.status()["totals"]

    assert totals["bad"] == 0


REFUSED = '0 REJECTED "cannot read it"'


def _short(config: Config, **parts: str) -> str:
    return config(engine=FEW, **parts).replace('retry_after = "1s"', 'retry_after = "50ms"')


def _beside_others(trial: Trial, mail: Make, done: Callable[[], bool]) -> None:
    """Other messages are scanned all the time."""
    count = 0

    def look() -> bool:
        nonlocal count
        count += 1
        trial.drop(f"other{count}", mail(f"other{count}"))
        return done()

    trial.wait(look, "it is given up")


def test_what_a_filter_refuses_for_its_own_sake_ends_in_bad(trials: Trials, config: Config, mail: Make) -> None:
    """After growing pauses and a few scans, with the reason; and not before the filter has scanned others meanwhile."""
    with trials(_short(config)) as trial:
        trial.drop("odd", mail("odd", REFUSED))
        _beside_others(trial, mail, lambda: trial.status()["totals"]["bad"] == 1)
        why = _why(trial)
        scans = trial.log().count("of 3 times): cannot read it")

    assert (why["filter"], why["attempts"]) == ("Judge", 3)
    assert "Judge refused it 3 times, while it scanned others: cannot read it" in why["reason"]
    assert scans == 3


def test_what_a_filter_refuses_may_be_quarantined(trials: Trials, config: Config, mail: Make) -> None:
    """By `on_refused`. Released, it goes on after that filter."""
    with trials(_short(config, filter='on_refused = "quarantine"')) as trial:
        trial.drop("odd", mail("odd", REFUSED, to="odd@smtp.example"))
        _beside_others(trial, mail, lambda: trial.status()["totals"]["quarantined"] == 1)
        (path,) = (trial.base / "Quarantine").glob("*.why")
        assert json.loads(path.read_text())["rule"] == "scan everything"
        assert client.ask(trial.base, {"command": "release", "id": int(path.stem)}, 20)["ok"]
        trial.wait(lambda: trial.outbound("SMTP"), "it is enqueued")


def test_an_outage_that_refuses_everything_charges_nothing(trials: Trials, config: Config, mail: Make) -> None:
    """All messages wait, for as long as the filter scans none."""
    with trials(_short(config)) as trial:
        for n in range(5):
            trial.drop(f"m{n}", mail(f"m{n}", REFUSED))
        trial.wait(lambda: trial.status()["filters"][0]["answered"] > 60, "each was refused often")
        assert trial.status()["totals"]["bad"] == 0
        assert not (trial.base / "Queue/.attempts").exists()


def test_the_pause_grows_while_a_filter_refuses_it_alone(trials: Trials, config: Config, mail: Make) -> None:
    """With `on_refused = "defer"` it is never given up, and scanned less and less often."""
    with trials(_short(config, filter='on_refused = "defer"')) as trial:
        trial.drop("odd", mail("odd", REFUSED))
        _beside_others(trial, mail, lambda: "(5 of 3 times)" in trial.log())
        scans = trial.status()["filters"][0]["answered"] - trial.status()["totals"]["enqueued"]
        times = re.findall(r"^(\S+) 3 QUEUE.* of 3 times\)", trial.log(), re.MULTILINE)
        moments = [datetime.strptime(each, "%H:%M:%S.%f") for each in times]
        pauses = [(after - before).total_seconds() for before, after in itertools.pairwise(moments)]
        assert pauses[0] < pauses[-1]
        assert scans < 20
        assert trial.status()["totals"]["bad"] == 0
