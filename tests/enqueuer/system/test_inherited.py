"""Demands on the begin of every command: whatever mask, dispositions or descriptors it was started with, it works."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.lab.trial import ENGINE, Trial

Config = Callable[..., str]
Make = Callable[..., bytes]
Trials = Callable[[str], Trial]

BLOCKED = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); os.execvp(sys.argv[1], sys.argv[1:])"
IGNORED = """
import os, signal, sys
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
os.execvp(sys.argv[1], sys.argv[1:])
"""
OF_HELPERS = {signal.SIGCHLD, signal.SIGALRM, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}


@pytest.mark.parametrize("before", [BLOCKED, IGNORED], ids=["blocked", "ignored"])
def test_signals_that_were_blocked_or_ignored_are_heeded(trials: Trials, config: Config, mail: Make, before: str) -> None:
    """By the engine, by each of its processes, and by its helpers."""
    trial = trials(config(processors=2))
    trial.prefix = (sys.executable, "-c", before)
    with trial:
        trial.drop("a", mail("a"))
        trial.wait(lambda: len(trial.outbound()) == 1, "mail flows")
        assert trial.process is not None
        assert {pid: _signals(pid, "SigBlk") for pid in trial.processes()} == {pid: set() for pid in trial.processes()}
        helpers = trial.wait(lambda: trial.status()["filters"][0]["pids"], "the helper is known")
        for helper in helpers:
            assert _signals(helper, "SigIgn") & OF_HELPERS == set()
        trial.process.send_signal(signal.SIGHUP)
        trial.process.send_signal(signal.SIGTERM)
        assert trial.process.wait(20) == 0


@pytest.mark.parametrize("before", [BLOCKED, IGNORED], ids=["blocked", "ignored"])
def test_commands_that_start_programs_learn_of_their_end(tmp_path: Path, before: str) -> None:
    """With SIGCHLD ignored the kernel reaps children itself, and says nothing of how they ended."""
    message = tmp_path / "a.eml"
    message.write_bytes(b"From: a@a.example\nTo: b@b.example\n\ntext\n")
    command = (sys.executable, "-c", before, *ENGINE, "filters", "bench", "false", str(message))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "exit status 1" in done.stdout + done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_an_engine_without_standard_descriptors(trials: Trials, config: Config, mail: Make, closed: str) -> None:
    """Numbers 0 to 2 are never those of a socket or of a file of ours, into which a stray line of text would go."""
    trial = trials(config(processors=2))
    trial.prefix = ("sh", "-c", f'exec "$@" {closed}', "sh")
    with trial:
        trial.drop("a", mail("a"))
        trial.wait(lambda: len(trial.outbound()) == 1, "mail flows")
        places = {os.readlink(f"/proc/{pid}/fd/{number}") for pid in trial.pids("") for number in range(3)}
        assert places <= {"/dev/null", str(trial.output)}


@pytest.mark.parametrize("words", [("status",), ("config", "check"), ("queue", "list"), ("submit", "-f", "a@a.example", "b@b.example")])
def test_commands_without_standard_descriptors(tmp_path: Path, words: tuple[str, ...]) -> None:
    """They end as they do with them."""
    Trial(tmp_path / "base")
    ended = [
        subprocess.run(
            ("sh", "-c", f'exec "$@" {closed}', "sh", *ENGINE, *words, *_base(words, tmp_path)), timeout=60, check=False
        ).returncode
        for closed in ("</dev/null >/dev/null 2>&1", "<&- >/dev/null 2>&1", "</dev/null >&- 2>/dev/null", "<&- >&- 2>&-")
    ]
    assert ended == [ended[0]] * 4


def _base(words: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    return (str(folder / "base/Settings/enqueuer.toml"),) if words[0] == "config" else ("--base", str(folder / "base"))


def _signals(pid: int, which: str) -> set[int]:
    """The signals in one of the masks of /proc/PID/status."""
    text = Path(f"/proc/{pid}/status").read_text()
    mask = next(int(line.split()[1], 16) for line in text.splitlines() if line.startswith(which))
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}
