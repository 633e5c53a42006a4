"""Demands on ids: in the order of time, and never twice."""

import os
from pathlib import Path

from enqueuer.queue.disk import Disk
from enqueuer.queue.ids import AHEAD, Ids


def test_ids_rise_within_one_microsecond(disk: Disk) -> None:
    ids = Ids(disk)

    assert [ids.take(1000), ids.take(1000), ids.take(5)] == [1000, 1001, 1002]


def test_a_new_engine_goes_on_above_what_was_reserved(disk: Disk) -> None:
    """Ids given before a power cut, and forgotten by it, are below the bound that was made durable first."""
    first = Ids(disk).take(1_000_000)

    assert Ids(disk).take(1_000_001) > first + AHEAD - 1


def test_ids_on_disk_count_where_the_bound_is_lost(disk: Disk) -> None:
    Ids(disk).take(1000)
    Path("Queue/.ids").write_text("from a backup?")

    assert Ids(disk, on_disk=5_000_000_000).take(1000) == 5_000_000_001


def test_a_bound_that_cannot_be_read_counts_as_lost(disk: Disk) -> None:
    """A link and a FIFO: what is on disk says how far ids went, and the bound is written again."""
    Path("Queue/.ids").symlink_to("/etc/passwd")
    os.mkfifo("Queue/.ids.tmp")

    assert Ids(disk, on_disk=5000).take(1000) == 5001
    assert int(Path("Queue/.ids").read_text()) == 5001 + AHEAD
