"""Demands on what an engine holds while it runs: its base directory, whatever becomes of Run/."""

import errno
import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.control.client import NotRunning
from enqueuer.lab.trial import ENGINE, Trial, signal_all

Config = Callable[..., str]
Make = Callable[..., bytes]
Trials = Callable[[str], Trial]


def _empty(run: Path) -> None:
    for path in run.iterdir():
        path.unlink()


@pytest.mark.parametrize("clean", [_empty, shutil.rmtree], ids=["emptied", "removed"])
def test_a_cleaner_in_run_costs_seconds(trials: Trials, config: Config, mail: Make, clean: Callable[[Path], None]) -> None:
    """Commands reach the engine again, no process of it is replaced for that, and those that are replaced later find their sockets."""
    with trials(config(processors=2)) as trial:
        for name in ("first", "second"):  # a process that has not found its sockets yet ends without them, and is replaced
            trial.drop(name, mail(name, judge="0.5 OK"))
        trial.wait(lambda: trial.status()["processors"]["busy"] == 2, "every process works")
        trial.wait(lambda: len(trial.outbound()) == 2, "both are through")
        before = set(trial.pids(""))
        for _ in range(2):
            clean(trial.base / "Run")
            trial.wait(lambda: _answers(trial), "status is answered", 5)
        assert set(trial.pids("")) == before
        assert trial.log().count("Run/ was emptied by another program") == 1
        trial.drop("a", mail("a"))
        trial.wait(lambda: len(trial.outbound()) == 3, "mail flows")

        _reload(trial, config)
        signal_all([*trial.pids("processor"), *trial.pids("filterlink"), *trial.pids("watcher")])
        trial.drop("b", mail("b"))
        trial.wait(lambda: len(trial.outbound()) == 4, "the new processes work")
        signal_all(trial.pids("queue manager"))
        trial.drop("c", mail("c"))
        trial.wait(lambda: len(trial.outbound()) == 5, "the new queue manager, too")
        assert "this is a fault in Enqueuer" not in trial.log()
        assert trial.stop() == 0


def test_a_clean_run_folder_admits_no_second_engine(trials: Trials, config: Config) -> None:
    """The base directory itself is locked. The folder may be missing at a start, too: nothing in it outlives an engine."""
    with trials(config(processors=1)) as trial:
        shutil.rmtree(trial.base / "Run")
        second = subprocess.run((*ENGINE, "run", "--base", str(trial.base)), capture_output=True, text=True, timeout=30, check=False)
        assert (second.returncode, "an engine" in second.stderr) == (75, True)
        trial.wait(lambda: _answers(trial), "the first one answers", 5)
        assert trial.stop() == 0
    shutil.rmtree(trial.base / "Run")
    with trial:
        assert trial.stop() == 0


def test_processes_of_a_killed_engine_are_waited_for_without_run(trials: Trials, config: Config) -> None:
    """What they hold is not in Run/ alone: a new engine begins when the last of them has ended."""
    trial = trials(config(processors=1))
    held = os.open(trial.base / "Queue", os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = trial.launch()
        trial.wait((trial.base / "Run/supervisor").exists, "it has begun")
        assert process.poll() is None
        assert not (trial.base / "Run/control.sock").exists()
    finally:
        os.close(held)
    trial.wait(lambda: _answers(trial), "it runs now")
    assert trial.stop() == 0


@pytest.mark.parametrize("most", [12, 24, 130])
def test_too_few_descriptors_are_said(trials: Trials, config: Config, most: int) -> None:
    """In one line, with the number that is needed; never after half a start."""
    trial = trials(config(processors=2))
    trial.prefix = ("prlimit", f"--nofile={most}:{most}")
    assert trial.launch().wait(20) == 78
    assert trial.output.read_text().startswith(f"enqueuer: this process may open only {most} descriptors (ulimit -n)")
    assert trial.output.read_text().count("\n") == 1


def test_the_descriptors_that_are_asked_for_are_enough(trials: Trials, config: Config, mail: Make) -> None:
    """Each process works with as many, and is replaced."""
    trial = trials(config(processors=4))
    trial.prefix = ("prlimit", "--nofile=130:130")
    trial.launch().wait(20)
    needed = int(trial.output.read_text().rpartition("needs ")[2].split()[0])
    trial.prefix = ("prlimit", f"--nofile={needed}:{needed}")
    with trial:
        signal_all([*trial.pids("processor"), *trial.pids("filterlink"), *trial.pids("queue manager")])
        for number in range(20):
            trial.drop(str(number), mail(str(number), judge="0.2 OK"))
        trial.wait(lambda: len(trial.outbound()) == 20, "mail flows")
        assert os.strerror(errno.EMFILE) not in trial.log()


def test_a_limit_on_the_size_of_files_is_said(trials: Trials, config: Config, mail: Make) -> None:
    """What is larger waits; all else flows."""
    trial = trials(config(processors=1))
    trial.prefix = ("prlimit", "--fsize=100000:100000")
    with trial:
        assert "files may have at most 100000 bytes (ulimit -f)" in trial.output.read_text()
        trial.drop("large", mail("large", size=200_000))
        trial.drop("small", mail("small"))
        trial.wait(lambda: len(trial.outbound()) == 1, "the small one flows")
        trial.wait(lambda: os.strerror(errno.EFBIG) in trial.log(), "the log says of the other")
        assert trial.stop() == 0
    trial.prefix = ()
    with trial:
        trial.wait(lambda: len(trial.outbound()) == 2, "the large one, too")


ACCOUNT = 64_997
RIGHTS = "+dac_override,+dac_read_search"
"""So that the account finds the base directory and the interpreter. Its limit of processes holds: it has no CAP_SYS_RESOURCE."""


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root to become another account")
def test_the_account_may_start_no_process_more(trials: Trials, config: Config, mail: Make) -> None:
    """RLIMIT_NPROC is reached: what cannot be started is in the log and tried again, and mail flows when there is room."""
    trial = trials(config(processors=2, judge="/bin/sh ok.sh"))
    (trial.base / "ok.sh").write_text(
        'while read number verb rest; do case $verb in INTF) echo "$number INTF 4";; *) echo "$number OK";; esac; done\n'
    )
    trial.prefix = (
        "setpriv",
        f"--reuid={ACCOUNT}",
        "--clear-groups",
        f"--inh-caps={RIGHTS}",
        f"--ambient-caps={RIGHTS}",
        "prlimit",
        "--nproc=5:1000",
    )
    for path in [trial.base, *trial.base.rglob("*")]:
        os.chown(path, ACCOUNT, -1)
    process = trial.launch()
    trial.drop("a", mail("a"))
    trial.wait(lambda: "cannot be started: Resource temporarily unavailable" in trial.log(), "the log says so", 60)
    assert process.poll() is None
    assert trial.status()["pid"] == process.pid
    for pid in trial.processes():
        subprocess.run((*trial.prefix[:3], "prlimit", f"--pid={pid}", "--nproc=1000"), check=False, timeout=30, stderr=subprocess.DEVNULL)
    trial.wait(lambda: len(trial.outbound()) == 1, "mail flows now", 30)
    assert trial.stop() == 0


def _answers(trial: Trial) -> bool:
    try:
        return bool(trial.status()["state"] == "running")
    except NotRunning:
        return False


def _reload(trial: Trial, config: Config) -> None:
    """Revision 2 is taken by all."""
    trial.configure(config(processors=2, top="# changed", engine="max_attempts = 7"))
    done = subprocess.run((*ENGINE, "reload", "--base", str(trial.base)), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder to another")
def test_a_taken_of_another_account_is_no_start(trials: Trials, config: Config) -> None:
    trial = trials(config(processors=1))
    os.chown(trial.base / "Submitted/.taken", 65534, 65534)

    assert trial.launch().wait(20) == 77
    assert "Submitted/.taken belongs to account 65534, which could read all mail" in trial.output.read_text()


def test_a_base_directory_of_a_newer_version_is_refused(trials: Trials, config: Config) -> None:
    """Before anything is made or converted: one line with the place and the cure."""
    trial = trials(config())
    (trial.base / "Queue/.format").write_text("4\n")
    (trial.base / "Run").rmdir()

    ended = subprocess.run((*ENGINE, "run", "--base", str(trial.base)), capture_output=True, text=True, timeout=30, check=False)

    assert (ended.returncode, ended.stderr.count("\n")) == (78, 1)
    assert f"{trial.base}/Queue/.format says format 4, and this version of Enqueuer knows formats up to 3: use" in ended.stderr
    assert not (trial.base / "Run").exists()


def test_an_older_base_directory_is_converted_at_the_start(trials: Trials, config: Config, mail: Make) -> None:
    """Format 1 has no number and no Incoming/. The log says what was done, once."""
    trial = trials(config(processors=1))
    (trial.base / "Queue/.format").unlink()
    (trial.base / "Incoming").rmdir()
    (trial.base / "Hold").rmdir()
    for _ in range(2):
        with trial:
            assert (trial.base / "Queue/.format").read_text() == "3\n"
            assert (trial.base / "Incoming").is_dir()
            assert trial.stop() == 0
    for step in ("1 to 2: Incoming/ made", "2 to 3: Hold/ made"):
        assert trial.log().count(f"the base directory is converted from format {step}") == 1
    assert "not a file of the engine" not in trial.log()
