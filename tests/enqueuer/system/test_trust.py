"""Who may write the configuration, and look into the drop folder."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer import basedir
from enqueuer.lab.trial import Trial, TrialError
from enqueuer.supervisor.configfile import ConfigFile
from enqueuer.system import trust

Config = Callable[..., str]
Trials = Callable[[str], Trial]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
FLAG = "--allow-writable-config"


@pytest.mark.parametrize(
    ("path", "mode"), [(basedir.CONFIG, 0o020), (basedir.CONFIG, 0o002), ("Settings", 0o020), ("Settings", 0o002), (".", 0o020)]
)
def test_a_config_that_others_may_write_starts_no_engine(trials: Trials, config: Config, path: str, mode: int) -> None:
    """Exit code 78 and the cure; the flag of `run` starts it all the same.

    Root enters no base directory that all may write: test_accounts.py.
    """
    trial = trials(config())
    target = trial.base / path
    target.chmod(stat.S_IMODE(target.stat().st_mode) | mode)
    with pytest.raises(TrialError, match=rf"exit code 78(?s:.)*chmod go-w {target}.*{FLAG}"):
        trial.start()
    trial.arguments = (FLAG,)
    trial.start()


@as_root
def test_a_config_of_another_account_starts_no_engine(trials: Trials, config: Config) -> None:
    """Folders of another account: test_accounts.py."""
    trial = trials(config())
    os.chown(trial.base / basedir.CONFIG, 4242, -1)
    with pytest.raises(TrialError, match=r"exit code 78(?s:.)*belongs to account 4242"):
        trial.start()


def test_a_link_into_a_folder_that_others_may_write_starts_no_engine(trials: Trials, config: Config, tmp_path: Path) -> None:
    """Who writes that folder may put another file there."""
    trial = trials(config())
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere").chmod(0o777)
    (trial.base / basedir.CONFIG).rename(tmp_path / "elsewhere/enqueuer.toml")
    (trial.base / basedir.CONFIG).symlink_to(tmp_path / "elsewhere/enqueuer.toml")
    with pytest.raises(TrialError, match=rf"exit code 78(?s:.)*chmod go-w {tmp_path}/elsewhere"):
        trial.start()


def test_each_folder_on_the_way_of_a_link_counts(tmp_path: Path) -> None:
    """Settings/enqueuer.toml leads to a link in `middle`, and that to the file."""
    basedir.create(tmp_path / "base")
    (tmp_path / "middle").mkdir()
    (tmp_path / "safe.toml").touch(0o600)
    (tmp_path / "middle/link").symlink_to(tmp_path / "safe.toml")
    file = tmp_path / "base" / basedir.CONFIG
    file.unlink()
    file.symlink_to(tmp_path / "middle/link")
    assert trust.config(file, os.geteuid()) is None

    (tmp_path / "middle").chmod(0o777)
    assert f"{tmp_path}/middle can be written by every account" in (trust.config(file, os.geteuid()) or "")


def test_a_reload_keeps_the_old_config_and_says_so(trials: Trials, config: Config) -> None:
    """The new file is taken when others may write it no more."""
    with trials(config()) as trial:
        new = trial.base / "Settings/new"
        new.write_text(config(processors=3))
        new.chmod(0o666)
        new.rename(trial.base / basedir.CONFIG)
        trial.wait(lambda: "chmod go-w" in (trial.status()["config"]["error"] or ""), "it is refused")
        assert trial.status()["processors"]["configured"] == 4
        (trial.base / basedir.CONFIG).chmod(0o644)
        trial.wait(lambda: trial.status()["processors"]["configured"] == 3, "it is in force")


@as_root
def test_a_config_map_is_taken(tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes shows the file through two links, owned by root, in a folder of 0777 that is mounted read-only."""
    basedir.create(tmp_path)
    monkeypatch.chdir(tmp_path)
    settings = tmp_path / "Settings"
    (settings / "enqueuer.toml").unlink()
    (settings / "..2026").mkdir()
    (settings / "..2026/enqueuer.toml").write_text(config())
    (settings / "..data").symlink_to("..2026")
    (settings / "enqueuer.toml").symlink_to("..data/enqueuer.toml")
    settings.chmod(0o777)
    if os.system(f"mount --bind {settings} {settings} && mount -o remount,ro,bind {settings}"):
        pytest.skip("may not mount here")
    try:
        assert ConfigFile().config.rules
    finally:
        os.system(f"umount {settings}")


def test_copies_of_the_config_are_for_the_engine_alone(trials: Trials, config: Config) -> None:
    trial = trials(config())
    (trial.base / basedir.CONFIG).chmod(0o600)
    with trial:
        copies = list((trial.base / "Run").glob("config.*"))
        assert [stat.S_IMODE(copy.stat().st_mode) for copy in copies] == [0o600]


@pytest.mark.parametrize(
    ("mode", "doubts"),
    [
        (0o755, ()),
        (0o1733, ()),
        (0o3730, ()),
        (0o1777, ("every account may list", "whole group may list")),
        (0o733, ("every account may rename", "whole group may rename")),
        (0o2770, ("whole group may list", "whole group may rename")),
    ],
)
def test_an_open_drop_folder_is_doubtful(tmp_path: Path, mode: int, doubts: tuple[str, ...]) -> None:
    """Each doubt has its cure."""
    tmp_path.chmod(mode)
    said = list(trust.drop_folder(tmp_path))

    assert len(said) == len(doubts)
    for doubt in doubts:
        assert any(doubt in line and ": chmod " in line for line in said)


def test_an_open_drop_folder_is_in_the_log(trials: Trials, config: Config) -> None:
    trial = trials(config())
    (trial.base / "Submitted").chmod(0o1777)
    with trial:
        trial.wait(lambda: "every account may list it" in trial.log(), "the log says so")
