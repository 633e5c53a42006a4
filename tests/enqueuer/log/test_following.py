"""The log is followed over rotations: each line comes once, in order."""

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enqueuer.log import dayfiles, logfile, logline, retention
from enqueuer.log.entries import LogQuery
from enqueuer.log.following import LogFollower
from enqueuer.log.reading import LogFolder

Follow = Callable[[Path], LogFollower]
NOON = 1_764_331_200.0
"""On 2025-11-28."""
DAY = 86400.0


@pytest.fixture
def writer(tmp_path: Path) -> logfile.LogWriter:
    writer = logfile.LogWriter(str(tmp_path))
    writer.configure(json=False, full=200)
    return writer


@pytest.fixture
def follow() -> Iterator[Follow]:
    made: list[LogFollower] = []

    def begin(folder: Path) -> LogFollower:
        made.append(LogFollower(LogFolder(folder)))
        return made[-1]

    yield begin
    for each in made:
        each.close()


def write(writer: logfile.LogWriter, *numbers: int, when: float = NOON) -> None:
    for number in numbers:
        writer.emit([logline.Line(when, 30, "TEST", f"{'x' * 20} {number}")])


def come(follower: LogFollower) -> list[int]:
    return [int(entry.text.rpartition(" ")[2]) for entry in follower.entries()]


def test_lines_that_come(tmp_path: Path, follow: Follow, writer: logfile.LogWriter) -> None:
    """It does not yield the lines that were there before."""
    write(writer, *range(10))
    follower = follow(tmp_path)

    assert come(follower) == []
    write(writer, 10)
    assert come(follower) == [10]
    assert come(follower) == []


def test_a_line_comes_when_it_is_whole(tmp_path: Path, follow: Follow) -> None:
    file = tmp_path / "2025-11-28.log"
    file.touch()
    follower = follow(tmp_path)
    file.write_text("10:00:00.000 3 TEST 1\n10:00:00.000 3 TEST 2\n10:00:00.000 3 TE")

    assert come(follower) == [1, 2]
    with file.open("a") as more:
        more.write("ST 3\n")
    assert come(follower) == [3]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("many", [1, 2, 3, 6, 7, 12, 30])
def test_rotation_by_size(tmp_path: Path, follow: Follow, writer: logfile.LogWriter, many: int, packed: bool) -> None:
    """Between two calls, one file or several are closed, and perhaps compressed."""
    keeper = retention.LogRetention(str(tmp_path))
    write(writer, 0)
    follower = follow(tmp_path)
    found: list[int] = []
    for number in range(1, 61):
        write(writer, number)
        if number % many == 0:
            if packed:
                keeper.tidy(0.0)
            found += come(follower)
    found += come(follower)

    assert found == list(range(1, 61))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("listing", range(2, 8))
def test_a_rotation_at_any_instant(
    tmp_path: Path, writer: logfile.LogWriter, monkeypatch: pytest.MonkeyPatch, listing: int, packed: bool
) -> None:
    """A rotation just before the n-th listing of the folder does not make the file that is read count as new."""
    write(writer, 0)
    log = LogFolder(tmp_path)
    listings = 0
    real = log.files

    def files() -> list[dayfiles.DayFile]:
        nonlocal listings
        listings += 1
        if listings == listing:
            write(writer, *range(1, 10))
            if packed:
                retention.LogRetention(str(tmp_path)).tidy(0.0)
        return real()

    monkeypatch.setattr(log, "files", files)
    follower = LogFollower(log)
    found = [number for _ in range(8) for number in come(follower)]
    follower.close()

    assert found == list(range(1, 10))


@pytest.mark.parametrize("packed", [False, True])
def test_midnight(tmp_path: Path, follow: Follow, writer: logfile.LogWriter, packed: bool) -> None:
    """Both files are followed, as lines of the last day may come late; the closed one is not read again."""
    write(writer, 1)
    follower = follow(tmp_path)
    found: list[int] = []
    write(writer, 2)
    found += come(follower)
    write(writer, 3, when=NOON + DAY)
    found += come(follower)
    write(writer, 4)
    found += come(follower)
    write(writer, 5)
    writer.close_days(NOON + DAY)
    write(writer, 6, when=NOON + DAY)
    if packed:
        retention.LogRetention(str(tmp_path)).tidy(0.0)
    found += come(follower)
    found += come(follower)

    assert found == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "rotate",
    [lambda path: path.rename(f"{path}.1"), lambda path: path.unlink(), lambda path: os.truncate(path, 0)],
    ids=["rename", "unlink", "truncate"],
)
def test_another_program_rotates(tmp_path: Path, follow: Follow, writer: logfile.LogWriter, rotate: Callable[[Path], None]) -> None:
    """logrotate renames or unlinks the file, or uses copytruncate."""
    write(writer, 1, 2, 3)
    follower = follow(tmp_path)
    write(writer, 4)
    assert come(follower) == [4]
    rotate(tmp_path / "2025-11-28.log")
    write(writer, 5)

    assert come(follower) == [5]


def test_a_log_that_begins_later(tmp_path: Path, follow: Follow) -> None:
    follower = follow(tmp_path / "logs")
    assert come(follower) == []
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/2025-11-28-001.log.gz").write_bytes(gzip.compress(b"10:00:00.000 3 TEST 1\n"))
    (tmp_path / "logs/2025-11-28.log").write_text("10:00:00.000 3 TEST 2\n")

    assert come(follower) == [1, 2]


def test_only_wanted_lines_come(tmp_path: Path, follow: Follow, writer: logfile.LogWriter) -> None:
    follower = follow(tmp_path)
    write(writer, 1, 2)

    assert [entry.text[-1] for entry in follower.entries(LogQuery(texts=("x 2",)))] == ["2"]
