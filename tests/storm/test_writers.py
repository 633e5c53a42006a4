"""Run the writers' storm: hundreds of writers pause at any time, on a filesystem without leases. Each drop must come out whole."""

import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial
from tests.storm import weather, writers

pytestmark = pytest.mark.storm
DROPS = 500
PAUSE = 9.0
"""Seconds of the longest pause: shorter than the time for which a drop must rest."""
BEGIN_WITHIN = 20.0
PATIENCE = 120.0
UNLEASED = ("setpriv", "--bounding-set", "-fowner,-dac_override,-dac_read_search,-lease")


def _plans(chance: random.Random) -> list[writers.Plan]:
    """Plan many short pauses or a few long ones; the file stays open, or is opened for each piece."""

    def pauses() -> Sequence[float]:
        count = chance.randrange(12)
        return [chance.random() * (PAUSE if chance.random() < 0.2 else 0.5) for _ in range(count)]

    return [writers.Plan(f"{number:03}", pauses(), keeps_open=chance.random() < 0.5) for number in range(DROPS)]


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("setpriv") is None, reason="needs root to make drops of another account")
def test_writers_of_another_account(tmp_path: Path) -> None:
    chance = weather.seeded("writers of another account")
    trial = Trial(tmp_path / "base", weather.config(tmp_path / "markers"))
    trial.prefix = UNLEASED
    with trial:
        _storm(trial, chance, trial.base, writers.NOBODY)


def test_writers_on_another_machine(tmp_path: Path) -> None:
    chance = weather.seeded("writers on another machine")
    with writers.shared(tmp_path / "shown", tmp_path / "base"), Trial(tmp_path / "base", weather.config(tmp_path / "markers")) as trial:
        _storm(trial, chance, tmp_path / "shown", 0)


def _storm(trial: Trial, chance: random.Random, folder: Path, owner: int) -> None:
    plans = _plans(chance)
    writers.write_all(folder / "Submitted", plans, owner, BEGIN_WITHIN, chance)
    writers.expect_whole(plans, folder / "Outbound/OUT", trial.wait, PATIENCE)
    trial.wait(lambda: trial.status()["totals"]["enqueued"] == DROPS, "all are counted")
    totals = trial.status()["totals"]
    assert (totals["received"], totals["enqueued"], totals["refused"]) == (DROPS, DROPS, 0)
    assert trial.stop() == 0
