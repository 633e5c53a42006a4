"""The messages in the folders that other programs empty are counted."""

import os
from pathlib import Path

import pytest

from enqueuer.queue.directory import inventory


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder in ("Outbound/OUT", "Outbound/SMTP", "Quarantine", "Bad"):
        Path(folder).mkdir(parents=True)
    return tmp_path


def put(path: str, time: float) -> None:
    Path(path).touch()
    os.utime(path, (time, time))


def test_messages_count_and_the_oldest_file_gives_the_age(base: Path) -> None:
    """A .why is no message, nor is a file of another program."""
    put("Outbound/OUT/5.msg", 500.0)
    put("Outbound/OUT/7-2.msg", 100.0)
    put("Outbound/OUT/note.txt", 1.0)
    put("Quarantine/9.msg", 700.0)
    put("Quarantine/9.why", 700.0)

    assert inventory.backlog(1000.0) == {
        "outbound": {
            "OUT": {"count": 2, "oldest_s": 900.0, "complete": True, "error": None},
            "SMTP": {"count": 0, "oldest_s": None, "complete": True, "error": None},
        },
        "quarantine": {"count": 1, "oldest_s": 300.0, "complete": True, "error": None},
        "bad": {"count": 0, "oldest_s": None, "complete": True, "error": None},
    }


def test_a_folder_that_cannot_be_read_says_so(base: Path) -> None:
    Path("Bad").rmdir()
    found = inventory.count("Bad", 1000.0)
    assert (found.count, found.complete, found.error) == (0, False, "No such file or directory")


def test_a_folder_without_end_is_not_counted_to_its_end(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "WITHIN", -1.0)
    monkeypatch.setattr(inventory, "MANY", 2)
    for number in range(5):
        put(f"Bad/{number}.msg", 900.0)
    found = inventory.count("Bad", 1000.0)
    assert (found.count, found.complete, found.oldest_s) == (2, False, 100.0)
