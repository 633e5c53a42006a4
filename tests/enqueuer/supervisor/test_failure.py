"""Demands on a supervisor that fails: the engine ends with 70, whole, and says why."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer import exits
from enqueuer.lab.trial import Trial, wait
from tests.storm import weather
from tests.storm.faults import STRACE, Fault

Config = Callable[..., str]
Make = Callable[..., bytes]
Trials = Callable[[str], Trial]
STUBBORN = "sh -c 'trap \"\" TERM HUP INT; setsid sleep 1000 & exec {judge}'"
"""A helper that leaves a process behind which heeds nothing."""


def test_a_supervisor_that_fails_ends_the_whole_engine(trials: Trials, config: Config, tmp_path: Path) -> None:
    """Within 5 s, with 70; the Server Log has the traceback, stderr one line; no process of the engine or its helpers is left."""
    judge = config().partition('program = "')[2].partition('"')[0]
    with trials(config(processors=2).replace(f'program = "{judge}"', f'program = """{STUBBORN.format(judge=judge)}"""')) as trial:
        assert trial.process is not None
        trial.wait(lambda: trial.status()["filters"][0]["state"] == "ready", "the helper runs")
        with Fault(trial.process.pid, "epoll_wait", "EIO", "1", tmp_path):
            assert trial.process.wait(5) == exits.SOFTWARE
        wait(lambda: weather.inhabitants(trial.base) == [], 2, "no process is left")
        said = trial.output.read_text().splitlines()
        log = trial.log()

    assert len(said) == 1
    assert "the supervisor failed" in said[0]
    assert "Input/output error" in said[0]
    assert "the supervisor failed" in log
    assert "Traceback" in log
    assert "OSError: [Errno 5] Input/output error" in log


def test_a_supervisor_that_cannot_be_made_says_so(trials: Trials, config: Config, tmp_path: Path) -> None:
    """Before it has a log or a child: the same end, with the traceback in the Server Log."""
    if STRACE is None:
        pytest.skip("strace is not installed")
    trial = trials(config(processors=1))
    fault = "inject=epoll_create1:error=EMFILE:when=2"  # the first one is a trial of the selectors module
    trial.prefix = (STRACE, "-qq", "-o", str(tmp_path / "out"), "-e", "trace=epoll_create1", "-e", fault)
    process = trial.launch()
    assert process.wait(10) == exits.SOFTWARE
    assert len(trial.output.read_text().splitlines()) == 1
    assert "Too many open files" in trial.output.read_text()
    assert "Traceback" in trial.log()


def test_a_full_pipe_on_stderr_does_not_keep_it_alive(trials: Trials, config: Config, tmp_path: Path) -> None:
    trial = trials(config(processors=1))
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(write, True)
    command = [sys.executable, "-m", "enqueuer.cli.app", "run", "--base", str(trial.base)]
    trial.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=write, stderr=write, start_new_session=True)
    try:
        trial.wait(lambda: weather.runs(trial), "it runs")
        with Fault(trial.process.pid, "epoll_wait", "EIO", "1", tmp_path):
            assert trial.process.wait(6) == exits.SOFTWARE
        wait(lambda: weather.inhabitants(trial.base) == [], 2, "no process is left")
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("hang", ["queue manager", "logger", "filterlink"])
def test_stopped_children_do_not_keep_it_alive(trials: Trials, config: Config, tmp_path: Path, hang: str) -> None:
    with trials(config(processors=1)) as trial:
        assert trial.process is not None
        os.kill(trial.pids(hang)[0], signal.SIGSTOP)
        began = time.monotonic()
        with Fault(trial.process.pid, "epoll_wait", "ENOMEM", "1", tmp_path):
            assert trial.process.wait(5) == exits.SOFTWARE
        wait(lambda: weather.inhabitants(trial.base) == [], 5 - (time.monotonic() - began), "no process is left")
        assert "Traceback" in trial.log()
