"""Demands on the engine as a service of systemd: a real notify socket, a real engine."""

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial, signal_all, wait
from tests.helpers.paths import ROOT

Make = Callable[..., bytes]
Config = Callable[..., str]
Trials = Callable[[str], Trial]
WATCHDOG = 3.0
UNIT = ROOT / "packaging" / "enqueuer.service"


class Systemd:
    """Hears what an engine says."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(path))
        self.sock.setblocking(False)
        self.heard: list[str] = []

    def hear(self) -> list[str]:
        while True:
            try:
                self.heard += self.sock.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.heard

    def until(self, line: str, times: int = 1, seconds: float = 20.0) -> None:
        wait(lambda: sum(each.startswith(line) for each in self.hear()) >= times, seconds, f"{line} {times} times: {self.heard}")

    def pings(self, seconds: float) -> int:
        """How many come in this time."""
        self.hear().clear()
        until = time.monotonic() + seconds
        wait(lambda: time.monotonic() > until, seconds + 1, "the time is over")
        return self.hear().count("WATCHDOG=1")


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    systemd = Systemd(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", str(int(WATCHDOG * 1e6)))
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    yield systemd
    systemd.sock.close()


def test_ready_reloading_stopping(systemd: Systemd, trials: Trials, config: Config) -> None:
    """READY once recovery is done and the config is in force, RELOADING and READY around a new config, STOPPING as it drains."""
    with trials(config(processors=2)) as trial:
        systemd.until("READY=1")
        assert not [line for line in systemd.heard if line.startswith(("RELOADING", "WATCHDOG=1", "STOPPING"))][1:]
        trial.configure(config(processors=3))
        systemd.until("READY=1", 2)
        trial.configure("rules = 1")
        systemd.until("STATUS=running: 0 waiting, 0 active, 0 parked, 0 deferred, 0 done; the config file is refused")
        assert trial.process is not None
        trial.process.send_signal(signal.SIGTERM)
        systemd.until("STOPPING=1")
        assert trial.process.wait(20) == 0

    words = [line.partition("=")[0] for line in systemd.hear() if not line.startswith(("WATCHDOG", "STATUS", "EXTEND"))]
    assert words == ["READY", "RELOADING", "MONOTONIC_USEC", "READY", "STOPPING"]
    assert "EXTEND_TIMEOUT_USEC=50000000" in systemd.heard


def test_a_drain_without_end_is_said_as_a_number(systemd: Systemd, trials: Trials, config: Config, mail: Make) -> None:
    """drain_timeout = "never": the stop is announced, the messages in work are finished, and the engine ends."""
    with trials(config(processors=1, engine='drain_timeout = "never"')) as trial:
        trial.drop("slow", mail("slow", "1 OK"))
        trial.wait(lambda: trial.status()["processors"]["busy"] == 1, "it is under way")
        assert trial.process is not None
        trial.process.send_signal(signal.SIGTERM)
        systemd.until("STOPPING=1")
        assert trial.process.wait(20) == 0
        assert len(trial.outbound()) == 1


def test_helpers_cannot_speak_for_the_engine(systemd: Systemd, trials: Trials, config: Config) -> None:
    with trials(config()) as trial:
        pids = trial.wait(lambda: trial.status()["filters"][0]["pids"], "the helper runs")
        environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in pids]

    assert not any(b"NOTIFY_SOCKET" in each or b"WATCHDOG_USEC" in each for each in environments)


@pytest.mark.parametrize("victim", ["queue manager", "filterlink"])
def test_a_stopped_process_stops_the_pings(systemd: Systemd, trials: Trials, config: Config, mail: Make, victim: str) -> None:
    """It exists, and it is not healthy: with mail waiting nothing is said. Going on, it is well again."""
    with trials(config(processors=2)) as trial:
        systemd.until("WATCHDOG=1", 2)
        pids = trial.pids(victim)
        signal_all(pids, signal.SIGSTOP)
        trial.drop("a", mail("a"))
        systemd.pings(WATCHDOG)  # those that are under way
        assert systemd.pings(WATCHDOG) == 0
        assert "does not answer" in trial.log()

        signal_all(pids, signal.SIGCONT)
        systemd.until("WATCHDOG=1")
        trial.wait(lambda: len(trial.outbound()) == 1, "the mail goes on")


def test_a_slow_filter_does_not_stop_the_pings(systemd: Systemd, trials: Trials, config: Config, mail: Make) -> None:
    """All processors wait for it for longer than the watchdog's time, and more mail waits behind them."""
    with trials(config(processors=2)) as trial:
        for n in range(6):
            trial.drop(str(n), mail(str(n), f"{WATCHDOG * 2 + 1} OK"))
        trial.wait(lambda: trial.status()["processors"]["busy"] == 2, "all are busy")
        assert systemd.pings(WATCHDOG * 2) >= 3
        assert trial.stop(now=True) == 0


def test_stale_sockets_and_pid_files_do_not_stop_a_start(trials: Trials, config: Config, mail: Make) -> None:
    """What a power cut leaves in Run/: sockets nobody serves, the pid of somebody else, lock files that nobody holds."""
    trial = trials(config(processors=2))
    run = trial.base / "Run"
    for name in ("supervisor.sock", "manager.sock", "filterlink.sock", "control.sock"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.bind(str(run / name))
    for name in ("pid", "lock", "supervisor"):
        (run / name).write_text(f"{os.getpid()}\n")
    (run / "config.7").write_text("half of a conf")
    with trial:
        trial.drop("a", mail("a"))
        trial.wait(lambda: len(trial.outbound()) == 1, "it is enqueued")


def test_the_unit_says_what_the_engine_does() -> None:
    lines = UNIT.read_text().splitlines()

    assert {"Type=notify", "WatchdogSec=30", "ExecReload=/bin/kill -HUP $MAINPID", "RestartPreventExitStatus=78"} <= set(lines)
    assert {"AmbientCapabilities=CAP_LEASE", "CapabilityBoundingSet=CAP_LEASE", "NoNewPrivileges=yes"} <= set(lines)
    assert {"LimitCORE=0", "OOMPolicy=continue", "MemoryMax=75%", "TasksMax=4096"} <= set(lines)
    # systemd 252 counts none of these to @system-service, and the parsers need them to give up their rights
    assert "SystemCallFilter=landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp" in lines


IN_THE_UNIT = (
    *("setpriv", "--no-new-privs", "--securebits", "+noroot,+noroot_locked", "--bounding-set", "-all,+lease"),
    *("--inh-caps", "-all,+lease", "--ambient-caps", "-all,+lease"),
)
"""What the unit leaves of capabilities; with these securebits root has no more than another account."""


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("setpriv") is None, reason="needs root to take capabilities away")
def test_in_the_unit_a_writer_of_another_account_is_seen_and_helpers_may_nothing(trials: Trials, config: Config, mail: Make) -> None:
    """CAP_LEASE lets the queue manager ask who writes to a drop: it is taken as soon as it is closed. No helper inherits it."""
    trial = trials(config())
    trial.prefix = IN_THE_UNIT
    with trial:
        path = trial.base / "Submitted/a.eml"
        with path.open("wb", buffering=0) as file:
            os.chown(path, 65534, 65534)
            file.write(mail("a"))
            trial.drop("b", mail("b"))
            trial.wait(trial.outbound, "the other one is enqueued")
            assert path.exists()
            closed = time.monotonic()
        trial.wait(lambda: len(trial.outbound()) == 2, "it is enqueued")
        assert time.monotonic() - closed < 5

        (filterlink,) = trial.pids("filterlink")
        helpers = Path(f"/proc/{filterlink}/task/{filterlink}/children").read_text().split()
        fields = [dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines()) for pid in helpers]
        assert [(each["CapEff"], each["CapPrm"], each["CapAmb"], each["NoNewPrivs"]) for each in fields] == [
            ("0" * 16, "0" * 16, "0" * 16, "1")
        ]
