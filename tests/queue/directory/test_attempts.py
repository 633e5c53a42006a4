"""Demands on the charges: kept across processes, forgotten in time, and never a reason to fail."""

import os
from pathlib import Path

import pytest

from enqueuer.queue.directory.attempts import AttemptsFile
from enqueuer.queue.directory.disk import Disk


def test_charges_outlive_the_process(disk: Disk) -> None:
    first = AttemptsFile(disk)
    assert [first.charge(7), first.charge(7), first.charge(8)] == [1, 2, 1]
    first.refund(7)
    first.refund(8)

    again = AttemptsFile(disk)
    assert (again.of(7), again.of(8), again.of(9)) == (1, 0, 0)


def test_what_has_left_is_forgotten(disk: Disk) -> None:
    attempts = AttemptsFile(disk)
    for id in (7, 8, 9):
        attempts.charge(id)
    attempts.forget(7)
    attempts.keep_only({9})

    assert Path("Queue/.attempts").read_text() == "9 1\n"


def test_a_garbled_file_counts_as_nothing(disk: Disk) -> None:
    Path("Queue/.attempts").write_bytes(b"7 2\n\0\0\0\0\nx y\n8\n" + b"9" * 100 + b" 1\n")

    attempts = AttemptsFile(disk)
    assert (attempts.of(7), attempts.of(8)) == (2, 0)


def test_what_cannot_be_written_is_counted_all_the_same(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    """A folder where the file should be, which came while we run: it is said once, and no charge fails."""
    attempts = AttemptsFile(disk)
    os.makedirs("Queue/.attempts/x")

    assert [attempts.charge(7) for _ in range(3)] == [1, 2, 3]
    attempts.forget(7)
    assert caplog.text.count("cannot be written") == 1


def test_a_file_without_end_is_not_read_to_it(disk: Disk) -> None:
    Path("Queue/.attempts").write_bytes(b"7 1\n")
    os.truncate("Queue/.attempts", 1 << 40)

    assert AttemptsFile(disk).of(7) == 1
