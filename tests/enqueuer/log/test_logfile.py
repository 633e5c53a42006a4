"""Demands on the Server Log's file: whole lines, whatever becomes of the disk and of the file's name."""

import gzip
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime
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


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def written(writer: logfile.LogWriter, when: float, text: str) -> None:
    writer.emit([logline.Line(when, 30, "TEST", text)])


def contents(folder: Path) -> dict[str, list[str]]:
    return {path.name: [each.rpartition(" ")[2] for each in path.read_text().splitlines()] for path in sorted(folder.iterdir())}


def test_a_full_file_is_closed(tmp_path: Path) -> None:
    """The one that is written has the name of the day alone; the others sort before it, in order of time."""
    writer = logfile.LogWriter(str(tmp_path))
    writer.configure(json=False, full=80)
    closed: list[int] = []
    writer.closed = lambda: closed.append(1)
    for number in range(7):
        written(writer, at("2026-11-28 10:00"), f"{'x' * 10}{number}")

    assert [texts[-1][-1] for texts in contents(tmp_path).values()] == ["1", "3", "5", "6"]
    assert list(contents(tmp_path)) == [f"2026-11-28{number}.log" for number in ("-001", "-002", "-003", "")]
    assert len(closed) == 3
    assert all(path.stat().st_size <= 80 for path in tmp_path.iterdir())


def test_one_line_may_be_larger_than_a_file(tmp_path: Path) -> None:
    writer = logfile.LogWriter(str(tmp_path))
    writer.configure(json=False, full=100)
    for number in range(2):
        written(writer, at("2026-11-28 10:00"), "x" * 200 + str(number))

    assert list(contents(tmp_path)) == ["2026-11-28-001.log", "2026-11-28.log"]


def test_the_file_of_a_past_day_is_closed_a_minute_later(tmp_path: Path) -> None:
    """A line of that day that comes late is not lost, and the number of a compressed file is not used again."""
    writer = logfile.LogWriter(str(tmp_path))
    (tmp_path / "2026-11-27-001.log.gz").touch()
    written(writer, at("2026-11-27 23:59:59"), "first")
    written(writer, at("2026-11-28 00:00:01"), "next")
    written(writer, at("2026-11-27 23:59:59"), "late")
    writer.close_days(at("2026-11-28 00:00:59"))
    assert [path.name for path in sorted(tmp_path.iterdir())][1:] == ["2026-11-27.log", "2026-11-28.log"]
    writer.close_days(at("2026-11-28 00:01:00"))
    written(writer, at("2026-11-27 23:59:59"), "later")
    writer.close_days(at("2026-11-28 00:02:00"))
    (tmp_path / "2026-11-27-001.log.gz").unlink()

    assert contents(tmp_path) == {
        "2026-11-27-002.log": ["first", "late"],
        "2026-11-27-003.log": ["later"],
        "2026-11-28.log": ["next"],
    }


def test_lines_that_came_together_are_parted_at_midnight(tmp_path: Path) -> None:
    """A line has the time of day only, so it must be in the file of its day."""
    times = [at(f"2026-11-{when}") for when in ("27 23:59:59.999", "28 00:00:00.001", "28 00:00:00.002")]
    logfile.LogWriter(str(tmp_path)).emit([logline.Line(when, 30, "TEST", f"{number}") for number, when in enumerate(times)])

    assert contents(tmp_path) == {"2026-11-27.log": ["0"], "2026-11-28.log": ["1", "2"]}


def test_the_logger_closes_days_at_its_turns(tmp_path: Path) -> None:
    """To look for past days costs a listing of the folder, so this is not done at each turn."""
    (tmp_path / "2001-01-01.log").write_text("old\n")
    writer = logfile.LogWriter(str(tmp_path))
    writer.look()
    (tmp_path / "2001-01-02.log").write_text("old\n")
    writer.look()

    assert [path.name for path in sorted(tmp_path.iterdir())] == ["2001-01-01-001.log", "2001-01-02.log"]


def test_a_link_is_the_administrators_and_stays(tmp_path: Path) -> None:
    """Neither the link nor the file that it points to is renamed."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/2026-11-28.log").symlink_to(tmp_path / "elsewhere")
    writer = logfile.LogWriter(str(tmp_path / "logs"))
    writer.configure(json=False, full=100)
    for number in range(5):
        written(writer, at("2026-11-28 10:00"), f"{'x' * 20}{number}")
    writer.close_days(at("2026-11-30 10:00"))

    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["2026-11-28.log"]
    assert len((tmp_path / "elsewhere").read_text().splitlines()) == 5


def test_a_full_file_that_cannot_be_closed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = logfile.LogWriter(str(tmp_path))
    writer.configure(json=False, full=100)
    monkeypatch.setattr(os, "rename", lambda *_: os.listdir(tmp_path / "absent"))
    for number in range(5):
        written(writer, at("2026-11-28 10:00"), f"{'x' * 20}{number}")

    assert [len(lines) for lines in contents(tmp_path).values()] == [5]


def test_rotation_on_a_running_engine(trials: Trials, config: Config, mail: Make) -> None:
    """The file of a past day is compressed, a full one as well, and the format changes with a reload. No line is lost."""
    settings = config(engine='log_file_size = "1M"', top="", more='[retention]\nlogs = "never"\n')
    trial = trials(settings)
    (trial.base / "SystemLogs/2001-01-01.log").write_text("10:00:00.000 2 TEST old\n")
    (trial.base / "SystemLogs/2001-01-01.txt").write_text("foreign\n")
    logs = trial.base / "SystemLogs"
    with trial:
        trial.wait((logs / "2001-01-01-001.log.gz").exists, "the file of a past day is compressed")
        trial.wait(lambda: not (logs / "2001-01-01-001.log").exists(), "the plain file is removed")
        assert gzip.decompress((logs / "2001-01-01-001.log.gz").read_bytes()) == b"10:00:00.000 2 TEST old\n"
        (current,) = (path for path in logs.glob("*.log") if not path.name.startswith("2001"))
        with current.open("a") as file:
            file.write("10:00:00.000 5 TEST filler\n" * 40_000)
        trial.drop("a", mail("a"))
        trial.wait(lambda: list(logs.glob(f"{current.stem}-001.log.gz")), "the full file is compressed")
        trial.configure(settings.replace("log_file_size", 'log_format = "json"\nlog_file_size'))
        trial.wait(lambda: "configuration 2 accepted" in current.read_text(), "the reload")
        trial.drop("b", mail("b"))
        trial.wait(lambda: '"text":"enqueued: OUT(1)' in current.read_text(), "the new format is used")
        trial.configure(settings.replace('"never"', '"1d"'))
        trial.wait(lambda: not (logs / "2001-01-01-001.log.gz").exists(), "the age is taken by a reload")
        trial.wait(lambda: "deleted 2001-01-01-001.log.gz: older than retention.logs = 1d" in trial.log(), "the deletion is logged")
    assert (logs / "2001-01-01.txt").exists()
    text = trial.log()
    assert text.count("5 TEST filler\n") == 40_000
    assert [text.count(words) for words in (" starts on ", "bytes, a.eml", "enqueued: OUT(1)", "stopped")] == [1, 1, 2, 1]


def test_a_line_that_a_killed_logger_cut_ends_before_the_next_one(tmp_path: Path) -> None:
    logfile.LogWriter(str(tmp_path)).emit(line(1))
    (path,) = tmp_path.glob("*.log")
    path.write_bytes(path.read_bytes()[:-5])
    writer = logfile.LogWriter(str(tmp_path))
    for number in (2, 3):
        writer.emit(line(number))
    writer.close()

    found = texts(tmp_path)
    assert [each.partition("TEST ")[2] for each in found] == ["lin", "line 2 ", "line 3 "]
