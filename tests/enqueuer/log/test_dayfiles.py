"""Names of the log's files: which are ours, their order, and which are deleted."""

import time
from datetime import datetime

import pytest

from enqueuer.log import dayfiles
from enqueuer.log.dayfiles import DayFile

NAMES = [
    "2026-11-27-001.log.gz",
    "2026-11-27-002.log.gz",
    "2026-11-27-010.log",
    "2026-11-27-1000.log",
    "2026-11-27.log",
    "2026-11-28-001.log",
    "2026-11-28.log",
]
FOREIGN = [
    "2026-11-28.log.1",
    "2026-11-28.log.gz.tmp",
    "2026-11-28-1.log",
    "2026-11-28-0001.log",
    "2026-13-01.log",
    "2026-02-30-001.log.gz",
    "x2026-11-28.log",
    "2026-11-28.log.gz.gz",
    "2026-11-28.LOG",
    "2026-11-28.log\n",
    "mail.log",
    "\u0662026-11-28.log",
]
NOON = datetime(2026, 11, 28, 12).timestamp()


def test_the_order_of_names_is_the_order_of_time() -> None:
    assert [file.name for file in dayfiles.in_order(reversed(NAMES + FOREIGN))] == NAMES
    assert sorted(NAMES[:3] + NAMES[4:]) == NAMES[:3] + NAMES[4:], "also for ls"
    assert [file.name for file in map(dayfiles.parse, NAMES) if file is not None and file.is_open] == ["2026-11-27.log", "2026-11-28.log"]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_name(name: str) -> None:
    assert dayfiles.parse(name) is None


def test_a_file_that_is_there_twice_is_read_once() -> None:
    assert [file.name for file in dayfiles.in_order(["2026-11-27-001.log", "2026-11-27-001.log.gz"])] == ["2026-11-27-001.log"]


def test_numbers_go_on() -> None:
    assert [dayfiles.next_number(NAMES, day) for day in ("2026-11-26", "2026-11-27", "2026-11-28")] == [1, 1001, 2]


def gone(keep: float, limit: int, *sizes: tuple[str, int]) -> tuple[list[str], list[str]]:
    files = {file: size for name, size in sizes if (file := dayfiles.parse(name))}
    old, over = dayfiles.expired(files, NOON, keep, limit)
    return [file.name for file in old], [file.name for file in over]


DAY = 86400.0
FILES = (
    ("2026-11-20.log", 5),
    ("2026-11-25-001.log.gz", 10),
    ("2026-11-26-001.log.gz", 10),
    ("2026-11-27-001.log", 10),
    ("2026-11-28-001.log.gz", 10),
    ("2026-11-28.log", 10),
)


@pytest.mark.parametrize(
    ("keep", "limit", "old", "over"),
    [
        (float("inf"), 0, [], []),
        (30 * DAY, 55, [], []),
        (2 * DAY, 0, ["2026-11-25-001.log.gz"], []),
        (1 * DAY, 0, ["2026-11-25-001.log.gz", "2026-11-26-001.log.gz"], []),
        (30 * DAY, 54, [], ["2026-11-25-001.log.gz"]),
        (2 * DAY, 35, ["2026-11-25-001.log.gz"], ["2026-11-26-001.log.gz"]),
        (float("inf"), 1, [], ["2026-11-25-001.log.gz", "2026-11-26-001.log.gz", "2026-11-27-001.log", "2026-11-28-001.log.gz"]),
    ],
)
def test_what_is_deleted(keep: float, limit: int, old: list[str], over: list[str]) -> None:
    """First the age decides, counted from the end of the day; then the size of all, the oldest first. Open files are never deleted."""
    assert gone(keep, limit, *FILES) == (old, over)


def test_a_day_that_the_clock_cannot_represent_is_kept() -> None:
    assert gone(DAY, 0, ("0001-01-01-001.log", 1), ("9999-12-31-001.log", 1))[0] in ([], ["0001-01-01-001.log"])


def test_age_is_counted_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        files = {DayFile("2026-11-27", 1, True): 1}
        midnight = datetime(2026, 11, 28).timestamp()
        assert [len(dayfiles.expired(files, midnight + DAY + late, DAY, 0)[0]) for late in (-1, 0)] == [0, 1]
    finally:
        monkeypatch.undo()
        time.tzset()
