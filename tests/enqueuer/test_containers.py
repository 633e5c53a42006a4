"""Demands on the engine in namespaces and containers: what is missing there, and who else runs there. For real, as root."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.lab.trial import ENGINE, Trial, signal_all
from tests.helpers.places import in_namespaces

Config = Callable[..., str]
Make = Callable[..., bytes]
Trials = Callable[[str], Trial]


@pytest.mark.parametrize(
    "script",
    [
        "umount /dev/shm; mount -t tmpfs -o ro none /dev",
        "mount -t tmpfs -o ro none /dev/shm",  # a remount would be one of the whole machine
        "mount -t tmpfs none /dev",
    ],
    ids=["no /dev/shm, no /dev/null", "read-only /dev/shm", "an empty /dev that is writable"],
)
def test_without_dev(trials: Trials, config: Config, mail: Make, script: str) -> None:
    """No shared memory, no semaphore and no pipe of ours has a name in /dev."""
    trial = trials(config(processors=2))
    trial.prefix = in_namespaces(script)
    with trial:
        trial.drop("a", mail("a"))
        trial.wait(lambda: len(trial.outbound()) == 1, "mail flows")
        assert trial.stop() == 0
    assert "Traceback" not in trial.log() + trial.output.read_text()


OURS = """
[[filters]]
name = "Ours"
program = "enqueuer filter {words}"
[[rules]]
name = "ours"
priority = 9
actions = [["ExternalFilter", "Ours"]]
"""


@pytest.mark.parametrize("words", ["yara", "command --clean 0 /bin/true"])
def test_filters_in_the_box_without_dev(trials: Trials, config: Config, mail: Make, words: str) -> None:
    """Those that start processes for a message give them no /dev/null to read."""
    trial = trials(config(processors=1, more=OURS.format(words=words)))
    trial.prefix = in_namespaces("mount -t tmpfs none /dev")
    with trial:
        trial.drop("a", mail("a"))
        trial.wait(lambda: len(trial.outbound()) == 1, "mail flows")
        trial.wait(lambda: trial.status()["filters"][1]["answered"] == 1, "it has judged")


ENTRY = 'sleep 1000 & (sh -c "sleep 0.5 & sleep 0.6" & sleep 1000) & exec "$@"'
"""An entry script that starts servers before the engine, one of which leaves orphans and zombies."""


def test_children_that_were_there_before_are_spared(trials: Trials, config: Config, mail: Make) -> None:
    """`clamd & exec enqueuer run`: only what the engine or its children started is the engine's to end."""
    trial = trials(config(processors=1))
    trial.prefix = ("sh", "-c", ENTRY, "sh")
    with trial:
        assert trial.process is not None
        before = [pid for pid in _children(trial.process.pid) if _title(pid).startswith(("sleep", "sh"))]
        assert len(before) == 2
        signal_all(trial.pids("filterlink"))
        trial.drop("a", mail("a"))
        trial.wait(lambda: len(trial.outbound()) == 1, "mail flows")
        trial.wait(lambda: not _zombies(trial.process.pid), "all that ends is reaped")  # type: ignore[union-attr]
        trial.process.send_signal(signal.SIGHUP)
        assert trial.stop() == 0
    try:
        assert [_state(pid) for pid in before] == ["S", "S"]
    finally:
        signal_all([*before, *(child for pid in before for child in _children(pid))])


def test_whose_end_the_engine_learns_when_it_was_started_with_children(trials: Trials, config: Config) -> None:
    """It ends as it would without them: with its exit code, by a signal, and never without its processes."""
    trial = trials(config(processors=1))
    trial.prefix = ("sh", "-c", 'sleep 1000 & echo $! >"$0"; exec "$@"', str(trial.base.parent / "sleeps"))
    with trial:
        assert subprocess.run((*ENGINE, "run", "--base", str(trial.base)), capture_output=True, timeout=30, check=False).returncode == 75
        engine = [pid for pid in trial.processes() if _title(pid).startswith("enqueuer")]
        trial.kill()
        trial.wait(lambda: not any(_title(pid).startswith("enqueuer") for pid in engine), "nothing of it is left")
    signal_all([int((trial.base.parent / "sleeps").read_text())])


def test_as_process_1_of_a_container(trials: Trials, config: Config, mail: Make) -> None:
    """Orphans of `docker exec` come to it: they are reaped, and not ended. `stop` works from outside, and ends the container."""
    trial = trials(config(processors=1))
    trial.prefix = in_namespaces("", "--pid", "--fork", "--mount-proc", "--kill-child")
    with trial:
        assert trial.process is not None
        first = _children(trial.process.pid)[0]
        assert Path(f"/proc/{first}/status").read_text().split("NSpid:")[1].split()[1] == "1"
        command = ("nsenter", f"--target={first}", "--pid", "--mount", "sh", "-c", 'sh -c "sleep 0.2 & sleep 1000 & echo started"')
        subprocess.run(command, stdout=subprocess.DEVNULL, timeout=30, check=True)
        trial.drop("a", mail("a"))
        trial.wait(lambda: len(trial.outbound()) == 1, "mail flows")
        trial.wait(lambda: not _zombies(first), "all that ends is reaped")
        signal_all(trial.pids("filterlink"))
        trial.wait(lambda: trial.status()["filters"][0]["state"] == "ready" and trial.pids("filterlink"), "filterlink is back")
        trial.wait(
            lambda: [title for pid in _children(first) if (title := _title(pid)).startswith("sleep")] == ["sleep 1000"], "one is spared"
        )
        done = subprocess.run((*ENGINE, "stop", "--base", str(trial.base)), capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stderr) == (0, "stopping\n")
        assert trial.process.wait(10) == 0


OLD_KERNEL = "from enqueuer.control import client; client.SO_PEERPIDFD = 9999; from enqueuer.cli.app import main; main()"


@pytest.mark.parametrize("command", [ENGINE, (sys.executable, "-c", OLD_KERNEL)], ids=["pidfd", "old kernel"])
def test_stop_from_another_container(trials: Trials, config: Config, command: tuple[str, ...]) -> None:
    """Where the engine's process cannot be seen at all, the command waits for the end of its socket."""
    trial = trials(config(processors=1))
    with trial:
        words = (*in_namespaces("", "--pid", "--fork", "--mount-proc"), *command, "stop", "--base", str(trial.base))
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stderr) == (0, "stopping\n")
        assert trial.process is not None
        assert trial.process.wait(10) == 0


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _zombies(pid: int) -> list[int]:
    return [each for each in _children(pid) if _state(each) == "Z"]


NO_PROC = "mount -t tmpfs none /proc"
HIDDEN = "mount -t proc -o hidepid=2 none /proc"
READ_ONLY = 'export TMPDIR=/no/such/folder HOME=/nonexistent; mount --bind "$BASE" "$BASE"; mount -o remount,bind,ro /'
UNPRIVILEGED = ("setpriv", "--bounding-set", "-sys_ptrace,-sys_admin")
"""hidepid shows a process those that it might trace."""


@pytest.mark.parametrize(
    ("script", "more"), [(NO_PROC, ()), (HIDDEN, UNPRIVILEGED), (READ_ONLY, ())], ids=["no /proc", "hidepid", "read-only root"]
)
def test_in_a_container_that_lacks_something(
    trials: Trials, config: Config, mail: Make, monkeypatch: pytest.MonkeyPatch, script: str, more: tuple[str, ...]
) -> None:
    """The engine and its commands, each process replaced once."""
    trial = trials(config(processors=2, filter='environment = ["PYTHONDONTWRITEBYTECODE=1"]'))
    monkeypatch.setenv("BASE", str(trial.base))
    trial.prefix = (*in_namespaces(script), *more)
    with trial:
        for number, title in enumerate(("", "processor", "filterlink", "queue manager", "watcher", "logger", "door")):
            if title:
                signal_all(trial.pids(title))
            trial.drop(f"m{number}", mail(f"m{number}"))
            trial.wait(lambda: len(trial.outbound()) == 1 + number, f"mail flows after the end of {title}")  # noqa: B023
        for words in (("status",), ("reload",), ("queue", "list"), ("submit", "-f", "a@a.example", "b@b.example"), ("stop",)):
            done = subprocess.run(
                (*trial.prefix, *ENGINE, *words, "--base", str(trial.base)), input=mail("s"), capture_output=True, timeout=30, check=False
            )
            assert done.returncode == 0, (words, done.stderr)
    assert "this is a fault in Enqueuer" not in trial.log()
