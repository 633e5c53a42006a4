"""Demands on what an engine holds while it runs: its base directory, whatever becomes of Run/."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.control import NotRunning
from enqueuer.trial import ENGINE, Trial, signal_all

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
        before = set(trial.pids(""))
        for _ in range(2):
            clean(trial.base / "Run")
            trial.wait(lambda: _answers(trial), "status is answered", 5)
        assert set(trial.pids("")) == before
        assert trial.log().count("the engine made it again") == 1
        trial.drop("a", mail("a"))
        trial.wait(lambda: len(trial.outbound()) == 1, "mail flows")

        _reload(trial, config)
        signal_all([*trial.pids("processor"), *trial.pids("filterlink"), *trial.pids("watcher")])
        trial.drop("b", mail("b"))
        trial.wait(lambda: len(trial.outbound()) == 2, "the new processes work")
        signal_all(trial.pids("queue manager"))
        trial.drop("c", mail("c"))
        trial.wait(lambda: len(trial.outbound()) == 3, "the new queue manager, too")
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


def _answers(trial: Trial) -> bool:
    try:
        return bool(trial.status()["state"] == "running")
    except NotRunning:
        return False


def _reload(trial: Trial, config: Config) -> None:
    """Edition 2 is taken by all."""
    trial.configure(config(processors=2, top="# changed", engine="max_attempts = 7"))
    done = subprocess.run((*ENGINE, "reload", "--base", str(trial.base)), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
