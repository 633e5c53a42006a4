"""Demands on birth and death: a machine that has no room for a process now costs a pause, never the engine."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial, signal_all, wait
from tests.helpers.places import hanging
from tests.storm.faults import Fault

Config = Callable[..., str]
Make = Callable[..., bytes]
Trials = Callable[[str], Trial]


@pytest.mark.parametrize(("call", "error"), [("clone", "EAGAIN"), ("clone", "ENOMEM"), ("pipe,pipe2", "EMFILE")])
def test_a_fork_that_fails_is_tried_again(trials: Trials, config: Config, mail: Make, tmp_path: Path, call: str, error: str) -> None:
    """`status` answers meanwhile, each role comes back when there is room again, and no descriptor is lost over it."""
    with trials(config(processors=2)) as trial:
        assert trial.process is not None
        for name in ("first", "second"):  # every link of a process that works is counted below
            trial.drop(name, mail(name, judge="0.5 OK"))
        trial.wait(lambda: trial.status()["processors"]["busy"] == 2, "every process works")
        trial.wait(lambda: len(trial.outbound()) == 2, "both are through")
        before = _descriptors(trial.process.pid)
        with Fault(trial.process.pid, call, error, "1+", tmp_path) as fault:
            signal_all([*trial.pids("watcher"), *trial.pids("processor")])
            trial.wait(lambda: fault.hits >= 3, "it was tried")
            assert trial.status()["state"] == "running"
            trial.wait(lambda: "cannot be started" in trial.log(), "the log says so")
        trial.wait(lambda: len(trial.pids("watcher")) == 1 and trial.status()["processors"]["running"] == 2, "all are back")
        trial.wait(lambda: _descriptors(trial.process.pid) == before, f"as many descriptors as before: {before}")  # type: ignore[union-attr]


def test_a_death_that_no_signal_told_of_is_seen(trials: Trials, config: Config, tmp_path: Path) -> None:
    """waitpid fails once: the dead one is not left in its place."""
    with trials(config(processors=1)) as trial:
        assert trial.process is not None
        (old,) = trial.pids("watcher")
        with Fault(trial.process.pid, "wait4,waitid", "EIO", "1..12", tmp_path):
            signal_all([old])
            trial.wait(lambda: trial.pids("watcher") not in ([], [old]), "another watcher runs", 8)


HIDDEN = """
import os, signal
from enqueuer.ipc.child import Birth
from enqueuer.supervisor.children import Children

nursery, birth = Children(lambda birth: None), Birth("logger", 0, 0, 1, None, 1, None, None)
first = nursery.fork(birth, "first", lambda birth: os._exit(0), waits=False)
os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
nursery.fork(birth, "second", lambda birth: signal.pause(), waits=False)
seen = nursery.has_ended()
print(seen, [child.title for child in nursery.reap()])
nursery.end_all()
"""


def test_a_death_that_a_fork_has_hidden_is_seen() -> None:
    """multiprocessing reaps at each fork every dead child: no zombie is left that shows the death."""
    done = subprocess.run([sys.executable, "-c", HIDDEN], capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == ("True ['first']\n", "")


def test_a_stop_does_not_wait_for_a_process_that_the_kernel_holds(trials: Trials, config: Config, mail: Make, tmp_path: Path) -> None:
    """The logger writes to a disk that does not answer: SIGKILL does not end it, and the engine's end must not depend on it."""
    trial = trials(config(processors=1))
    for day in (time.time(), time.time() + 86400):
        (trial.base / "SystemLogs" / f"{time.strftime('%Y-%m-%d', time.localtime(day))}.log").symlink_to(tmp_path / "mount/file")
    with hanging(tmp_path / "folder", tmp_path / "mount") as place, trial:
        assert trial.process is not None
        (logger,) = trial.pids("logger")
        try:
            place.hang()
            trial.drop("a", mail("a"))
            wait(trial.outbound, 10, "mail flows")  # trial.wait() would show the log, and wait for the disk itself
            trial.process.send_signal(signal.SIGTERM)
            assert trial.process.wait(25) == 0
            assert os.path.exists(f"/proc/{logger}")
        finally:
            place.release()
        assert f"logger (pid {logger}) does not end after SIGKILL" in trial.output.read_text()


def _descriptors(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0
