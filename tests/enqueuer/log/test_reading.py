"""The log is read over all days, compressed or not, in order of time; and while files are closed and compressed."""

import gzip
import os
import tracemalloc
from pathlib import Path

import pytest

from enqueuer.log import reading, retention
from enqueuer.log.entries import LogQuery
from enqueuer.log.reading import ALL, LogFolder

LINES = [f"10:00:{number:02}.000 2 QUEUE([{number}]) line {number:02}" for number in range(1, 10)]


def json_line(number: int) -> str:
    return (
        f'{{"time":"2026-11-28T10:00:{number:02}.000Z","level":2,"level_name":"major","tag":"QUEUE([{number}])","text":"line {number:02}"}}'
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine lines: two days, closed and compressed files, both formats in one file, and foreign files."""
    logs = tmp_path / "SystemLogs"
    logs.mkdir()
    parts = ["\n".join(LINES[at : at + 2]) + "\n" for at in range(0, 8, 2)]
    (logs / "2026-11-27-001.log.gz").write_bytes(gzip.compress(parts[0].encode()))
    (logs / "2026-11-27-002.log").write_text(parts[1])
    (logs / "2026-11-27-002.log.gz").write_bytes(gzip.compress(parts[1].encode()))
    (logs / "2026-11-28-001.log.gz").write_bytes(gzip.compress(parts[2].encode()))
    (logs / "2026-11-28.log").write_text(parts[3] + "\n" + json_line(9) + "\n")
    (logs / "2026-11-27.log.1").write_text("10:00:00.000 2 X foreign\n")
    return logs


def numbers(folder: Path, query: LogQuery = ALL) -> list[int]:
    return [int(entry.text[-2:]) for entry in LogFolder(folder).entries(query)]


def test_all_lines_in_order_of_time(folder: Path) -> None:
    """Each line comes once, also if a file is there plain and compressed."""
    assert numbers(folder) == list(range(1, 10))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9, 100])
def test_the_last_lines(folder: Path, count: int) -> None:
    found = LogFolder(folder).last(ALL, count)

    assert [int(entry.text[-2:]) for entry in found] == list(range(1, 10))[-count:]


@pytest.mark.parametrize("size", [10, 60, 100])
def test_the_last_lines_of_a_large_file(folder: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """The file is read from its end, in larger and larger parts. A part begins within a line."""
    monkeypatch.setattr(reading, "WINDOWS", (size, 2 * size, 4 * size))
    (folder / "2026-11-29.log").write_text("\n".join(LINES) + "\n")

    for count in range(1, 9):
        assert [int(entry.text[-2:]) for entry in LogFolder(folder).last(ALL, count)] == list(range(1, 10))[-count:]
    assert [entry.at for entry in LogFolder(folder).last(LogQuery(texts=("line 03",)), 1)] == ["2026-11-29 10:00:03.000"]


def test_days_that_are_not_wanted_are_not_opened(folder: Path) -> None:
    """They are not opened, not even if they cannot be read."""
    (folder / "2026-11-27-002.log.gz").unlink()
    (folder / "2026-11-27-001.log.gz").write_bytes(b"no gzip")
    log = LogFolder(folder)

    assert [entry.id for entry in log.entries(LogQuery(since="2026-11-28"))] == [5, 6, 7, 8, 9]
    assert log.damaged == {}


@pytest.mark.parametrize(
    "data", [b"no gzip", gzip.compress("\n".join(LINES[:2]).encode() + b"\n")[:-9], b""], ids=["foreign", "cut", "empty"]
)
def test_a_damaged_file_is_named_and_the_others_are_read(folder: Path, data: bytes) -> None:
    (folder / "2026-11-27-001.log.gz").write_bytes(data)
    log = LogFolder(folder)
    found = [entry.id for entry in log.entries()]

    assert found[-7:] == [3, 4, 5, 6, 7, 8, 9]
    assert list(log.damaged) == (["2026-11-27-001.log.gz"] if data else [])


def test_files_that_are_closed_and_compressed_meanwhile(folder: Path) -> None:
    """The rotation happens between two lines of the reader."""
    lines = LogFolder(folder).entries()
    found = [next(lines).id, next(lines).id]
    (folder / "2026-11-28.log").rename(folder / "2026-11-28-002.log")
    retention.LogRetention(str(folder)).tidy(0.0)
    (folder / "2026-11-28.log").write_text(json_line(10) + "\n")

    assert found + [entry.id for entry in lines] == list(range(1, 11))


def test_a_file_that_is_closed_before_it_is_read_backwards(folder: Path) -> None:
    """The last lines are not missed: the folder is listed again after a file that is written."""
    log = LogFolder(folder)
    files = log.backwards()
    assert next(files).name == "2026-11-28.log"
    (folder / "2026-11-28.log").rename(folder / "2026-11-28-002.log")

    assert [file.name for file in files] == ["2026-11-28-002.log", "2026-11-28-001.log.gz", "2026-11-27-002.log", "2026-11-27-001.log.gz"]


def test_many_files_are_listed_a_few_times(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3, 100):
        (folder / f"2026-11-27-{number:03}.log").write_text(f"{LINES[0]}\n")
    listings = 0
    real = os.listdir

    def listed(path: Path) -> list[str]:
        nonlocal listings
        listings += 1
        return real(path)

    monkeypatch.setattr(os, "listdir", listed)
    assert len(numbers(folder)) == 9 + 97
    assert listings <= 4


def test_a_file_that_is_compressed_before_it_is_opened(folder: Path) -> None:
    log = LogFolder(folder)
    (file,) = (file for file in log.files() if file.name == "2026-11-27-002.log")
    (folder / file.name).unlink()

    assert [entry.id for entry in log.of(file, ALL)] == [3, 4]


def test_no_folder_is_an_empty_log(tmp_path: Path) -> None:
    assert list(LogFolder(tmp_path / "absent").entries()) == []


def test_memory_is_bounded(tmp_path: Path) -> None:
    """The memory stays small for many lines, a line without an end, and a compressed file of zeros."""
    (tmp_path / "2026-11-26-001.log.gz").write_bytes(gzip.compress(b"\0" * (64 << 20)))
    (tmp_path / "2026-11-27-001.log").write_bytes(b"x" * (32 << 20))
    (tmp_path / "2026-11-28.log").write_bytes(b"10:00:00.000 2 QUEUE([1]) filler\n" * 1_000_000)
    tracemalloc.start()
    try:
        log = LogFolder(tmp_path)
        assert sum(1 for _ in log.entries(LogQuery(texts=("absent",)))) == 0
        assert len(log.last(LogQuery(texts=("filler",)), 10)) == 10
        assert sum(1 for _ in LogFolder(tmp_path).entries(LogQuery(since="2026-11-27", before="2026-11-28"))) > 0
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
