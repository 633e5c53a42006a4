"""Run the config storm: the file changes all the time, in the ways of editors, deployments and mistakes, while messages run."""

import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer import basedir
from enqueuer.config import schema
from enqueuer.lab.trial import Trial
from tests.enqueuer.config.test_schema import extremes
from tests.storm import weather

CHANGES_PER_SECOND = 4.0
RATE = 20
LOOK_EACH = 25
"""Changes until the file rests for a comparison with the active configuration."""
TAKEN_WITHIN = 10.0
"""Seconds. On an idle machine it takes two."""
LEVELS = ("major", "problems", "low-level", "all")
FAULTS: dict[str, Callable[[str], str]] = {
    "no table": lambda text: text.replace("[enqueuer]", "[enqueuer", 1),
    "unknown key": lambda text: text.replace("[enqueuer]", "[enqueuer]\nprocesors = 3", 1),
    "wrong type": lambda text: text.replace("processors = ", "processors = true #", 1),
    "no rules": lambda text: text.replace("[[rules]]", "[[rulez]]", 1),
    "unknown filter": lambda text: text.replace('"ExternalFilter", "Judge"', '"ExternalFilter", "Jugde"'),
    "last route takes not all": lambda text: text.replace('recipient = "*"', 'recipient = "*@b.example"'),
    "half": lambda text: text[: len(text) // 2],
    "empty": lambda _text: "",
    "not UTF-8": lambda text: text.replace("Judge", "J\udcff", 1),
}


class Administrator:
    """A writer that changes the file and knows the last good version."""

    def __init__(self, trial: Trial, markers: Path, chance: random.Random) -> None:
        self.trial = trial
        self._markers = markers
        self._chance = chance
        self.path = trial.base / basedir.CONFIG
        self.good: list[int] = [4]
        """The number of processors in each good file."""
        self.fault = ""
        self.made: Counter[str] = Counter()
        self._number = 0

    def change(self, fault: str | None = None) -> None:
        """Make one change. `fault`: "" for a good file, or one of FAULTS; None: by chance."""
        if fault is None:
            fault = self._chance.choice([*FAULTS, *[""] * len(FAULTS)])
        processors = self._chance.randint(1, 6)
        text = weather.config(self._markers, processors, self._chance.choice(LEVELS))
        if fault:
            text = FAULTS[fault](text)
        else:
            self.good.append(processors)
        self.fault = fault
        way = self._chance.choice((self._rename, self._in_place, self._in_pieces, self._swap))
        way(text.encode("utf-8", "surrogateescape"))
        self.made[way.__name__.strip("_")] += 1
        self.made["faulty" if fault else "good"] += 1

    def _rename(self, data: bytes) -> None:
        """Write the file as an editor does."""
        new = self.path.with_name("new")
        new.write_bytes(data)
        new.rename(self.path)

    def _in_place(self, data: bytes) -> None:
        self.path.write_bytes(data)

    def _in_pieces(self, data: bytes) -> None:
        """Write the file as a slow copy does: for a while half of it is there, but not for as long as a written file must rest."""
        with self.path.open("wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            weather.until(time.monotonic() + self._chance.uniform(0, 0.15))
            file.write(data[len(data) // 2 :])

    def _swap(self, data: bytes) -> None:
        """Write the file as Kubernetes does: it is a link into a folder that is a link, and the folder's link is replaced."""
        self._number += 1
        settings = self.path.parent
        folder = settings / f"..revision{self._number}"
        folder.mkdir()
        (folder / self.path.name).write_bytes(data)
        link = settings / "..new"
        link.symlink_to(folder.name)
        link.rename(settings / "..data")
        if not self.path.is_symlink():
            link.symlink_to(f"..data/{self.path.name}")
            link.rename(self.path)

    def check(self) -> None:
        """Check that the last good file is active, and that status reports a faulty file after it as refused."""
        if self.fault:
            self.trial.wait(lambda: self._status()["config"]["error"], f"status shows the fault: {self.fault}", TAKEN_WITHIN)
            assert self._status()["processors"]["configured"] in self.good
        else:
            self.trial.wait(self._in_force, f"{self.good[-1]} processors run: {self._status()}", TAKEN_WITHIN)

    def _in_force(self) -> bool:
        status = self._status()
        processors = status["processors"]
        return status["config"]["error"] is None and processors["configured"] == processors["running"] == self.good[-1]

    def _status(self) -> weather.Status:
        return self.trial.status()


@pytest.mark.parametrize("changes", [pytest.param(12, id="short"), pytest.param(1000, id="long", marks=pytest.mark.storm)])
def test_the_last_good_file_is_in_force_and_no_message_is_lost(changes: int, tmp_path: Path) -> None:
    """After any kind of change a good file is active whole, a faulty one refused whole, and every message has its disposition."""
    began = time.monotonic()
    chance = weather.seeded("config storm")
    markers = tmp_path / "markers"
    ledger = weather.Ledger(chance)
    with Trial(tmp_path / "base", weather.config(markers)) as trial:
        administrator = Administrator(trial, markers, chance)
        work = _traffic(trial, ledger, chance)
        for number in range(1, changes + 1):
            weather.until(time.monotonic() + chance.expovariate(CHANGES_PER_SECOND), work)
            administrator.change()
            if number % LOOK_EACH == 0:
                administrator.check()
        administrator.change("")
        administrator.check()
        weather.settled(trial, lambda: weather.take_outbound(trial.base, ledger))
        weather.take_quarantine(trial.base, ledger)
        assert ledger.wrong(ledger.mails) == []
        expected = ledger.totals(ledger.mails)
        assert {disposition: trial.status()["totals"][disposition] for disposition in expected} == expected
    print(f"config storm: {len(ledger.mails)} messages, {changes} changes ({dict(administrator.made)}), {time.monotonic() - began:.0f} s")


def _traffic(trial: Trial, ledger: weather.Ledger, chance: random.Random) -> Callable[[], None]:
    """Drop messages steadily, and consume the output."""
    due = [time.monotonic()]

    def work() -> None:
        if time.monotonic() >= due[0]:
            due[0] = time.monotonic() + chance.expovariate(RATE)
            mail = ledger.make()
            trial.drop(mail.name, mail.data)
        weather.take_outbound(trial.base, ledger)

    return work


@pytest.mark.parametrize("most", [pytest.param(25, id="short"), pytest.param(10_000, id="long", marks=pytest.mark.storm)])
def test_an_extreme_value_that_is_taken_ends_no_process(most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine runs with every file that `config check` accepts."""
    chance = weather.seeded("extreme values")
    good = list(filter(_is_good, extremes()))
    chosen = chance.sample(good, min(most, len(good)))
    rule = '[[rules]]\nname = "scan"\nactions = [["ExternalFilter", "F"]]\n'
    with Trial(tmp_path / "base", chosen[0]) as trial:
        monkeypatch.chdir(trial.base)
        titles = ("supervisor", "queue manager", "filterlink", "watcher", "logger", "door")
        before = {title: trial.pids(title)[:1] for title in titles}
        for number, text in enumerate(chosen):
            asked = text.replace("rules = []\n", "", 1) + rule if "[[filters]]" in text else text
            trial.configure(asked.replace('program = "true"', f'program = "{weather.JUDGE}"'))
            _order_reload()
            assert trial.status()["config"]["error"] is None, text
            trial.drop(f"m{number}", b"From: a@a.example\nTo: b@b.example\n\ntext\n")
            weather.until(time.monotonic() + 0.1)
            assert trial.status()["state"] == "running"
            assert {title: trial.pids(title)[:1] for title in titles} == before, f"{text}\n{trial.last_words()}"
        assert "fault in Enqueuer" not in trial.log()


def _is_good(text: str) -> bool:
    try:
        schema.load(text.encode())
    except schema.ConfigError:
        return False
    return "durability" not in text


def _order_reload() -> None:
    """Reload without waiting for the answer: it comes when all is active, and a helper that cannot start delays that."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect("Run/control.sock")
        sock.sendall(b'{"command":"reload"}\n')
