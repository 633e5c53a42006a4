"""Run the kill storm over a milter door: Postfix asks about each message, while any process of the engine dies or stops at any instant.

Postfix keeps the messages. A client gives each of them to Postfix until it gets a final answer. So no message is lost, none passes
unscanned, and none waits for ever. Messages in the drop folder go through the same filter meanwhile.
"""

import contextlib
import os
import random
import re
import signal
import smtplib
import threading
import time
from collections import Counter, deque
from pathlib import Path
from typing import NamedTuple

import pytest

from enqueuer.lab.trial import Trial
from tests.helpers.mta import free_port
from tests.helpers.postfix import Postfix, postfix
from tests.storm import weather

CLIENTS = 6
RATE = 5.0
"""Messages a second in the drop folder."""
KILLS_PER_SECOND = 4
WEIGHTS = {"door": 30, "filterlink": 15, "helper": 20, "processor": 15, "queue manager": 15, "logger": 5}
DOOR = '[[doors]]\nname = "postfix"\nkind = "milter"\nlisten = "inet:127.0.0.1:{port}"\n'
MAIN = """
smtpd_milters = inet:127.0.0.1:{port}
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
smtpd_client_connection_count_limit = 0
"""
TRIES_OF_POISON = 2
"""A message that ends helpers is given up by its client after this many tries: it never gets another answer than 4xx."""
ANSWERED_WITHIN = 60.0
"""Seconds: far more than all pauses of the engine, and less than an MTA waits."""


class Letter(NamedTuple):
    name: str
    data: bytes
    final: int
    """The code that it must get in the end; 451: it ends helpers."""
    delivered: bool
    added: bool


class Sender:
    """Clients of Postfix, each with one message after the other. A message that is deferred is sent again later."""

    def __init__(self, port: int, chance: random.Random) -> None:
        self.codes: dict[str, list[int]] = {}
        self.letters: dict[str, Letter] = {}
        self.slowest = 0.0
        self._port = port
        self._chance = chance
        self._again: deque[Letter] = deque()
        self._over = threading.Event()
        self._calm = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Make no new messages, and wait until each has its final answer."""
        self._calm.set()
        for thread in self._threads:
            thread.join(weather.PATIENCE)
        assert not any(thread.is_alive() for thread in self._threads), "a message gets no final answer"

    def stop(self) -> None:
        self._over.set()

    def _work(self) -> None:
        while not self._over.is_set() and (letter := self._next()) is not None:
            began = time.monotonic()
            code = self._send(letter)
            with self._lock:
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.codes[letter.name].append(code)
                if code // 100 == 4 and not (letter.final == 451 and len(self.codes[letter.name]) >= TRIES_OF_POISON):
                    self._again.append(letter)
            self._over.wait(0.02)

    def _next(self) -> Letter | None:
        with self._lock:
            if self._again and (self._calm.is_set() or self._chance.random() < 0.5):
                return self._again.popleft()
            return None if self._calm.is_set() else self._make()

    def _send(self, letter: Letter) -> int:
        try:
            with smtplib.SMTP("127.0.0.1", self._port, timeout=ANSWERED_WITHIN) as client:
                client.sendmail("ann@a.example", ["bob@b.example"], letter.data)
        except (smtplib.SMTPDataError, smtplib.SMTPConnectError, smtplib.SMTPHeloError, smtplib.SMTPSenderRefused) as refused:
            return refused.smtp_code
        except smtplib.SMTPRecipientsRefused as refused:
            return next(iter(refused.recipients.values()))[0]
        except smtplib.SMTPServerDisconnected:
            return 421
        return 250

    def _make(self) -> Letter:
        """Make a message with a random answer, and the delay of the filter."""
        name = f"d{len(self.letters):06}"
        kinds = (
            ("OK", 250, True, False),
            ('ADDHEADER "X-Storm: seen" OK', 250, True, True),
            ('once ADDHEADER "X-Storm: seen" OK', 250, True, True),
            ('ERROR "never"', 550, False, False),
            ("DISCARD", 250, False, False),
            ("die", 451, False, False),
        )
        answer, final, delivered, added = self._chance.choices(kinds, (3, 8, 2, 4, 2, 0.2))[0]
        seconds = self._chance.choice((0, 0, 0.005, 0.02, 0.1, 0.5))
        word = answer if answer == "die" else f"{seconds} {answer}"
        size = 60_000 if self._chance.random() < 0.1 else self._chance.randrange(2000)
        date = "Date: Sat, 28 Nov 2026 12:00:00 +0000"  # without one Postfix adds it
        head = f"From: ann@a.example\r\nTo: bob@b.example\r\n{date}\r\nMessage-ID: <{name}>\r\nX-Judge: {word}\r\n\r\n"
        body = self._chance.randbytes(size // 2).hex()
        lines = "\r\n".join(body[at : at + 70] for at in range(0, len(body), 70))
        letter = Letter(name, f"{head}{lines}\r\n".encode(), final, delivered, added)
        self.letters[name] = letter
        self.codes[name] = []
        return letter

    def wrong(self, box: list[bytes]) -> list[str]:
        """Return the faults after all has settled."""
        faults = []
        found = Counter[str]()
        for message in box:
            id = re.search(rb"^Message-ID: <(d\d+)>", message, re.MULTILINE)
            letter = self.letters.get(id[1].decode()) if id else None
            if letter is None or not letter.delivered:
                faults.append(f"delivered: {message[:300]!r}")
                continue
            found[letter.name] += 1
            if not message.rstrip(b"\n").endswith(letter.data.replace(b"\r\n", b"\n").rstrip(b"\n")):
                faults.append(f"{letter.name} is broken: {message[:600]!r}")
            if (b"\nX-Storm: seen\n" in message.partition(b"\n\n")[0] + b"\n") != letter.added:
                faults.append(f"{letter.name} does not have the fields of its filter: {message[:600]!r}")
        for name, letter in self.letters.items():
            *before, last = self.codes[name]
            if any(code // 100 != 4 for code in before) or (last != letter.final and (last // 100, letter.final) != (4, 451)):
                faults.append(f"{name} got {self.codes[name]}, not {letter.final}: {letter.data[:150]!r}")
            if found[name] != letter.delivered:
                faults.append(f"{name} was delivered {found[name]} times")
        return faults


class DoorStorm:
    """Kills processes, and drops messages for the queue."""

    def __init__(self, trial: Trial, chance: random.Random) -> None:
        self.ledger = weather.Ledger(chance)
        self.struck: Counter[str] = Counter()
        self.stops = 0
        self._trial = trial
        self._chance = chance
        self._stopped: list[tuple[float, int]] = []

    def blow(self, kills: int) -> None:
        next_drop = next_strike = 0.0
        while self.struck.total() < kills:
            now = time.monotonic()
            self._resume(now)
            if now >= next_drop:
                next_drop = now + self._chance.expovariate(RATE)
                mail = self.ledger.make()
                self._trial.drop(mail.name, mail.data)
            if now >= next_strike:
                next_strike = now + self._chance.expovariate(KILLS_PER_SECOND)
                self._strike(now)
            self.settle()
            weather.until(min(next_drop, next_strike, now + 0.02))
        self._resume(float("inf"))

    def settle(self) -> None:
        weather.take_outbound(self._trial.base, self.ledger)

    def _resume(self, now: float) -> None:
        for due, pid in self._stopped:
            if due <= now:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        self._stopped = [(due, pid) for due, pid in self._stopped if due > now]

    def _strike(self, now: float) -> None:
        assert self._trial.process is not None
        role = self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        victims = [each.pid for each in weather.processes(self._trial.process.pid) if each.role == role and each.state != "Z"]
        if not victims:
            return
        pid = self._chance.choice(victims)
        stops = self._chance.random() < 0.2
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP if stops else signal.SIGKILL)
            if stops:
                self.stops += 1
                self._stopped.append((now + self._chance.expovariate(3), pid))
            else:
                self.struck[role] += 1


@pytest.mark.server
@pytest.mark.parametrize("kills", [pytest.param(30, id="short"), pytest.param(1000, id="long", marks=pytest.mark.storm)])
def test_postfix_gets_the_right_answer_about_each_message_whatever_dies(kills: int, tmp_path: Path) -> None:
    """Each accepted message was scanned, and is delivered once; the others were refused, or deferred until they were scanned."""
    began = time.monotonic()
    chance = weather.seeded("door storm")
    port = free_port()
    config = weather.config(tmp_path / "markers", 3) + DOOR.format(port=port)
    with postfix(MAIN.format(port=port)) as mta, Trial(tmp_path / "base", config) as trial:
        storm = DoorStorm(trial, chance)
        sender = Sender(mta.port, chance)
        try:
            storm.blow(kills)
            sender.finish()
        finally:
            sender.stop()
        weather.settled(trial, storm.settle)
        weather.take_quarantine(trial.base, storm.ledger)
        _nothing_is_left(trial, mta)
        assert sender.wrong(mta.box()) == []
        assert storm.ledger.wrong(storm.ledger.mails) == []
        assert sender.slowest < ANSWERED_WITHIN
        assert trial.stop() == 0
        assert weather.inhabitants(trial.base) == []
    tries = Counter(code for codes in sender.codes.values() for code in codes)
    print(
        f"door storm: {len(sender.letters)} messages for Postfix, answers {dict(tries)}, the slowest after {sender.slowest:.1f} s; "
        f"{len(storm.ledger.mails)} in the drop folder; kills {dict(storm.struck)}, {storm.stops} stops, {time.monotonic() - began:.0f} s"
    )


def _nothing_is_left(trial: Trial, mta: Postfix) -> None:
    trial.wait(lambda: not mta.queue(), "Postfix has delivered all")
    trial.wait(lambda: os.listdir(trial.base / "Asked") == [], "no message of the door is left", weather.PATIENCE)
    trial.wait(lambda: trial.status()["state"] == "running", "the engine runs", weather.PATIENCE)
    trial.wait(lambda: all(each["in_flight"] == each["parked"] == 0 for each in trial.status()["filters"]), "no slot is in use")
