"""Demands with hostile mail beside normal mail, default settings: normal mail goes on, and no hostile message gets away unscanned."""

import math
import re
import select
import time
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial
from tests.helpers import hostile

PACE = 0.01
"""Seconds between two normal messages."""
MOST = 1.0
"""Seconds that 98 of 100 normal messages take at most."""
FEW = 50
NORMAL = b"From: a@a.example\nTo: b@b.example\nSubject: normal\nMessage-ID: <%d@a.example>\n\nhello\n"


class Flow:
    """Normal mail all the time, and how long each message took from its drop to the module queue."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._count = 0
        self._began: dict[bytes, float] = {}
        self._known: set[Path] = set()
        self.seconds: list[float] = []

    def turn(self) -> None:
        """Drop one message, and look what has come out."""
        self._count += 1
        self._began[b"<%d@" % self._count] = time.monotonic()
        self._trial.drop(f"normal{self._count}", NORMAL % self._count)
        select.select([], [], [], PACE)
        self.look()

    def look(self) -> int:
        """Take the time of what has come out; return how many have not."""
        now = time.monotonic()
        for path in set(self._trial.outbound()) - self._known:
            self._known.add(path)
            with path.open("rb") as file:
                found = file.read(4096).partition(b"Message-ID: ")[2].partition(b"@")[0] + b"@"
            if (began := self._began.pop(found, None)) is not None:
                self.seconds.append(now - began)
        return len(self._began)


@pytest.mark.alone
def test_normal_mail_goes_on_beside_hostile_mail(tmp_path: Path) -> None:
    """One hostile message of each kind, one after the other: 49 of fifty normal messages take less than a second each."""
    slow: dict[str, float] = {}
    with Trial(tmp_path / "base") as trial:
        trial.drop("first", NORMAL % 0)
        trial.wait(trial.outbound, "the filter is ready")
        for name, make in (hostile.MESSAGES | hostile.LARGE).items():
            made = make()
            flow = Flow(trial)
            trial.drop(name, made)
            while len(flow.seconds) < FEW or not _decided(trial, name):
                flow.turn()
                assert len(flow.seconds) < 60 / PACE
            trial.wait(lambda: not flow.look(), "all normal mail is out")  # noqa: B023
            if (most := sorted(flow.seconds)[math.ceil(len(flow.seconds) * 0.98) - 1]) >= MOST:
                slow[name] = most
        assert slow == {}
        assert trial.status()["filters"][0]["restarts"] == 0


def _decided(trial: Trial, name: str) -> bool:
    """Whether the log tells the end of that message, or that it waits."""
    came = re.search(rf"QUEUE\(\[(\d+)\]\) from .*, {name}\.eml$", log := trial.log(), re.MULTILINE)
    return (
        came is not None
        and re.search(rf"QUEUE\(\[{came[1]}\]\) (?:enqueued|quarantined|discarded|deferred|bad|rejected):", log) is not None
    )
