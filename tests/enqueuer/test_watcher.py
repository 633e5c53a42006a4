"""Demands on the watcher: it hints while it lives, or it ends."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.trial import Trial
from tests.storm.faults import Fault

Config = Callable[..., str]
Make = Callable[..., bytes]
Trials = Callable[[str], Trial]


@pytest.mark.alone
def test_a_dead_thread_is_started_again(trials: Trials, config: Config, mail: Make, tmp_path: Path) -> None:
    """The process lives on without the thread that reads the events: no drop may wait for the next rescan because of that."""
    with trials(config(processors=1)) as trial:
        (watcher,) = trial.pids("watcher")
        thread = trial.wait(lambda: [int(each) for each in os.listdir(f"/proc/{watcher}/task") if int(each) != watcher], "it has one")
        with Fault(thread[0], "read", "EIO", "1", tmp_path):
            trial.drop("a", mail("a"))
            trial.wait(lambda: not os.path.exists(f"/proc/{watcher}/task/{thread[0]}"), "the thread has died")
        trial.wait(lambda: "the thread that reads the events" in trial.log(), "it is seen", 5)
        for number in range(3):
            trial.drop(f"b{number}", mail(f"b{number}"))
            trial.wait(lambda: len(trial.outbound()) == 2 + number, "it is taken at once", 2)  # noqa: B023
        assert trial.pids("watcher") == [watcher]
