"""Demands at the machine's limits: the doors leave what they have, say so once a minute, and all goes on by itself afterwards."""

import contextlib
import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enqueuer.config.schema import MinFree
from enqueuer.doors import admission
from enqueuer.lab.trial import Trial, signal_all
from filterlink.wire.link import connect

Make = Callable[..., bytes]
Config = Callable[..., str]
Trials = Callable[[str], Trial]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a small tmpfs: small_disk("size=16m"). Skips where that is not permitted."""
    mounted: list[Path] = []

    def make(options: str) -> Path:
        where = tmp_path / "disk"
        where.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", where], capture_output=True, check=False).returncode:
            pytest.skip("needs root to mount a small disk")
        mounted.append(where)
        return where

    yield make
    for where in mounted:
        subprocess.run(["umount", "-l", where], check=True)


def _submit(trial: Trial, data: bytes) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "enqueuer.cli.app", "submit", "--base", str(trial.base)]
    return subprocess.run(command, input=data.decode(), text=True, capture_output=True, timeout=20, check=False)


def _fill(path: Path) -> None:
    """Take all bytes of the disk."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * (file.tell() % 4096 or 4096))


def _wait(trial: Trial, seconds: float) -> None:
    until = time.monotonic() + seconds
    trial.wait(lambda: time.monotonic() > until, "time passes", seconds + 5)


def _waiting(trial: Trial) -> int:
    return int(trial.status()["spool"]["waiting"])


def test_the_queue_is_full(trials: Trials, config: Config, mail: Make) -> None:
    """Drops beyond queue_limit stay where they are, `submit` says 75, one line is logged; all are enqueued in the end."""
    with trials(config(engine="queue_limit = 3")) as trial:
        for n in range(6):
            trial.drop(str(n), mail(str(n), judge="3 OK"))
        trial.wait(lambda: _waiting(trial) == 3, "three stay in the drop folder")
        refused = _submit(trial, mail("more"))
        trial.wait(lambda: len(trial.outbound()) == 6, "all are enqueued")
        accepted = _submit(trial, mail("more"))
        trial.wait(lambda: len(trial.outbound()) == 7, "so is what is submitted then")

    assert (refused.returncode, accepted.returncode) == (75, 0)
    assert "the queue is full: 3 messages, queue_limit = 3: try again later" in refused.stderr
    assert trial.log().count("queue_limit = 3 messages reached") == 1


@pytest.mark.parametrize("what", ["bytes", "inodes"])
def test_min_free_is_reached(trials: Trials, config: Config, mail: Make, small_disk: Callable[[str], Path], what: str) -> None:
    """Below it drops stay and `submit` says 75; what is in hand is finished; above it all goes on."""
    disk = small_disk("size=32m,nr_inodes=1000")
    with Trial(disk / "base", config(more='[spool]\nmin_free = "20%"')) as trial:
        trial.drop("in hand", mail("in hand", judge="1.5 OK"))
        trial.wait(lambda: trial.status()["queue"]["active"] == 1, "it is in hand")
        if what == "bytes":
            (disk / "ballast").write_bytes(b"x" * (27 << 20))
        else:
            (disk / "ballast").mkdir()
            for n in range(820):
                os.mknod(disk / f"ballast/{n}")
        _wait(trial, 1.1)  # a full disk is looked at once a second
        trial.drop("stays", mail("stays"))
        trial.wait(lambda: _waiting(trial) == 1, "it stays")
        refused = _submit(trial, mail("more"))
        trial.wait(lambda: len(trial.outbound()) == 1, "what was in hand is finished")
        _wait(trial, 2.5)
        assert _waiting(trial) == 1
        subprocess.run(["rm", "-r", disk / "ballast"], check=True)
        trial.wait(lambda: len(trial.outbound()) == 2, "the other goes on by itself")

    assert refused.returncode == 75
    assert f"of the disk's {what} are free" in refused.stderr
    assert trial.log().count(f"of the disk's {what} are free") == 1


def test_the_disk_is_full_to_the_last_byte(trials: Trials, config: Config, mail: Make, small_disk: Callable[[str], Path]) -> None:
    """Where nothing can be written nothing is lost, nobody dies or spins, and all is finished when there is room again."""
    disk = small_disk("size=32m")
    with Trial(disk / "base", config(more='[spool]\nmin_free = "0%"')) as trial:
        for n in range(4):
            trial.drop(f"copied{n}", mail(f"copied{n}", judge='1 ADDHEADER "X-A: b"', size=50_000))
        trial.wait(lambda: trial.status()["queue"]["active"] == 4, "they are being judged")
        for n in range(20):
            trial.drop(f"small{n}", mail(f"small{n}"))
        trial.drop("bad", b"Subject: to nobody\n\n")
        _fill(disk / "ballast")
        pids = [pid for title in ("queue manager", "processor", "filterlink", "logger") for pid in trial.pids(title)]
        refused = _submit(trial, mail("more", size=1 << 20))  # more than what is wiped there may leave room for
        _wait(trial, 4)
        here = trial.status()
        (disk / "ballast").unlink()
        trial.wait(lambda: len(trial.outbound()) == 24, "all are enqueued")
        trial.wait(lambda: trial.status()["totals"]["refused"] == 1, "the bad one is refused")
        assert pids == [pid for title in ("queue manager", "processor", "filterlink", "logger") for pid in trial.pids(title)]

    assert refused.returncode == 75
    assert here["state"] == "running"
    assert here["totals"]["bad"] == 0
    assert list((trial.base / "Bad").iterdir()) == list((trial.base / "Staged").iterdir()) == []
    assert all(path.stat().st_size > 100 for path in trial.outbound())


def _used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _no_descriptors(pid: int) -> Iterator[None]:
    """While this lasts the process can open nothing more."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = {int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()}
    free = next(number for number in range(len(used) + 1) if number not in used)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, before[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_the_queue_manager_has_no_descriptor_left(trials: Trials, config: Config, mail: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot open a drop nor accept a new processor: it says so once, does not spin, and goes on when it can."""
    with trials(config()) as trial:
        (manager,) = trial.pids("queue manager")
        with _no_descriptors(manager):
            used = _used(manager)
            for n in range(3):
                trial.drop(str(n), mail(str(n)))
            trial.wait(lambda: "Too many open files" in trial.log(), "it says so")
            monkeypatch.chdir(trial.base)
            with connect("Run/manager.sock"):  # somebody knocks, and cannot be let in
                _wait(trial, 3)
                assert _used(manager) - used < 0.5
                assert not trial.outbound()
        trial.wait(lambda: len(trial.outbound()) == 3, "all are enqueued")
        assert trial.pids("queue manager") == [manager]
        assert trial.log().count(os.strerror(errno.EMFILE)) <= 2  # the look and the claim


def test_filterlink_has_no_descriptor_left(trials: Trials, config: Config, mail: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot accept a new processor nor start a helper: nobody dies for it, and mail waits until it can."""
    with trials(config()) as trial:
        trial.wait(lambda: trial.status()["filters"][0]["state"] == "ready", "the filter is ready")
        (filterlink,) = trial.pids("filterlink")
        with _no_descriptors(filterlink):
            used = _used(filterlink)
            monkeypatch.chdir(trial.base)
            with connect("Run/filterlink.sock"):
                _wait(trial, 2)
                assert _used(filterlink) - used < 0.5
            signal_all(trial.status()["filters"][0]["pids"])
            signal_all(trial.pids("processor"))
            trial.drop("a", mail("a"))
            _wait(trial, 2)
            assert _used(filterlink) - used < 1.0
        trial.wait(lambda: len(trial.outbound()) == 1, "it is enqueued", 30)

        assert trial.pids("filterlink") == [filterlink]


def test_a_processor_has_no_descriptor_left(trials: Trials, config: Config, mail: Make) -> None:
    """What it cannot open is tried again; no message is blamed for it."""
    with trials(config(processors=1)) as trial:
        trial.wait(lambda: trial.pids("processor"), "it is there")
        (processor,) = trial.pids("processor")
        trial.drop("first", mail("first"))
        trial.wait(lambda: len(trial.outbound()) == 1, "it works")
        with _no_descriptors(processor):
            trial.drop("a", mail("a"))
            _wait(trial, 2.5)
        trial.wait(lambda: len(trial.outbound()) == 2, "it is enqueued")

        assert trial.pids("processor") == [processor]

    assert trial.log().count("messages wait until there is room again") == 1


def test_inodes_count_where_min_free_is_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_disk: Callable[[str], Path]) -> None:
    """A size says nothing of inodes: of these two in a hundred stay free."""
    monkeypatch.chdir(small_disk("size=8m,nr_inodes=100"))
    assert admission.disk_full(MinFree("1048576")) is None
    for n in range(99):
        os.mknod(f"{n}")

    assert "inodes" in str(admission.disk_full(MinFree("1048576")))
    assert admission.disk_full(MinFree("0%")) is None
    monkeypatch.chdir(tmp_path)


def test_a_missing_module_folder_is_a_line_a_minute(trials: Trials, config: Config, mail: Make) -> None:
    """Whatever the number of messages that cannot be published. They wait, and are all published once the folder is back."""
    with trials(config()) as trial:
        trial.drop("first", mail("first"))
        trial.wait(trial.outbound, "mail passes")
        (trial.base / "Outbound/OUT").rename(trial.base / "Outbound/away")
        for n in range(50):
            trial.drop(f"m{n}", mail(f"m{n}"))
        trial.wait(lambda: trial.status()["queue"]["active"] == 50, "all of them wait for the folder")
        trial.wait(lambda: "will be repeated" in trial.log(), "the log says so")
        (trial.base / "Outbound/away").rename(trial.base / "Outbound/OUT")
        trial.wait(lambda: len(trial.outbound()) == 51, "all are published")
        assert trial.log().count("will be repeated") <= 2
