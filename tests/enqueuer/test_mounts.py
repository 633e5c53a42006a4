"""Demands on folders of the base directory that are on other mounts, or are removed while the engine runs."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer import basedir, mounts
from enqueuer.lab.trial import ENGINE, Trial, TrialError
from tests.helpers.places import in_namespaces

Config = Callable[..., str]
Make = Callable[..., bytes]
Trials = Callable[[str], Trial]

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
APART = ["Queue", "Staged", "Outbound", "Outbound/OUT", "Bad", "Quarantine", "Hold", "Submitted", "Submitted/.taken"]


@ROOT
@pytest.mark.parametrize("folder", APART)
def test_a_bind_mount_in_the_way_is_named(trials: Trials, config: Config, folder: str) -> None:
    """It is of the same device, and yet no message could ever move there."""
    trial = trials(config(processors=1))
    (trial.base / folder).mkdir(exist_ok=True, parents=True)
    trial.prefix = in_namespaces(f"mount --bind {trial.base}/{folder} {trial.base}/{folder}")
    with pytest.raises(TrialError, match="exit code 78") as failed, trial:
        pass
    assert "is on another mount than" in str(failed.value)
    assert folder in str(failed.value)

    check = subprocess.run(
        [*trial.prefix, *ENGINE, "config", "check", "--base", str(trial.base)], capture_output=True, text=True, check=False
    )
    assert check.returncode == 78
    assert "is on another mount than" in check.stderr


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs another filesystem")
def test_settings_logs_and_sockets_may_be_elsewhere(trials: Trials, config: Config, mail: Make) -> None:
    """Nothing is renamed there: a ConfigMap, a log volume, a tmpfs for Run."""
    trial = trials(config(processors=1))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        for folder in ("Settings", "SystemLogs", "Run"):
            shutil.move(trial.base / folder, f"{other}/{folder}")
            (trial.base / folder).symlink_to(f"{other}/{folder}")
        with trial:
            trial.drop("a", mail("a"))
            trial.wait(lambda: len(trial.outbound()) == 1, "mail flows")


@ROOT
def test_a_new_module_on_another_mount_is_refused(trials: Trials, config: Config, mail: Make) -> None:
    """The configuration in force stays, and the file is taken once it can be."""
    trial = trials(config(processors=1))
    base = trial.base
    (base / "Outbound/LATER").mkdir()
    trial.prefix = in_namespaces(f"mount --bind {base}/Outbound/LATER {base}/Outbound/LATER")
    route = '[[routes]]\nrecipient = "*@later.example"\nto = "LATER"\n[[routes]]\nrecipient = "*"\nto = "OUT"\n'
    with trial:
        trial.configure(config(processors=1, more=route))
        trial.wait(lambda: "Outbound/LATER is on another mount" in str(trial.status()["config"]["error"]), "it is refused")
        trial.drop("a", mail("a", to="bob@later.example"))
        trial.wait(lambda: len(trial.outbound()) == 1, "the old one is in force")


@pytest.mark.parametrize("folder", ["Submitted/.taken", "Staged", "Outbound/OUT", "Quarantine", "Hold", "Bad", "Queue"])
def test_a_removed_folder_is_made_again(trials: Trials, config: Config, mail: Make, folder: str) -> None:
    """No message is refused for it: what comes meanwhile waits."""
    with trials(config(processors=2)) as trial:
        trial.drop("before", mail("before"))
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == 1, "mail flows")
        shutil.rmtree(trial.base / folder)
        for number in range(5):
            trial.drop(str(number), mail(str(number), 'ADDHEADER "X-A: b"'))
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == 6, "mail flows again", 30)
        trial.wait(lambda: f"{folder}/ was removed by another program" in trial.log(), "it is made again, and that is said")
        assert trial.status()["totals"]["refused"] == 0
        assert not list((trial.base / "Submitted").glob("*.bad"))


def test_the_trial_leaves_nothing(tmp_path: Path) -> None:
    base = tmp_path / "base"
    basedir.create(base)
    before = sorted(base.rglob("*"))

    mounts.expect_renames(base, ["OUT"])
    assert sorted(base.rglob("*")) == before


def test_what_is_in_the_way_in_the_drop_folder_stops_no_start(tmp_path: Path) -> None:
    """Each account that may drop mail may make folders there, and knows the engine's pid."""
    base = tmp_path / "base"
    basedir.create(base)
    (base / f"Submitted/.rename-{os.getpid()}").mkdir()
    mounts.expect_renames(base, ["OUT"])


def test_folders_that_are_links_to_another_disk(trials: Trials, config: Config, mail: Make, tmp_path: Path) -> None:
    """All of them together: messages move between them. Durability and free space are those of that disk."""
    trial = trials(config(processors=1))
    for folder in ("Queue", "Staged", "Bad", "Quarantine", "Hold", "Outbound", "Submitted"):
        shutil.move(trial.base / folder, tmp_path / folder)
        (trial.base / folder).symlink_to(tmp_path / folder)
    with trial:
        trial.drop("a", mail("a"))
        trial.wait(lambda: len(trial.outbound()) == 1, "mail flows")
