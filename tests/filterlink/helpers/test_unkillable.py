"""Demands where the kernel holds a helper and SIGKILL does not end it: its filter goes on without it. For real: FUSE, as root."""

import contextlib
import itertools
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial, wait
from filterlink.config.settings import Filter
from filterlink.helpers import unkillable
from filterlink.helpers.runner import HelperRunner
from filterlink.wire.loop import Loop
from tests.helpers.paths import HELPERS
from tests.helpers.places import Place, hanging

STUCK = f"{sys.executable} {HELPERS / 'stuck.py'}"
CONFIG = """
[enqueuer]
processors = 2
retry_after = "1s"
[[filters]]
name = "Stuck"
program = "{program}"
timeout = "2s"
auto_restart = "100ms"
[[rules]]
name = "scan everything"
actions = [["ExternalFilter", "Stuck"]]
[[routes]]
recipient = "*"
to = "OUT"
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with hanging(tmp_path / "folder", tmp_path / "mount") as found:
        yield found


@pytest.fixture
def trial(tmp_path: Path, place: Place) -> Iterator[Trial]:
    trial = Trial(tmp_path / "base", CONFIG.format(program=f"{STUCK} {place.mount}"))
    yield trial
    place.release()
    trial.end()


def _mail(more: str = "") -> bytes:
    return f"From: a@a.example\nTo: b@b.example\n{more}\ntext\n".encode()


def _is_stuck(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "D"
    return False


def _helper(trial: Trial) -> int:
    return trial.wait(lambda: next(iter(trial.status()["filters"][0]["pids"]), 0), "a helper runs")


def test_a_helper_in_the_kernel_is_given_up(trial: Trial, place: Place) -> None:
    """Mail flows by another helper, `status` and the log say why, and it is reaped when it ends after all."""
    with trial:
        stuck = _helper(trial)
        place.hang()
        trial.drop("a", _mail("X-Stuck: yes\n"))
        trial.wait(lambda: place.asked, "it is stuck")
        trial.drop("b", _mail())
        trial.wait(trial.outbound, "other mail of this filter flows", 25)
        assert trial.status()["filters"][0]["given_up"] == [stuck]
        assert f"process {stuck} does not end by SIGKILL" in trial.log()
        place.release()
        trial.wait(lambda: not Path(f"/proc/{stuck}").exists(), "it is reaped", 10)
        trial.wait(lambda: trial.status()["filters"][0]["given_up"] == [], "it is forgotten", 10)


def test_a_stop_does_not_wait_for_it(trial: Trial, place: Place) -> None:
    """The stop takes the seconds of its steps."""
    with trial:
        stuck = _helper(trial)
        place.hang()
        trial.drop("a", _mail("X-Stuck: yes\n"))
        trial.wait(lambda: place.asked, "it is stuck")
        assert trial.stop() == 0
        assert _is_stuck(stuck)
        assert "filterlink (pid" not in trial.log()


class Owner:
    """Hears of one helper."""

    def __init__(self) -> None:
        self.gone = 0

    def helper_gone(self, index: int, over: bool, planned: bool) -> None:
        self.gone += 1

    def __getattr__(self, name: str) -> Callable[..., object]:
        return lambda *_: []


def test_only_a_few_are_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the filter waits for one of them: a program that always gets stuck must not fill the machine. An end is an end all the same."""
    monkeypatch.setattr(unkillable, "MOST", 2)
    monkeypatch.setattr("filterlink.helpers.runner.HASTY", ((_step("KILL"), 0.2), (_step("ABANDON"), 0.1)))
    monkeypatch.setattr("filterlink.helpers.runner.GENTLE", ((_step("KILL"), 0.2), (_step("ABANDON"), 0.1)))
    loop = Loop()
    owner = Owner()
    pids = list[int]()
    place.hang()
    settings = Filter(name="F", program=f"cat {place.mount}/file", auto_restart=0.0)  # type: ignore[arg-type]
    runner = HelperRunner(loop, settings, 0, itertools.count(1), logging.getLogger("F"), owner)  # type: ignore[arg-type]

    def turn_until(condition: Callable[[], object], seconds: float = 10) -> None:
        def turned() -> object:
            loop.turn(0.02)
            return condition()

        wait(turned, seconds, "as expected")

    for number in range(1, 4):
        turn_until(lambda: place.asked == number and runner.pid)  # noqa: B023
        pids.append(runner.pid or 0)
        runner.restart("it does not answer")
    until = time.monotonic() + 1
    turn_until(lambda: time.monotonic() > until)
    assert (runner.pid, owner.gone, list(unkillable.of("F"))) == (pids[2], 2, pids[:2])
    runner.stop()
    turn_until(lambda: owner.gone == 3)
    assert list(unkillable.of("F")) == pids
    place.release()
    turn_until(lambda: not unkillable.of("F"))
    loop.close()


def _step(name: str) -> object:
    from filterlink.helpers.lifecycle import LifeStep

    return LifeStep[name]
