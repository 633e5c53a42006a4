"""Demands on the engine as a whole: start, stop, resize, reload, and any of its processes killed at any time."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer import exits
from enqueuer.control import client
from enqueuer.lab.trial import Trial, signal_all
from tests.helpers.trace import bare

Make = Callable[..., bytes]
Config = Callable[..., str]
Trials = Callable[[str], Trial]
DISPOSITIONS = ("enqueued", "discarded", "quarantined", "rejected", "bad")


def _command(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "enqueuer.cli.app", *words], capture_output=True, text=True, timeout=60, check=False)


def test_every_process_has_its_name(trials: Trials, config: Config) -> None:
    with trials(config(processors=3)) as trial:
        titles = ("supervisor", "logger", "filterlink", "queue manager", "watcher", "door")  # its first title: supervisor
        trial.wait(lambda: [len(trial.pids(title)) for title in titles] == [1] * 6, "each has its name")
        trial.wait(lambda: len(trial.pids("processor")) == 3, "three processors")
        assert trial.status()["processors"]["running"] == 3


@pytest.mark.alone
def test_processors_are_live(trials: Trials, config: Config, mail: Make) -> None:
    """8 written into the file takes effect within 2 s, and so does 2: six processes fewer, no message lost or delayed."""
    with trials(config(processors=4)) as trial:
        for count in (8, 2):
            for n in range(20):
                trial.drop(f"{count}-{n}", mail(f"{count}-{n}", "0.05 OK"))
            trial.configure(config(processors=count))
            trial.wait(lambda count=count: trial.status()["processors"]["running"] == count, f"{count} run", 2)  # type: ignore[misc]
            trial.wait(lambda: trial.status()["queue"]["active"] == 0 == trial.status()["queue"]["waiting"], "idle")
            trial.wait(lambda count=count: len(trial.pids("processor")) == count, f"{count} processes", 2)  # type: ignore[misc]
        trial.wait(lambda: len(trial.outbound()) == 40, "all are enqueued")


def test_busy_processors_finish_before_they_leave(trials: Trials, config: Config, mail: Make) -> None:
    with trials(config(processors=4)) as trial:
        for n in range(4):
            trial.drop(str(n), mail(str(n), "1.5 OK"))
        trial.wait(lambda: trial.status()["processors"]["busy"] == 4, "all are busy")
        trial.configure(config(processors=1))
        trial.wait(lambda: trial.status()["processors"]["leaving"] == 3, "three are leaving")
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == 4, "all are enqueued")
        trial.wait(lambda: len(trial.pids("processor")) == 1, "three have left")
        assert trial.status()["totals"]["received"] == 4
        assert "judged again" not in trial.log()


@pytest.mark.alone
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("processors = 4", "processors = 0"), "processors = 0"),
        (("processors = 4", "processors = four"), "not TOML"),
        (('name = "Judge"', 'name = "Other"'), "no filter is named"),
        (('retry_after = "1s"', 'retry_after = "1s"\n[spool]\ndurability = "off"'), "restart"),
        (("[[routes]]", "[[rout"), "not TOML"),
    ],
)
def test_a_config_that_cannot_be_taken_is_refused_whole(trials: Trials, config: Config, change: tuple[str, str], says: str) -> None:
    """The old one stays in force, and the reason is in the log, in status and in what `reload` prints."""
    with trials(config()) as trial:
        trial.configure(config().replace(*change))
        trial.wait(lambda: trial.status()["config"]["error"], "it is refused", 3)

        assert says in trial.status()["config"]["error"]
        assert trial.status()["processors"]["running"] == 4
        trial.wait(lambda: "configuration refused" in trial.log(), "it is in the log")
        done = _command("reload", "--base", str(trial.base))
        assert done.returncode == exits.CONFIG
        assert says in done.stderr

        trial.configure(config(processors=5))
        assert _command("reload", "--base", str(trial.base)).returncode == 0
        trial.wait(lambda: trial.status()["processors"]["running"] == 5, "the next good one is taken", 2)
        assert trial.status()["config"]["error"] is None


def test_log_level_is_live(trials: Trials, config: Config, mail: Make) -> None:
    with trials(config().replace("low-level", "failures")) as trial:
        trial.drop("a", mail("a"))
        trial.wait(lambda: len(trial.outbound()) == 1, "it is enqueued")
        trial.configure(config())
        assert _command("reload", "--base", str(trial.base)).returncode == 0
        trial.drop("b", mail("b"))
        trial.wait(lambda: "enqueued: OUT" in trial.log(), "the next one is logged")

    assert trial.log().count("enqueued: OUT") == 1


def test_the_second_engine_refuses(trials: Trials, config: Config) -> None:
    """Two engines on one base directory: the second ends with 75 at once and names the first."""
    with trials(config()) as trial:
        done = _command("run", "--base", str(trial.base))

        assert done.returncode == exits.TEMPFAIL
        assert str(trial.status()["pid"]) in done.stderr
        assert trial.process is not None
        assert trial.process.poll() is None


@pytest.mark.parametrize(("text", "says"), [("rules = [", "not TOML"), ("rules = []", "routes")])
def test_a_bad_config_does_not_start(trials: Trials, text: str, says: str) -> None:
    """Exit 78 and one line; a file that ends half-way must never mean "scan nothing"."""
    done = _command("run", "--base", str(trials(text).base))

    assert done.returncode == exits.CONFIG
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_unwritable_base_directory(trials: Trials, config: Config) -> None:
    trial = trials(config())
    for folder in ("Queue", "Run"):
        (trial.base / folder).chmod(0o500)
    words = [sys.executable, "-m", "enqueuer.cli.app", "run", "--base", str(trial.base)]
    if os.getuid() == 0:  # who may do everything proves nothing
        os.chmod(trial.base.parent, 0o711)
        words = ["setpriv", "--reuid=65534", "--clear-groups", *words]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False, cwd="/")
    if "Permission denied: '/" in done.stderr or "No module named" in done.stderr:
        pytest.skip("the checkout itself cannot be read by another user")

    assert done.returncode in (exits.NOPERM, exits.NOINPUT)
    assert len(done.stderr.splitlines()) == 1


def test_stop_drains(trials: Trials, config: Config, mail: Make) -> None:
    """What is under way is finished, what waits stays on disk, nothing of ours is left running."""
    with trials(config(processors=2)) as trial:
        for n in range(6):
            trial.drop(str(n), mail(str(n), "0.7 OK"))
        trial.wait(lambda: trial.status()["processors"]["busy"] == 2, "two are under way")
        assert _command("stop", "--base", str(trial.base)).returncode == 0
        assert trial.process is not None
        assert trial.process.wait(1) == 0
        assert 2 <= len(trial.outbound()) < 6

        trial.start()
        trial.wait(lambda: len(trial.outbound()) == 6, "the next engine does the rest")


def test_sigterm_drains_and_a_second_one_stops_at_once(trials: Trials, config: Config, mail: Make) -> None:
    with trials(config(processors=1)) as trial:
        trial.drop("slow", mail("slow", "30 OK"))
        trial.wait(lambda: trial.status()["processors"]["busy"] == 1, "it is under way")
        assert trial.process is not None
        trial.process.send_signal(signal.SIGTERM)
        trial.wait(lambda: trial.status()["state"] == "draining", "it drains")
        trial.process.send_signal(signal.SIGTERM)

        assert trial.process.wait(8) == 0
        assert trial.outbound() == []


def test_a_queue_manager_killed_while_draining_takes_nothing_more(trials: Trials, config: Config, mail: Make) -> None:
    """Its successor hears of the drain before it takes a drop, and the stop ends as soon as it is idle: not after drain_timeout."""
    with trials(config(processors=2, engine='drain_timeout = "60s"')) as trial:
        trial.drop("slow", mail("slow", "40 OK"))
        trial.wait(lambda: trial.status()["processors"]["busy"] == 1, "it is under way")
        assert trial.process is not None
        trial.process.send_signal(signal.SIGTERM)
        trial.wait(lambda: trial.status()["state"] == "draining", "it drains")
        for n in range(5):
            trial.drop(str(n), mail(str(n)))
        signal_all(trial.pids("queue manager"))

        assert trial.process.wait(10) == 0
        assert len(list((trial.base / "Submitted").glob("*.eml"))) == 5
        assert trial.outbound() == []


@pytest.mark.parametrize("title", ["filterlink", "watcher", "logger", "queue manager", "door"])
def test_a_process_that_fails_as_soon_as_it_runs_is_throttled(trials: Trials, config: Config, title: str) -> None:
    """That it has said hello is no use yet: one that fails within its first second is started again after a growing pause."""
    with trials(config(processors=1)) as trial:
        seen: set[int] = set()
        end = time.monotonic() + 4

        def over() -> bool:
            pids = trial.pids(title)
            seen.update(pids)
            signal_all(pids, signal.SIGUSR1)
            return time.monotonic() > end

        trial.wait(over, "the time is over")
        assert 2 <= len(seen) <= 12
        trial.wait(lambda: trial.status()["state"] == "running" and len(trial.pids(title)) == 1, "it comes back", 15)


def test_an_order_over_which_the_queue_manager_dies_is_answered(trials: Trials, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once: the command does not wait for an answer that cannot come."""
    with trials(config(processors=1)) as trial, socket.socket(socket.AF_UNIX) as asking:
        monkeypatch.chdir(trial.base)
        (manager,) = trial.pids("queue manager")
        os.kill(manager, signal.SIGSTOP)
        asking.settimeout(5)
        asking.connect("Run/control.sock")
        asking.sendall(b'{"command":"retry","id":17}\n')
        assert trial.status()["state"] == "running"  # asked later, so the order is with the queue manager
        signal_all([manager])
        assert b"died during this command" in asking.recv(10_000)


def test_no_process_survives_a_killed_supervisor(trials: Trials, config: Config, mail: Make) -> None:
    """Within seconds nobody is left, and a new engine takes the base directory and finishes the work."""
    with trials(config(processors=3)) as trial:
        trial.drop("slow", mail("slow", "1 OK"))
        trial.wait(lambda: trial.status()["processors"]["busy"] == 1, "it is under way")
        family = [pid for title in ("", "python", "/") for pid in trial.pids(title)]
        trial.kill()
        trial.start()
        trial.wait(lambda: len(trial.outbound()) == 1, "it is enqueued")

        assert len(family) >= 8
        assert not [pid for pid in family if Path(f"/proc/{pid}/stat").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text()]


class Consumer:
    """Empties Outbound while the engine works, and remembers what it took."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self.taken: Counter[bytes] = Counter()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Consumer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def take(self) -> None:
        for path in self._trial.outbound():
            self.taken[bare(path.read_bytes().partition(b"\n\n")[2])] += 1
            path.unlink()

    def _run(self) -> None:
        while not self._end.wait(0.02):
            self.take()


def _victims(trial: Trial, role: str) -> list[int]:
    assert trial.process is not None
    if role == "helper":
        return [pid for state in trial.status()["filters"] for pid in state["pids"]]
    return [trial.process.pid] if role == "supervisor" else trial.pids(role)


def _kill_one(trial: Trial, role: str, luck: random.Random) -> None:
    """Kill one process of that role, at a random instant from now."""
    victims = trial.wait(lambda: _victims(trial, role), f"a {role} to kill")
    instant = time.monotonic() + luck.uniform(0.0, 0.25)
    trial.wait(lambda: time.monotonic() >= instant, "the instant")
    signal_all([luck.choice(victims)])
    if role == "supervisor":
        trial.kill()
        trial.start()


@pytest.mark.parametrize("role", ["processor", "queue manager", "filterlink", "logger", "watcher", "door", "helper", "supervisor"])
def test_killed_again_and_again_nothing_is_lost_or_doubled(trials: Trials, config: Config, mail: Make, role: str) -> None:
    """Ten kills at random instants of 500 messages, a consumer emptying Outbound: all come out, once each, right content."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    luck = random.Random(seed)
    verdicts = ("0 OK", "0.05 OK", '0.02 ADDHEADER "X-A: b"', "")
    messages = [mail(str(n), luck.choice(verdicts)) for n in range(500)]
    with trials(config(processors=4)) as trial, Consumer(trial) as consumer:
        for n, message in enumerate(messages):
            trial.drop(str(n), message)
            if n % 50 == 25:
                _kill_one(trial, role, luck)
        trial.wait(lambda: sum(consumer.taken.values()) >= 500, f"all are out (seed {seed})", 60)
        trial.wait(lambda: _settled(trial), f"totals agree (seed {seed})")
        trial.drop("log", mail("log"))
        trial.wait(lambda: re.search(r"from <ann@a.example>, \d+ bytes, log.eml", trial.log()), "the log still works")
        assert trial.stop() == 0
        consumer.take()

    expected = Counter(b"X-A: b\n" * (b"ADDHEADER" in message) + message for message in [*messages, mail("log")])
    assert consumer.taken == expected


def _settled(trial: Trial) -> bool:
    """The sum is exact whatever was killed, and the queue is empty."""
    totals = trial.status()["totals"]
    files = [name for folder in ("Submitted/.taken", "Queue", "Staged") for name in os.listdir(trial.base / folder)]
    return totals["received"] + totals["returned"] == sum(totals[disposition] for disposition in DISPOSITIONS) and set(files) <= {
        ".ids",
        ".attempts",
        ".format",
    }


def _failures(trial: Trial) -> dict[str, str]:
    """How each process that fails ended last: a processor may fail for a moment beside the queue manager."""
    return {each["process"]: each["last"] for each in trial.status()["failing"]}


def test_a_queue_manager_that_cannot_recover_is_told_in_status(trials: Trials, config: Config, mail: Make) -> None:
    """A file is in the place of a folder: it fails at each start, after growing pauses. It goes on when the folder is back."""
    with trials(config()) as trial:
        (trial.base / "Bad").rename(trial.base / "away")
        (trial.base / "Bad").touch()
        signal_all(trial.pids("queue manager"))
        trial.wait(lambda: "exit code 70" in _failures(trial).get("queue manager", ""), "the status says so")
        (trial.base / "Bad").unlink()
        (trial.base / "away").rename(trial.base / "Bad")
        trial.drop("a", mail("a"))
        trial.wait(trial.outbound, "mail goes on")
        trial.wait(lambda: not trial.status()["failing"], "the status says nothing any more", 30)


def test_a_normal_life_has_no_problems(trials: Trials, config: Config, mail: Make) -> None:
    """Start, scan, change a filter and the number of processors, stop, and start with mail in the queue: no line is of level 3, 1 or 0.

    The lines that an administrator looks for are there, at level 2.
    """
    text = config(processors=2).replace('log_level = "low-level"', 'log_level = "problems"')
    with trials(text) as trial:
        trial.wait(lambda: trial.status()["filters"][0]["state"] == "ready", "the filter is ready")
        trial.drop("one", mail("one"))
        trial.wait(trial.outbound, "it is enqueued")
        trial.configure(text.replace("processors = 2", "processors = 3").replace("[[rules]]", 'timeout = "3m"\n[[rules]]', 1))
        trial.wait(lambda: client.ask(trial.base, {"command": "reload"}, 20)["ok"], "the change is active")
        trial.wait(lambda: trial.log().count("ended with exit status 0") == 1, "the old helper has ended")
        trial.configure(text.replace("processors = 2", "processors = 1"))
        trial.wait(lambda: trial.status()["processors"]["running"] == 1, "one processor is left")
        trial.drop("late", mail("late", '0 REJECTED "later"'))
        trial.wait(lambda: trial.status()["queue"]["deferred"] == 1, "a message waits")
        trial.stop()
        trial.start()
        trial.stop()
        lines = trial.log().splitlines()

    assert [line for line in lines if line[13:14] not in ("2", "4", "5")] == []
    for words in ("started, process", "ready, speaks version", "the new settings are active", "found in the queue: 1 to be scanned"):
        assert any(words in line for line in lines), words
