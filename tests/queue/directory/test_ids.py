"""Demands on ids: in the order of time, and never twice."""

import os
from collections.abc import Callable
from pathlib import Path

from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.ids import AHEAD, Ids


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


class _Later:
    """Keeps what is to be done after a sync."""

    def __init__(self) -> None:
        self.actions: list[tuple[Callable[[], None], str]] = []

    def __call__(self, action: Callable[[], None], path: str) -> None:
        self.actions.append((action, path))

    def sync(self) -> str:
        action, path = self.actions.pop(0)
        action()
        return path


class _Counting(Disk):
    syncs = 0

    def fsync(self, path: str) -> None:
        self.syncs += 1
        super().fsync(path)


def test_the_next_bound_is_reserved_before_it_is_needed(disk: Disk) -> None:
    """By the committer's syncs: nothing waits for the disk. The bound counts when its name is durable."""
    counting = _Counting()
    later = _Later()
    ids = Ids(counting, after_sync=later)
    ids.take(1000)
    assert counting.syncs == 2, "the first bound of all"
    ids.take(1000 + AHEAD // 2)
    ids.take(1000 + AHEAD // 2)
    assert [later.sync(), later.sync(), later.actions] == ["Queue/.ids.tmp", "Queue", []]

    assert ids.take(1000 + AHEAD) == 1000 + AHEAD
    assert counting.syncs == 2
    assert int(Path("Queue/.ids").read_text()) == 1000 + 2 * AHEAD
    counting.close()


def test_a_bound_that_comes_too_late_is_no_bound(disk: Disk) -> None:
    """Where the committer is too slow, take() waits for the disk; what it reserved then stays."""
    later = _Later()
    ids = Ids(disk, after_sync=later)
    ids.take(1000)
    ids.take(1000 + AHEAD // 2)
    ids.take(1000 + 3 * AHEAD)
    later.sync()

    assert later.actions == []
    assert int(Path("Queue/.ids").read_text()) == 1000 + 4 * AHEAD
