"""Closed files of the log are compressed and deleted: no line is lost, whenever the logger is killed, and no foreign file is touched."""

import contextlib
import gzip
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enqueuer.lab.trial import Trial
from enqueuer.log import retention

Config = Callable[..., str]
Trials = Callable[[str], Trial]
NEVER = float("inf")
OLD = "2001-01-01-001.log"
LINES = b"".join(b"10:00:00.000 3 TEST line %d\n" % number for number in range(50_000))


def tidied(folder: Path, keep: float = NEVER, limit: int = 0, now: float | None = None) -> list[str]:
    keeper = retention.LogRetention(str(folder))
    keeper.configure(keep, limit)
    keeper.tidy(time.time() if now is None else now)
    return sorted(os.listdir(folder))


def test_a_closed_file_is_compressed(tmp_path: Path) -> None:
    """The compressed file keeps mode and time. The file that is written stays plain."""
    (tmp_path / OLD).write_bytes(LINES)
    (tmp_path / OLD).chmod(0o640)
    os.utime(tmp_path / OLD, (1e9, 1e9))
    (tmp_path / "2001-01-02.log").write_bytes(LINES)

    assert tidied(tmp_path) == [f"{OLD}.gz", "2001-01-02.log"]
    packed = tmp_path / f"{OLD}.gz"
    assert gzip.decompress(packed.read_bytes()) == LINES
    assert (packed.stat().st_mode & 0o777, packed.stat().st_mtime) == (0o640, 1e9)


class Killed(BaseException):
    """Simulates a kill: nothing after it is done."""


CALLS = ("rename", "unlink", "fsync", "utime", "fchmod", "open", "stat", "close")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_kill_at_any_step_loses_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, late: bool) -> None:
    """A kill comes before or after the n-th call of each kind. Then the compressed file is whole, or the plain one is there."""
    real = getattr(os, call)
    for nth in range(1, 20):
        for path in tmp_path.iterdir():
            path.unlink()
        (tmp_path / OLD).write_bytes(LINES[:2000])
        left = nth

        def step(*words: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0 and not late:
                raise Killed
            done = real(*words, **more)
            if left == 0:
                raise Killed
            return done

        with monkeypatch.context() as patched, contextlib.suppress(Killed):
            patched.setattr(os, call, step)
            tidied(tmp_path)
        found = sorted(path.name for path in tmp_path.iterdir())
        assert OLD in found or gzip.decompress((tmp_path / f"{OLD}.gz").read_bytes()) == LINES[:2000]
        if f"{OLD}.gz" in found:
            assert gzip.decompress((tmp_path / f"{OLD}.gz").read_bytes()) == LINES[:2000]
        assert tidied(tmp_path) == [f"{OLD}.gz"]
        assert gzip.decompress((tmp_path / f"{OLD}.gz").read_bytes()) == LINES[:2000]


@pytest.mark.parametrize(
    "half",
    [b"", b"\x1f\x8b\x08", gzip.compress(LINES)[:-5], gzip.compress(LINES[:100]), gzip.compress(LINES + b"x"), b"x"],
    ids=["empty", "head", "cut", "shorter", "longer", "foreign"],
)
def test_half_a_copy_is_not_taken_for_a_whole_one(tmp_path: Path, half: bytes) -> None:
    """Another program or a disk may leave half a file. The plain file is compressed again."""
    (tmp_path / OLD).write_bytes(LINES)
    (tmp_path / f"{OLD}.gz").write_bytes(half)

    assert tidied(tmp_path) == [f"{OLD}.gz"]
    assert gzip.decompress((tmp_path / f"{OLD}.gz").read_bytes()) == LINES


def test_only_files_with_our_names_are_touched(tmp_path: Path) -> None:
    """No link, no folder, and no target of a link is touched."""
    foreign = ["2001-01-01.log.1", "2001-01-01.log.gz.old", "mail.log", "mail.log.gz.tmp", "2001-01-01-1.log", "x.gz"]
    for name in foreign:
        (tmp_path / name).write_bytes(LINES)
    (tmp_path / "secret").write_bytes(LINES)
    (tmp_path / "2001-01-03-001.log").symlink_to(tmp_path / "secret")
    (tmp_path / "2001-01-03-002.log.gz").symlink_to(tmp_path / "secret")
    (tmp_path / "2001-01-04-001.log").mkdir()
    os.mkfifo(tmp_path / "2001-01-05-001.log")
    before = sorted(os.listdir(tmp_path))

    assert tidied(tmp_path, 86400.0, 1) == before
    assert (tmp_path / "secret").read_bytes() == LINES


def test_age_and_size(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Age decides first, then the size of all. Each deletion is logged with its reason."""
    caplog.set_level(0)
    for day in range(1, 8):
        (tmp_path / f"2001-01-0{day}-001.log.gz").write_bytes(os.urandom(1 << 20))
    (tmp_path / "2001-01-08.log").write_bytes(b"x" * (1 << 20))
    noon = time.mktime((2001, 1, 8, 12, 0, 0, 0, 0, -1))

    assert tidied(tmp_path, 4 * 86400.0, 3 << 20, noon) == ["2001-01-06-001.log.gz", "2001-01-07-001.log.gz", "2001-01-08.log"]
    assert caplog.messages == [
        "deleted 2001-01-01-001.log.gz, 2001-01-02-001.log.gz, 2001-01-03-001.log.gz: older than retention.logs = 4d",
        "deleted 2001-01-04-001.log.gz, 2001-01-05-001.log.gz: all files together exceed retention.logs_size = 3.0M",
    ]


def test_a_file_that_cannot_be_compressed_stays_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk has the same effect. No half-written file is left."""
    (tmp_path / OLD).write_bytes(LINES)
    keeper = retention.LogRetention(str(tmp_path))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: os.stat("/proc/self/mem/x"))
        keeper.tidy(0.0)
        keeper.tidy(0.0)

    assert os.listdir(tmp_path) == [OLD]
    assert caplog.messages == [f"{OLD} cannot be compressed, and stays as it is: Not a directory"]
    keeper.tidy(0.0)
    assert os.listdir(tmp_path) == [f"{OLD}.gz"]


def test_one_bad_entry_stops_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder has the name of a temporary file. The files before and after it are still compressed and deleted."""
    for day in (1, 2, 3):
        (tmp_path / f"2001-01-0{day}-001.log").write_bytes(LINES)
    (tmp_path / "2001-01-02-001.log.gz.tmp").mkdir()

    assert tidied(tmp_path) == ["2001-01-01-001.log.gz", "2001-01-02-001.log", "2001-01-02-001.log.gz.tmp", "2001-01-03-001.log.gz"]
    assert caplog.messages == ["2001-01-02-001.log cannot be compressed, and stays as it is: File exists"]


def test_a_killed_logger_loses_no_line(trials: Trials, config: Config) -> None:
    """It is killed while it compresses 100 MB, on a running engine. The successor compresses again, and goes on writing the log."""
    trial = trials(config(more='[retention]\nlogs = "never"\n'))
    logs = trial.base / "SystemLogs"
    lines = LINES * 70
    (logs / OLD).write_bytes(lines)
    half = logs / f"{OLD}.gz.tmp"
    with trial:
        killed = set[int]()
        for _ in range(3):
            (pid,) = trial.pids("logger")
            killed.add(pid)
            trial.wait(lambda: half.exists() and half.stat().st_size > 100_000, "it compresses")
            os.kill(pid, signal.SIGKILL)
            trial.wait(lambda: set(trial.pids("logger")) - killed, "there is another one")
            assert (logs / OLD).exists()
            assert not (logs / f"{OLD}.gz").exists()
        assert trial.process is not None
        trial.process.send_signal(signal.SIGHUP)
        (current,) = (path for path in logs.glob("*.log") if path.name != OLD)
        trial.wait(lambda: "accepted" in current.read_text(), "lines are written meanwhile")
        assert (logs / OLD).exists()
        trial.wait(lambda: not (logs / OLD).exists(), "the file is compressed", 60)
        assert not half.exists()
        assert gzip.decompress((logs / f"{OLD}.gz").read_bytes()) == lines
