"""Demands on the Server Log's file: whole lines, whatever becomes of the disk and of the file's name."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial
from enqueuer.log import logfile, logline

Config = Callable[..., str]
Make = Callable[..., bytes]
Trials = Callable[[str], Trial]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path], check=False).returncode:
        pytest.skip("needs root and a mount")
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def line(number: int, size: int = 0) -> list[logline.Line]:
    return [logline.Line(1_700_000_000.0 + number, 30, "TEST", f"line {number} " + "x" * size)]


def texts(folder: Path) -> list[str]:
    (file,) = folder.glob("*.log")
    return file.read_text().splitlines()


def test_a_full_disk_glues_no_lines_and_the_gap_is_told(small: Path) -> None:
    """A write that is cut short ends where the disk does; the next line begins a new one."""
    writer = logfile.LogWriter(str(small))
    ballast = small / "ballast"
    ballast.write_bytes(b"x" * (48 << 10))
    for number in range(40):
        writer.emit(line(number, 1000))
    full = texts(small)
    assert len(full) < 20
    ballast.unlink()
    writer.emit(line(40))
    writer.emit(line(41))

    told = texts(small)
    assert told[-2].endswith("TEST line 40 ")
    assert told[-1].endswith("TEST line 41 ")
    assert f"LOG {41 - len([each for each in full if each.endswith('x' * 1000)]) - 1} log lines were lost here" in told[-3]
    assert all(each[2] == ":" and "TEST" in each[:22] for each in told[:-3])
    assert told[:-3] == full


def test_several_lines_of_which_some_fit(small: Path) -> None:
    writer = logfile.LogWriter(str(small))
    writer.emit([each for number in range(100) for each in line(number, 1000)])
    written = len([each for each in texts(small) if each.endswith("x" * 1000)])
    assert 0 < written < 100
    os.truncate(next(small.glob("*.log")), 0)
    writer.emit(line(100))

    assert [each.partition(" ")[2] for each in texts(small) if each][-2:] == [
        f"3 LOG {100 - written} log lines were lost here: the log could not be written (is the disk full?)",
        "3 TEST line 100 ",
    ]


@pytest.mark.parametrize("rotate", ["rename", "unlink", "truncate"])
def test_a_rotated_file_is_followed(tmp_path: Path, rotate: str) -> None:
    writer = logfile.LogWriter(str(tmp_path))
    writer.emit(line(1))
    (file,) = tmp_path.glob("*.log")
    if rotate == "rename":
        file.rename(tmp_path / "old")
    elif rotate == "unlink":
        file.unlink()
    else:
        os.truncate(file, 0)
    writer.emit(line(2))

    assert [each[-7:-1] for each in texts(tmp_path)] == ["line 2"]


def test_a_folder_that_is_gone_for_a_while(tmp_path: Path) -> None:
    writer = logfile.LogWriter(str(tmp_path / "logs"))
    writer.emit(line(1))
    writer.emit(line(2))
    (tmp_path / "logs").mkdir()
    writer.emit(line(3))

    assert ["2 log lines were lost here" in texts(tmp_path / "logs")[0], texts(tmp_path / "logs")[1][-7:-1]] == [True, "line 3"]


def test_logrotate_on_a_running_engine(trials: Trials, config: Config) -> None:
    """As its documentation has it: rename, then a signal. No line goes into the old file after that."""
    with trials(config(processors=1)) as trial:
        (file,) = (trial.base / "SystemLogs").glob("*.log")
        file.rename(file.with_suffix(".1"))
        old = file.with_suffix(".1").read_text()
        assert trial.process is not None
        trial.process.send_signal(signal.SIGHUP)
        trial.configure(config(processors=2))
        trial.wait(lambda: file.exists() and "configuration 2 accepted" in file.read_text(), "the new file has the new lines")
        assert file.with_suffix(".1").read_text() == old
