"""Run the kill storm: any process of the tree, even the supervisor, dies or stops at any instant. The mail must not be affected."""

import contextlib
import json
import os
import random
import signal
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial
from tests.storm import weather

PROCESSORS = 4
RATE = 30
KILLS_PER_SECOND = 8
WARM_UP = 200
"""Messages at once, so that every processor has had some and has all its connections."""
BURST = 25
HOLDS_PER_SECOND = 8
ROUND = 25
"""Kills until a pause in which all settles and is counted."""
WEIGHTS = {"processor": 35, "helper": 15, "queue manager": 15, "filterlink": 10, "logger": 10, "watcher": 5, "door": 5, "supervisor": 10}
CENSUS = Counter(
    dict.fromkeys(("supervisor", "logger", "filterlink", "queue manager", "watcher", "door"), 1) | {"processor": PROCESSORS, "helper": 2}
)


class Storm:
    """The storm: it drops messages, empties Outbound, and kills processes."""

    def __init__(self, trial: Trial, chance: random.Random) -> None:
        self.trial = trial
        self.chance = chance
        self.ledger = weather.Ledger(chance, splits=True)
        self.holds = 0
        self._asked: list[socket.socket] = []
        self.struck: Counter[str] = Counter()
        self.stops = 0
        self._stopped: list[tuple[float, int]] = []
        self._next_drop = self._next_strike = self._next_hold = 0.0

    def blow(self, kills: int, supervisor: bool) -> None:
        """Go on until this many processes were killed, the supervisor at least once or not at all. Then let everything settle."""
        target = self.struck.total() + kills
        spared = self.struck["supervisor"]
        while self.struck.total() < target:
            now = time.monotonic()
            self._revive()
            self._resume(now)
            self.drop_due(now)
            self._hold_or_release(now)
            if now >= self._next_strike:
                overdue = supervisor and self.struck["supervisor"] == spared and self.struck.total() > target - kills // 2
                self._strike(now, "supervisor" if overdue else self._choose(supervisor))
            weather.take_outbound(self.trial.base, self.ledger)
            weather.until(min(self._next_drop, self._next_strike, now + 0.01))
        self._resume(float("inf"))
        while self._asked:
            self._asked.pop().close()
        weather.settled(self.trial, self._settling)
        weather.take_quarantine(self.trial.base, self.ledger)

    def drop_due(self, now: float) -> None:
        if now >= self._next_drop:
            self._next_drop = now + self.chance.expovariate(RATE)
            self.drop()

    def drop(self) -> weather.Mail:
        mail = self.ledger.make()
        self.trial.drop(mail.name, mail.data)
        return mail

    def _hold_or_release(self, now: float) -> None:
        """Order to put some message on hold for a short time, or to release one. The order may be lost with the process that gets it."""
        if now < self._next_hold:
            return
        self._next_hold = now + self.chance.expovariate(HOLDS_PER_SECOND)
        folder, verb = self.chance.choice((("Queue", "hold"), ("Queue", "hold"), ("Hold", "release-hold")))
        ids = [int(name.partition(".")[0]) for name in os.listdir(self.trial.base / folder) if name.endswith(".msg")]
        if not ids:
            return
        order = {"command": verb, "id": self.chance.choice(ids)} | ({"until": time.time() + 0.3} if verb == "hold" else {})
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.connect(str(self.trial.base / "Run/control.sock"))
            sock.sendall(json.dumps(order).encode() + b"\n")
            self.holds += 1
        self._asked.append(sock)  # open until an answer can have come
        for old in self._asked[:-20]:
            old.close()
        self._asked = self._asked[-20:]

    def _settling(self) -> None:
        self._revive()
        weather.take_outbound(self.trial.base, self.ledger)

    def _revive(self) -> None:
        """Start a killed supervisor again at once, as systemd would. Its orphans may still be ending."""
        process = self.trial.process
        if process is None or process.poll() is not None:
            assert process is None or process.returncode == -signal.SIGKILL, self.trial.last_words()
            self.trial.launch()

    def _resume(self, now: float) -> None:
        for due, pid in self._stopped:
            if due <= now:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        self._stopped = [(due, pid) for due, pid in self._stopped if due > now]

    def _choose(self, supervisor: bool) -> str:
        weights = WEIGHTS if supervisor else WEIGHTS | {"supervisor": 0}
        return self.chance.choices(list(weights), list(weights.values()))[0]

    def _strike(self, now: float, role: str) -> None:
        self._next_strike = now + self.chance.expovariate(KILLS_PER_SECOND)
        assert self.trial.process is not None
        victims = [each.pid for each in weather.processes(self.trial.process.pid) if each.role == role and each.state != "Z"]
        if not victims:
            return
        if role == "queue manager":
            self._burst()
        pid = self.chance.choice(victims)
        stops = self.chance.random() < 0.2
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP if stops else signal.SIGKILL)
            if stops:
                self.stops += 1
                self._stopped.append((now + self.chance.expovariate(3), pid))
            else:
                self.struck[role] += 1

    def _burst(self) -> None:
        """Drop enough messages that some are in the middle of their commit soon: a commit takes only microseconds."""
        for _ in range(BURST):
            self.drop()
        weather.until(time.monotonic() + self.chance.uniform(0.01, 0.08))

    def calm(self) -> dict[str, int]:
        """Wait until every process runs, each once; return the most descriptors that a process of each role has open."""
        found: list[weather.Process] = []

        def complete() -> bool:
            assert self.trial.process is not None
            found[:] = weather.processes(self.trial.process.pid)
            return Counter(each.role for each in found) == CENSUS and all(each.state in "SRD" for each in found)

        self.trial.wait(complete, f"every process is there: {found}", weather.PATIENCE)
        return {role: max(each.descriptors for each in found if each.role == role) for role in CENSUS}


@pytest.mark.parametrize("kills", [pytest.param(30, id="short"), pytest.param(1000, id="long", marks=pytest.mark.storm)])
def test_every_message_has_one_fate_whoever_is_killed(kills: int, tmp_path: Path) -> None:
    """Each message has exactly one disposition, the right one; dead processes leave nothing behind; the totals and the log agree."""
    began = time.monotonic()
    chance = weather.seeded("kill storm")
    with Trial(tmp_path / "base", weather.config(tmp_path / "markers", PROCESSORS, splits=True)) as trial:
        storm = Storm(trial, chance)
        usual = _warmed_up(storm)
        rounds = max(2, kills // ROUND)
        for number in range(rounds):
            _one_round(storm, kills // rounds, supervisor=number % 3 == 1)
        _nothing_is_open(storm, usual)
        _the_log_still_works(storm)
        assert trial.stop() == 0
        assert weather.inhabitants(trial.base) == []
    print(
        f"kill storm: {len(storm.ledger.mails)} messages, {storm.struck.total()} kills ({dict(storm.struck)}), "
        f"{storm.stops} stops, {storm.holds} holds and releases, {time.monotonic() - began:.0f} s"
    )


def _warmed_up(storm: Storm) -> dict[str, int]:
    """Return the most descriptors that a process of each role has open after some work."""
    for _ in range(WARM_UP):
        storm.drop()
    weather.settled(storm.trial, lambda: weather.take_outbound(storm.trial.base, storm.ledger))
    weather.take_quarantine(storm.trial.base, storm.ledger)
    return storm.calm()


def _one_round(storm: Storm, kills: int, *, supervisor: bool) -> None:
    before = storm.trial.status()["totals"]
    first = len(storm.ledger.mails)
    storm.blow(kills, supervisor)
    storm.calm()
    storm.trial.wait(lambda: weather.runs(storm.trial), "the engine runs")
    totals = storm.trial.status()["totals"]
    names = list(storm.ledger.mails)
    assert storm.ledger.wrong(names) == []
    dispositions = ("enqueued", "discarded", "quarantined", "rejected", "bad")
    assert totals["received"] + totals["returned"] == sum(totals[disposition] for disposition in dispositions)
    if not supervisor:
        expected = storm.ledger.totals(names[first:])
        assert {disposition: totals[disposition] - before[disposition] for disposition in expected} == expected


def _nothing_is_open(storm: Storm, usual: dict[str, int]) -> None:
    """No process has more descriptors open than before the storm."""

    def fair() -> bool:
        return all(count <= usual[role] for role, count in storm.calm().items())

    storm.trial.wait(fair, f"no process has more open than {usual}: {storm.calm()}")


def _the_log_still_works(storm: Storm) -> None:
    mail = storm.drop()
    weather.settled(storm.trial)
    line = storm.trial.wait(lambda: [text for text in storm.trial.log().splitlines() if f"{mail.name}.eml" in text], "its line is there")
    id = line[0].partition("QUEUE([")[2].partition("]")[0]
    dispositions = ("enqueued:", "discarded:", "quarantined:")
    storm.trial.wait(
        lambda: any(f"QUEUE([{id}]) {disposition}" in storm.trial.log() for disposition in dispositions), "its disposition is there"
    )
