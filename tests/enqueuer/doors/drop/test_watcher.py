"""Demands on the watcher: it hints while it lives, or it ends."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial
from tests.helpers.places import in_namespaces
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


def _taken(trial: Trial, mail: Make, name: str) -> None:
    """A drop is taken long before the next rescan."""
    before = len(trial.outbound())
    trial.drop(name, mail(name))
    trial.wait(lambda: len(trial.outbound()) == before + 1, f"{name} is taken soon", 5)


@pytest.mark.parametrize("limit", ["max_inotify_instances", "max_inotify_watches"])
def test_without_inotify_the_folder_is_looked_at_each_second(trials: Trials, config: Config, mail: Make, limit: str) -> None:
    """The limits are per account: others use them up. It is said once, and over when there is room again."""
    file = f"/proc/sys/user/{limit}"
    trial = trials(config(processors=1))
    trial.prefix = in_namespaces(f"echo 0 > {file}", "--user", "--map-root-user")
    with trial:
        for name in "abc":
            _taken(trial, mail, name)
        (watcher,) = trial.pids("watcher")
        descriptors = len(os.listdir(f"/proc/{watcher}/fd"))
        _taken(trial, mail, "d")
        assert len(os.listdir(f"/proc/{watcher}/fd")) <= descriptors + 1
        assert trial.log().count("cannot be watched") == 1
        raised = ("nsenter", f"--target={watcher}", "--user", "sh", "-c", f"echo 1000 > {file}")
        subprocess.run(raised, check=True, timeout=30)
        trial.wait(lambda: "is watched again" in trial.log(), "it is watched again", 10)
        _taken(trial, mail, "e")


def test_a_drop_folder_that_was_made_again_is_watched(trials: Trials, config: Config, mail: Make) -> None:
    """Also where the new folder gets the inode of the old one, as it does on ext4."""
    with trials(config(processors=1)) as trial:
        folder = trial.base / "Submitted"
        _taken(trial, mail, "a")
        for number in range(3):
            shutil.rmtree(folder)
            folder.mkdir()
            (folder / ".taken").mkdir(0o700)
            _taken(trial, mail, f"b{number}")
        folder.rename(folder.with_name("old"))
        folder.mkdir()
        (folder / ".taken").mkdir(0o700)
        _taken(trial, mail, "c")


def test_a_drop_folder_that_is_a_link_is_watched(trials: Trials, config: Config, mail: Make, tmp_path: Path) -> None:
    """The link, its target, or both may be changed."""
    trial = trials(config(processors=1))
    folder = trial.base / "Submitted"
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with trial:
        _taken(trial, mail, "a")
        _taken(trial, mail, "b")
        (tmp_path / "third/.taken").mkdir(parents=True)
        new = trial.base / "new"
        new.symlink_to(tmp_path / "third")
        new.rename(folder)
        _taken(trial, mail, "c")
        _taken(trial, mail, "d")
