"""Demands on what helpers leave behind: nothing of it outlives its helper, its filter or the engine."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from enqueuer.lab.trial import Trial, signal_all

Config = Callable[..., str]
Trials = Callable[[str], Trial]

HELPER = """#!/bin/sh
setsid env -i /bin/sh -c 'exec 0<&- 1>&- 2>&-; setsid sleep 1000 & echo $! >> daemons; sleep 1000 & echo $! >> daemons; wait' &
while read -r n word rest; do
  case $word in INTF) echo "$n INTF 3";; *) echo "$n OK";; esac
done
"""
FILTER = '\n[[filters]]\nname = "Leaving"\nprogram = "./leaving"\n'


def _daemons(trial: Trial) -> list[int]:
    path = trial.base / "daemons"
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def _alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def _started(trials: Trials, config: str) -> Trial:
    trial = trials(config)
    helper = trial.base / "leaving"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    return trial


def test_daemons_end_with_their_filter(trials: Trials, config: Config) -> None:
    with _started(trials, config(processors=1, more=FILTER)) as trial:
        trial.wait(lambda: len(_alive(_daemons(trial))) == 2, "its daemons run")
        trial.configure(config(processors=1))
        trial.wait(lambda: not _alive(_daemons(trial)), "they have ended", 20)
        assert "left processes behind" in trial.log()


def test_daemons_end_with_the_engine(trials: Trials, config: Config) -> None:
    with _started(trials, config(processors=1, more=FILTER)) as trial:
        trial.wait(lambda: len(_alive(_daemons(trial))) == 2, "its daemons run")
        assert trial.stop() == 0
        assert not _alive(_daemons(trial))


def test_daemons_end_with_a_filterlink_that_is_killed(trials: Trials, config: Config) -> None:
    """Its helpers die with it; their daemons come to the supervisor, one generation after the other."""
    with _started(trials, config(processors=1, more=FILTER)) as trial:
        trial.wait(lambda: len(_alive(_daemons(trial))) == 2, "its daemons run")
        first = _daemons(trial)
        signal_all(trial.pids("filterlink"), signal.SIGKILL)
        trial.wait(lambda: not _alive(first), "they have ended", 10)
        trial.wait(lambda: len(_alive(_daemons(trial))) == 2, "those of the new helper run")


def test_no_other_process_of_the_account_is_ended(trials: Trials, config: Config) -> None:
    other = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "1000")
    try:
        with _started(trials, config(processors=1, more=FILTER)) as trial:
            trial.wait(lambda: len(_alive(_daemons(trial))) == 2, "its daemons run")
        assert Path(f"/proc/{other}/stat").read_text().split()[2] == "S"
    finally:
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)
