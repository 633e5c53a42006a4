"""Demands on the live configuration: every key that may change does, within 2 s, and a bad file changes nothing."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer import exits
from enqueuer.lab.trial import Trial
from tests.helpers.paths import HELPERS, PROGRAMS
from tests.storm import weather
from tests.storm.faults import Fault

Make = Callable[..., bytes]
Config = Callable[..., str]
Trials = Callable[[str], Trial]
JUDGE = f"{sys.executable} {HELPERS / 'judge.py'}"
ALL_BAD = f"sh {PROGRAMS / 'says.sh'} ERROR"
OTHER = f"""
[[filters]]
name = "Other"
program = "{JUDGE}"
[[rules]]
name = "other"
priority = 9
actions = [["ExternalFilter", "Other"]]
"""


def _reload(trial: Trial, text: str) -> None:
    """Write the file and wait until it is in force."""
    trial.configure(text)
    command = [sys.executable, "-m", "enqueuer.cli.app", "reload", "--base", str(trial.base)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def _filters(trial: Trial) -> dict[str, str]:
    return {each["name"]: each["state"] for each in trial.status()["filters"]}


def test_filters_come_and_go(trials: Trials, config: Config, mail: Make) -> None:
    """A new filter judges what comes after it; a removed one is asked no more; the others are not even restarted."""
    with trials(config()) as trial:
        _reload(trial, config(more=OTHER))
        trial.wait(lambda: _filters(trial) == {"Judge": "ready", "Other": "ready"}, "both are ready")
        trial.drop("a", mail("a", '0 ADDHEADER "X-A: b"'))
        trial.wait(lambda: len(trial.outbound()) == 1, "it is enqueued")
        assert trial.outbound()[0].read_bytes().count(b"X-A: b\n") == 2

        _reload(trial, config())
        trial.wait(lambda: _filters(trial) == {"Judge": "ready"}, "one is there")
        trial.drop("b", mail("b"))
        trial.wait(lambda: len(trial.outbound()) == 2, "the next is enqueued")
        assert trial.status()["filters"][0]["restarts"] == 0
    assert " ended with exit code" not in trial.log()  # no process of ours, the logger included


def test_changed_settings_restart_that_filter_only_and_after_its_answers(trials: Trials, config: Config, mail: Make) -> None:
    with trials(config(more=OTHER, processors=2)) as trial:
        trial.wait(lambda: set(_filters(trial).values()) == {"ready"}, "both are ready")
        before = {each["name"]: each["pids"] for each in trial.status()["filters"]}
        trial.drop("slow", mail("slow", "0.7 OK"))
        trial.wait(lambda: trial.status()["filters"][1]["in_flight"] == 1, "it is being judged by the other")
        _reload(trial, config(more=OTHER.replace('name = "Other"', 'name = "Other"\nmax_in_flight = 3', 1), processors=2))
        trial.drop("next", mail("next"))
        trial.wait(lambda: len(trial.outbound()) == 2, "both are enqueued")
        after = {each["name"]: each["pids"] for each in trial.status()["filters"]}

    assert after["Judge"] == before["Judge"]
    assert after["Other"] != before["Other"]
    assert "no answer" not in trial.log()


def _slow(judge: str) -> str:
    """A helper that is not ready before the file `go` is there."""
    return f"sh -c 'until [ -e go ]; do sleep 0.02; done; exec {judge}'"


def test_mail_does_not_feel_that_a_helper_is_replaced(trials: Trials, config: Config, mail: Make) -> None:
    """Until the new helper is ready the old one judges, and `reload` waits; when it has said so, the new one judges all."""
    with trials(config(processors=2)) as trial:
        trial.wait(lambda: _filters(trial) == {"Judge": "ready"}, "it is ready")
        trial.configure(config(processors=2, judge=_slow(ALL_BAD)))
        command = [sys.executable, "-m", "enqueuer.cli.app", "reload", "--base", str(trial.base)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as reload:
            trial.wait(lambda: len(trial.status()["filters"][0]["pids"]) == 2, "both run")
            for n in range(20):
                trial.drop(f"a{n}", mail(f"a{n}"))
            trial.wait(lambda: len(trial.outbound()) == 20, "the old one judges")
            assert (reload.poll(), trial.status()["queue"]["parked"], _filters(trial)) == (None, 0, {"Judge": "ready"})
            (trial.base / "go").touch()
            assert reload.wait(20) == 0
        for n in range(20):
            trial.drop(f"b{n}", mail(f"b{n}"))
        trial.wait(lambda: trial.status()["totals"]["quarantined"] == 20, "the new one judges all")
        assert len(trial.outbound()) == 20


def test_what_the_old_helper_held_the_new_one_is_asked_at_once(trials: Trials, config: Config, mail: Make) -> None:
    """Also where it takes its time to start: the old one may hold it once more, the new one need not wait for `retry_after`."""
    text = config().replace('retry_after = "1s"', 'retry_after = "10m"')
    with trials(text) as trial:
        trial.drop("deferred", mail("deferred", '0 REJECTED "not now"'))
        trial.wait(lambda: trial.status()["queue"]["deferred"] == 1, "it is deferred")
        trial.configure(text.replace(JUDGE, _slow(ALL_BAD)))
        trial.wait(lambda: trial.status()["filters"][0]["answered"] == 2, "the old one is asked again", 10)
        trial.wait(lambda: trial.status()["queue"]["deferred"] == 1, "it is deferred again")
        (trial.base / "go").touch()
        trial.wait(lambda: trial.status()["totals"]["quarantined"] == 1, "the new one judges it", 10)


def test_a_helper_that_cannot_be_started_is_told(trials: Trials, config: Config, mail: Make) -> None:
    """`reload` says that the revision is not in force, with the filter and the reason; mail goes on under the old settings."""
    with trials(config()) as trial:
        trial.wait(lambda: _filters(trial) == {"Judge": "ready"}, "it is ready")
        trial.configure(config(judge="no-such-program"))
        command = [sys.executable, "-m", "enqueuer.cli.app", "reload", "--base", str(trial.base)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == exits.TEMPFAIL
        assert 'filter "Judge" cannot be started: program' in done.stderr
        trial.drop("a", mail("a"))
        trial.wait(lambda: len(trial.outbound()) == 1, "it is enqueued")
        _reload(trial, config())
        trial.wait(lambda: _filters(trial) == {"Judge": "ready"}, "nothing is amiss any more", 5)


def test_what_waits_for_a_removed_filter_goes_on_without_it(trials: Trials, config: Config, mail: Make) -> None:
    """In work, parked or deferred there: it is dispatched again, under the rules that are in force now."""
    with trials(config(more=OTHER.replace('name = "Other"', 'name = "Other"\nmax_in_flight = 1', 1)).replace('"1s"', '"10m"')) as trial:
        trial.drop("deferred", mail("deferred", '0 REJECTED "not now"'))
        trial.wait(lambda: trial.status()["queue"]["deferred"] == 1, "one is deferred")
        for n in range(3):
            trial.drop(f"slow{n}", mail(f"slow{n}", "1000 OK"))
        trial.wait(lambda: trial.status()["queue"]["parked"] >= 1, "some are parked")
        disabled = config(filter="enabled = false").replace('"1s"', '"10m"')
        _reload(trial, disabled)
        trial.wait(lambda: len(trial.outbound()) == 4, "all are enqueued")


LONG = 'retry_after = "10m"'
CHANGES = {
    "the filter lets pass": (LONG, 'on_failure = "pass"', ""),
    "the rule lets pass": (LONG, "", 'on_failure = "pass"'),
    "the time is shorter": ('retry_after = "1s"', "", ""),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_held_comes_back_when_the_file_says_otherwise(trials: Trials, config: Config, mail: Make, change: tuple[str, ...]) -> None:
    """At once, not after the `retry_after` that it was deferred with."""

    def text(retry_after: str, filter: str, rule: str) -> str:
        made = config(filter=f'timeout = "300ms"\n{filter}', engine="max_attempts = 1000")
        made = made.replace('retry_after = "1s"', retry_after)
        return made.replace('name = "scan everything"', f'name = "scan everything"\n{rule}')

    with trials(text(LONG, "", "")) as trial:
        for n in range(3):
            trial.drop(f"held{n}", mail(f"held{n}", "60 OK"))
        trial.wait(lambda: trial.status()["queue"]["deferred"] == 3, "all are deferred")
        asked = trial.status()["filters"][0]["restarts"]
        _reload(trial, text(*change))
        trial.wait(lambda: trial.status()["filters"][0]["restarts"] > asked or trial.outbound(), "they are judged again")
        if "pass" in "".join(change):
            trial.wait(lambda: len(trial.outbound()) == 3, "they pass")


def test_rules_and_routes_are_live(trials: Trials, config: Config, mail: Make) -> None:
    """A new module's folder is made before anything is routed there."""
    with trials(config()) as trial:
        route = '[[routes]]\nrecipient = "*@new.example"\nto = "NEW"\n'
        _reload(
            trial,
            config(
                more='[[rules]]\nname = "drop"\npriority = 9\nconditions = [["Message Size", "greater than", "10K"]]\n'
                'actions = [["Discard"]]\n' + route
            ),
        )
        trial.drop("large", mail("large", size=20_000))
        trial.drop("new", mail("new", to="x@new.example"))
        trial.wait(lambda: trial.status()["totals"]["discarded"] == 1, "one is discarded")
        trial.wait(lambda: len(trial.outbound("NEW")) == 1, "one is routed")


def test_spool_settings_are_live(trials: Trials, config: Config, mail: Make) -> None:
    with trials(config()) as trial:
        (trial.base / "Submitted/a.mail").write_bytes(mail("a"))
        _reload(trial, config(more='[spool]\nsuffixes = [".mail"]\nmax_size = "1K"'))
        trial.wait(lambda: len(trial.outbound()) == 1, "what was passed over is taken now")
        (trial.base / "Submitted/b.mail").write_bytes(mail("b", size=2000))
        trial.wait((trial.base / "Submitted/b.bad").exists, "the new limit holds")


def test_what_cannot_change_live_says_so(trials: Trials, config: Config) -> None:
    with trials(config()) as trial:
        trial.configure(config(more='[spool]\ndurability = "off"'))
        trial.wait(lambda: trial.status()["config"]["error"], "it is refused", 3)
        assert "spool.durability" in trial.status()["config"]["error"]
        assert "restart" in trial.status()["config"]["error"]


@pytest.mark.alone
@pytest.mark.parametrize("way", ["rename", "in place", "symlink"])
def test_any_way_of_writing_the_file_is_seen(trials: Trials, config: Config, way: str, tmp_path: Path) -> None:
    """An editor's rename, a write in place, a symlink that is swapped as Kubernetes does: in force within 2 s."""
    with trials(config(processors=2)) as trial:
        file = trial.base / "Settings/enqueuer.toml"
        if way == "rename":
            trial.configure(config(processors=3))
        elif way == "in place":
            file.write_text(config(processors=3))
        else:
            for name, count in (("one", 2), ("two", 3)):
                (tmp_path / name).mkdir()
                (tmp_path / name / "enqueuer.toml").write_text(config(processors=count))
            (tmp_path / "data").symlink_to("one")
            file.unlink()
            file.symlink_to(tmp_path / "data/enqueuer.toml")
            trial.wait(lambda: trial.status()["config"]["error"] is None, "the link is taken")
            (tmp_path / "next").symlink_to("two")
            os.rename(tmp_path / "next", tmp_path / "data")
        trial.wait(lambda: trial.status()["processors"]["running"] == 3, "it is in force", 2)


def test_a_file_that_is_written_slowly_is_never_taken_half(trials: Trials, config: Config) -> None:
    """Whatever part of it is there when the engine looks, it is the old configuration or the new one, or refused."""
    luck = random.Random(7)
    text = config(processors=5)
    with trials(config(processors=2)) as trial:
        with (trial.base / "Settings/enqueuer.toml").open("w") as file:
            for at in range(0, len(text), 60):
                file.write(text[at : at + 60])
                file.flush()
                if luck.random() < 0.3:
                    state = trial.status()
                    assert state["processors"]["configured"] == 2 or at + 60 >= len(text)
        trial.wait(lambda: trial.status()["processors"]["running"] == 5, "the whole file is in force", 3)


def test_a_refused_reload_exits_78(trials: Trials, config: Config) -> None:
    with trials(config()) as trial:
        trial.configure("rules = [")
        command = [sys.executable, "-m", "enqueuer.cli.app", "reload", "--base", str(trial.base)]
        assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == exits.CONFIG


def test_a_rules_word_on_failure_is_live(trials: Trials, config: Config, mail: Make) -> None:
    """One message that gets no answer under each policy; what is deferred goes on by the next one."""
    text = config(filter='timeout = "300ms"', engine="max_attempts = 1000")
    dispositions = {"quarantine": "quarantined", "reject": "rejected", "pass": "enqueued"}
    with trials(text) as trial:
        for number, (policy, disposition) in enumerate(dispositions.items()):
            _reload(trial, text.replace('name = "scan everything"', f'name = "scan everything"\non_failure = "{policy}"'))
            trial.drop(policy, mail(policy, "60 OK"))
            trial.wait(lambda disposition=disposition: trial.status()["totals"][disposition] == 1, disposition)  # type: ignore[misc]
            assert sum(trial.status()["totals"][each] for each in dispositions.values()) == number + 1
        _reload(trial, text.replace('name = "scan everything"', 'name = "scan everything"\non_failure = "defer"'))
        trial.drop("defer", mail("defer", "60 OK"))
        trial.wait(lambda: "deferred: filter" in trial.log(), "it is deferred")
        _reload(trial, text.replace('name = "scan everything"', 'name = "scan everything"\non_failure = "pass"'))
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == 2, "it passes")


# What is not written to its end, and what cannot be put in force

RULES = """
[[rules]]
name = "discard all"
priority = 9
actions = [["Discard"]]
"""
NOTHING = """
[[rules]]
name = "nothing"
priority = 0
actions = [["Discard"]]
"""


def _command(trial: Trial, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "enqueuer.cli.app", *words, "--base", str(trial.base)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _halves(config: Config) -> tuple[str, str]:
    """A whole file whose first half could be taken: it has a rule, but the one that scans is in the second half."""
    head, _, rest = config(more=NOTHING).partition('[[rules]]\nname = "scan everything"')
    rules, _, routes = rest.partition("[[routes]]")
    return f"{head}\n[[routes]]{routes}", f'[[rules]]\nname = "scan everything"{rules}'


@pytest.mark.parametrize("closed", [False, True], ids=["held open", "closed between"])
def test_half_a_file_is_not_taken(trials: Trials, config: Config, mail: Make, closed: bool) -> None:
    """The first half is a good file with no rule; the second comes 1.5 s later. No mail passes unscanned between them."""
    first, second = _halves(config)
    with trials(config()) as trial:
        path = trial.base / "Settings/enqueuer.toml"
        file = path.open("w")
        file.write(first)
        file.flush()
        file.close() if closed else None
        instant = time.monotonic() + 1.5
        number = 0
        while time.monotonic() < instant:
            trial.drop(f"m{number}", mail(f"m{number}", '0 ERROR "caught"'))
            number += 1
            trial.wait(lambda: trial.status()["totals"]["quarantined"] == number, "it is caught")  # noqa: B023
        if not closed:
            trial.wait(lambda: "open for writing" in (trial.status()["config"]["waiting"] or ""), "status says what is waited for")
        with path.open("a") if closed else file as rest:
            rest.write(second.replace('"scan everything"', '"scan everything"\npriority = 7'))
        trial.wait(lambda: trial.status()["config"]["waiting"] is None, "nothing waits any more")
        assert trial.outbound() == []
        assert trial.status()["config"]["error"] is None


def test_a_file_without_an_old_rule_rests_first(trials: Trials, config: Config, mail: Make) -> None:
    """`status` and the log say what waits and why; then it is taken. `reload` takes it at once."""
    fewer = config().replace(RULES, "")
    with trials(config(more=RULES)) as trial:
        trial.configure(fewer)
        waits = trial.wait(lambda: trial.status()["config"]["waiting"], "it waits", 3)
        assert 'rule "discard all" is missing' in waits
        assert 'rule "discard all" is missing' in _command(trial, "status").stdout
        trial.wait(lambda: "a changed configuration waits" in trial.log(), "the log says so")
        trial.drop("a", mail("a"))
        trial.wait(lambda: trial.status()["totals"]["discarded"] == 1, "the old rules hold")
        trial.wait(lambda: trial.status()["config"]["waiting"] is None, "it is taken", 8)
        trial.drop("b", mail("b"))
        trial.wait(lambda: len(trial.outbound()) == 1, "the new rules hold")

        _reload(trial, config(more=RULES))
        trial.configure(fewer)
        began = time.monotonic()
        assert _command(trial, "reload").returncode == 0
        assert time.monotonic() - began < 4
        assert trial.status()["config"]["waiting"] is None


def test_reload_does_not_take_what_is_open_for_writing(trials: Trials, config: Config) -> None:
    with trials(config(processors=2)) as trial:
        with (trial.base / "Settings/enqueuer.toml").open("a") as file:
            file.write("# more to come\n")
            file.flush()
            done = _command(trial, "reload")
            assert done.returncode == exits.TEMPFAIL
            assert "open for writing" in done.stderr
        assert _command(trial, "reload").returncode == 0
        assert trial.status()["config"]["error"] is None


def test_a_start_waits_for_a_writer_then_says_why_it_does_not_start(trials: Trials, config: Config) -> None:
    trial = trials(config(processors=1))
    path = trial.base / "Settings/enqueuer.toml"
    with path.open("a"):
        done = _command(trial, "run")
        assert done.returncode == exits.TEMPFAIL
        assert "open for writing" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    first, second = _halves(config)
    with path.open("w") as file:
        file.write(first)
        file.flush()
        trial.launch()
        instant = time.monotonic() + 2
        trial.wait(lambda: time.monotonic() > instant, "some seconds pass")
        file.write(second)
    trial.wait(lambda: weather.runs(trial), "it runs")
    assert len(trial.status()["filters"]) == 1


@pytest.mark.parametrize("place", ["fifo", "folder", "device"])
def test_what_is_no_file_is_refused(trials: Trials, config: Config, place: str) -> None:
    """A FIFO in its place would keep the supervisor waiting, a device feed it without end."""
    with trials(config(processors=1)) as trial:
        path = trial.base / "Settings/enqueuer.toml"
        path.unlink()
        if place == "fifo":
            os.mkfifo(path)
        elif place == "folder":
            path.mkdir()
        else:
            path.symlink_to("/dev/zero")
        trial.wait(lambda: "not a regular file" in (trial.status()["config"]["error"] or ""), "it is refused", 5)


def test_a_module_whose_place_is_taken_by_a_file_is_refused(trials: Trials, config: Config, mail: Make) -> None:
    """Nothing of the revision is in force; once the file is out of the way it is taken by itself."""
    route = '[[routes]]\nrecipient = "*@new.example"\nto = "NEW"\n'
    with trials(config(processors=2)) as trial:
        (trial.base / "Outbound/NEW").write_text("in the way")
        trial.configure(config(processors=3, more=route))
        trial.wait(lambda: "Outbound/NEW is not a folder" in (trial.status()["config"]["error"] or ""), "it is refused", 5)
        assert _command(trial, "reload").returncode == exits.CONFIG
        assert trial.status()["processors"]["configured"] == 2
        trial.drop("a", mail("a", to="x@new.example"))
        trial.wait(lambda: len(trial.outbound()) == 1, "the old routes hold")
        (trial.base / "Outbound/NEW").unlink()
        trial.wait(lambda: trial.status()["config"]["error"] is None, "it is taken", 8)
        trial.drop("b", mail("b", to="x@new.example"))
        trial.wait(lambda: len(trial.outbound("NEW")) == 1, "the new routes hold")


def test_a_start_with_a_file_in_a_modules_place(trials: Trials, config: Config) -> None:
    trial = trials(config(processors=1))
    (trial.base / "Outbound/SMTP").write_text("in the way")
    done = _command(trial, "run")
    assert done.returncode == exits.CANTCREAT
    assert "Outbound/SMTP is not a folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_full_disk_while_a_file_is_taken_is_a_refusal(trials: Trials, config: Config, tmp_path: Path) -> None:
    """Run/config.2 cannot be written: the old revision stays, and the new one is taken when there is room."""
    with trials(config(processors=2)) as trial:
        assert trial.process is not None
        with Fault(trial.process.pid, "openat", "ENOSPC", "1+", tmp_path, path="Run/config.2"):
            trial.configure(config(processors=3))
            trial.wait(lambda: "No space left" in (trial.status()["config"]["error"] or ""), "it is refused", 5)
            assert trial.status()["processors"]["configured"] == 2
            trial.wait(lambda: "configuration refused" in trial.log(), "the log says so")
        trial.wait(lambda: trial.status()["config"]["error"] is None, "it is taken", 8)
        trial.wait(lambda: trial.status()["processors"]["running"] == 3, "it is in force")
        assert trial.log().count("configuration refused") == 1


def test_the_log_says_what_a_new_configuration_changes(trials: Trials, config: Config) -> None:
    """In the words of the file, and without values that may be secret."""
    with trials(config(processors=2)) as trial:
        trial.configure(config(processors=3, filter='timeout = "3m"\nenvironment = ["TOKEN=secret"]'))
        line = "configuration 2 accepted: processors 2 -> 3; filters.Judge.timeout 2m -> 3m; filters.Judge.environment changed\n"
        trial.wait(lambda: line in trial.log(), "the log says it")
        assert "secret" not in trial.log()
