"""The lock of a door process: it is deferred exactly as long as the process lives."""

import os
import shutil
import signal
from pathlib import Path

from enqueuer.queue.directory.doorlock import DoorLock, held


def test_each_process_gets_a_name_of_its_own(base: Path) -> None:
    first = DoorLock("smtp")
    second = DoorLock("smtp")
    other = DoorLock("http")

    assert [each.name() for each in (first, second, other)] == ["smtp-1", "smtp-2", "http-1"]
    first.close()
    assert (held("Incoming/smtp-1.lock"), held("Incoming/smtp-2.lock")) == (False, True)
    assert DoorLock("smtp").name() == "smtp-3"  # the name of a dead door is not used until all of its files are removed


def test_a_lock_ends_with_its_process(base: Path) -> None:
    told, tell = os.pipe()
    if not (pid := os.fork()):
        DoorLock("smtp")
        os.write(tell, b"x")
        signal.pause()
    os.read(told, 1)
    assert held("Incoming/smtp-1.lock")

    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    assert not held("Incoming/smtp-1.lock")


def test_a_look_takes_no_lock(base: Path) -> None:
    lock = DoorLock("smtp")

    assert [held("Incoming/smtp-1.lock") for _ in range(3)] == [True] * 3
    assert lock.name() == "smtp-1"
    assert not held("Incoming/smtp-9.lock")


def test_a_removed_folder_gives_a_door_a_new_lock(base: Path) -> None:
    """Another program emptied Incoming/: a file without a lock would count as a dead door's."""
    lock = DoorLock("smtp")
    shutil.rmtree("Incoming")
    os.mkdir("Incoming")
    Path("Incoming/smtp-1.lock").touch()

    assert lock.name() == "smtp-2"
    assert held("Incoming/smtp-2.lock")
