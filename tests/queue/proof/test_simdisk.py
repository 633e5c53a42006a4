"""One list of demands on both disks, the real one and its simdisk; then what only the simdisk can show: power cuts."""

import errno
import os
import tempfile

import msgspec
import pytest

from enqueuer.queue.directory.disk import Disk, DiskPort
from enqueuer.queue.proof.simdisk import EMPTY, SimulatedDisk, State, broken


@pytest.fixture(params=["real", "simdisk"])
def port(request: pytest.FixtureRequest, disk: Disk) -> DiskPort:
    """Both are empty."""
    os.unlink("Queue/.format")
    return disk if request.param == "real" else SimulatedDisk()


def _read(port: DiskPort, path: str) -> bytes:
    return b"".join(port.chunks(path))


# ---- both


def test_a_file_is_written_read_and_patched(port: DiskPort) -> None:
    made = port.create("Queue/7.tmp", iter((b"ab", b"cdef")))
    assert (made, made[1]) == (port.stamp("Queue/7.tmp"), 6)
    port.patch("Queue/7.tmp", 2, b"XY")

    assert _read(port, "Queue/7.tmp") == b"abXYef"
    assert list(port.chunks("Queue/7.tmp", offset=1, first=2)) == [b"bX", b"Yef"]
    assert (port.stamp("Queue/7.tmp") or (0, 0))[1] == 6
    assert port.names("Queue") == ["7.tmp"]


def test_create_new_leaves_what_is_there(port: DiskPort) -> None:
    port.create("Queue/7.msg", (b"old",), new=True)
    with pytest.raises(FileExistsError):
        port.create("Queue/7.msg", (b"new",), new=True)
    assert _read(port, "Queue/7.msg") == b"old"


def test_create_replaces_what_is_there(port: DiskPort) -> None:
    port.create("Queue/7.tmp", (b"longer than the next",))
    port.create("Queue/7.tmp", (b"new",))

    assert _read(port, "Queue/7.tmp") == b"new"


def test_a_file_written_anew_is_new_under_all_its_names(port: DiskPort) -> None:
    """A hard link shares the data: whoever truncates one name truncates all."""
    port.create("Queue/7.msg", (b"old",))
    port.link("Queue/7.msg", "Staged/7.1.OUT")
    port.create("Staged/7.1.OUT", (b"new",))

    assert _read(port, "Queue/7.msg") == b"new"


def test_rename_replaces_and_rename_new_does_not(port: DiskPort) -> None:
    port.create("Queue/1.msg", (b"one",))
    port.create("Queue/2.msg", (b"two",))

    with pytest.raises(FileExistsError):
        port.rename_new("Queue/1.msg", "Queue/2.msg")
    assert sorted(port.names("Queue")) == ["1.msg", "2.msg"]
    port.rename("Queue/1.msg", "Queue/2.msg")
    assert _read(port, "Queue/2.msg") == b"one"
    port.rename_new("Queue/2.msg", "Queue/3.msg")
    assert port.names("Queue") == ["3.msg"]


def test_renaming_one_name_of_a_file_to_another_of_its_names_does_nothing(port: DiskPort) -> None:
    """POSIX says so: both names stay, which whoever moves hard links about has to know."""
    port.create("Queue/7.msg", (b"x",))
    port.link("Queue/7.msg", "Staged/7.1.OUT")
    port.rename("Staged/7.1.OUT", "Queue/7.msg")

    assert (port.names("Queue"), port.names("Staged")) == (["7.msg"], ["7.1.OUT"])


def test_link_replaces_what_is_there(port: DiskPort) -> None:
    port.create("Queue/7.msg", (b"x",))
    port.create("Staged/7.1.OUT", (b"left by a killed processor",))
    port.link("Queue/7.msg", "Staged/7.1.OUT")
    port.unlink("Queue/7.msg")

    assert _read(port, "Staged/7.1.OUT") == b"x"


def test_what_is_not_there(port: DiskPort) -> None:
    assert port.unlink("Queue/7.msg") is False
    assert port.stamp("Queue/7.msg") is None
    with pytest.raises(FileNotFoundError):
        port.rename("Queue/7.msg", "Queue/8.msg")
    with pytest.raises(FileNotFoundError):
        port.link("Queue/7.msg", "Staged/7.1.OUT")
    with pytest.raises(FileNotFoundError):
        _read(port, "Queue/7.msg")


def test_syncs_change_nothing_that_can_be_seen(port: DiskPort) -> None:
    port.create("Queue/7.msg", (b"x",))
    port.fsync("Queue/7.msg")
    port.fsync("Queue")
    port.sync()

    assert _read(port, "Queue/7.msg") == b"x"


def test_a_file_bears_the_number_of_another_until_it_is_written_again(port: DiskPort) -> None:
    port.create("Submitted/.taken/7.a.eml", (b"drop",))
    port.create("Queue/7.msg", (b"message",))
    number = port.changes("Submitted/.taken/7.a.eml")

    assert port.mark("Queue/7.msg", number) == port.stamp("Queue/7.msg")
    assert port.marked("Queue/7.msg") == port.changes("Submitted/.taken/7.a.eml")
    port.patch("Queue/7.msg", 0, b"M")
    assert port.marked("Queue/7.msg") != number


def test_a_change_gives_another_number(disk: Disk) -> None:
    """Whatever times the writer gives its file back."""
    for port, append in ((disk, _append), (simdisk := SimulatedDisk(), lambda path: simdisk.append(path, b"more"))):
        port.create("Queue/7.msg", (b"x",))
        number = port.changes("Queue/7.msg")
        stamp = port.stamp("Queue/7.msg")
        while port.changes("Queue/7.msg") == number:  # a tick of the filesystem's clock is some milliseconds
            append("Queue/7.msg")
        assert port.stamp("Queue/7.msg") != stamp


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs a filesystem that keeps any date")
@pytest.mark.parametrize("date", [1 << 40, -(1 << 40)])
def test_a_stamp_fits_into_64_bits(disk: Disk, date: int) -> None:
    """It goes into frames, and btrfs and tmpfs keep whatever date the owner of a file gives it."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        os.utime(file.name, (date, date))
        stamp = disk.stamp(file.name)

    assert stamp is not None
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(stamp)) == list(stamp)


def _append(path: str) -> None:
    with open(path, "ab") as file:
        file.write(b"more")
    os.utime(path, (1, 1))


# ---- power cuts


def _left(state: State) -> list[dict[str, bytes]]:
    return [cut.read() for cut in state.cuts()]


def test_a_cut_keeps_any_prefix_of_the_names_and_may_break_the_data() -> None:
    simdisk = SimulatedDisk()
    simdisk.create("a", (b"data",))
    simdisk.rename("a", "b")

    assert _left(simdisk.state) == [{}, {"a": b"data"}, {"a": broken(b"data")}, {"b": b"data"}, {"b": broken(b"data")}]


def test_a_sync_keeps_all() -> None:
    simdisk = SimulatedDisk()
    simdisk.create("a", (b"data",))
    simdisk.sync()
    simdisk.unlink("a")

    assert _left(simdisk.state) == [{"a": b"data"}, {}]


def test_fsync_keeps_the_data_of_one_file_and_the_names_of_all() -> None:
    simdisk = SimulatedDisk()
    simdisk.create("a", (b"data",))
    simdisk.create("b", (b"more",))
    simdisk.fsync("a")

    assert _left(simdisk.state) == [{"a": b"data", "b": b"more"}, {"a": b"data", "b": broken(b"more")}]


def test_what_a_failed_sync_lost_no_later_one_brings_back() -> None:
    """Until the cut it can be read, so nobody notices; a file that is written anew is trusted again."""
    simdisk = SimulatedDisk()
    simdisk.create("a", (b"data",))
    with pytest.raises(OSError, match="sync") as error:
        simdisk.fail_sync()
    simdisk.sync()

    assert error.value.errno == errno.EIO
    assert simdisk.state.read() == {"a": b"data"}
    assert _left(simdisk.state) == [{"a": b"data"}, {"a": broken(b"data")}]
    simdisk.create("a", (b"data",))
    simdisk.sync()
    assert _left(simdisk.state) == [{"a": b"data"}]


def test_what_a_consumer_took_is_its_own_whatever_becomes_of_the_file() -> None:
    """It has read the data; that it took it may be undone by a cut, like any change of names."""
    simdisk = SimulatedDisk()
    simdisk.create("out", (b"data",))
    simdisk.take("out", "taken")

    assert _left(simdisk.state)[-1] == {"taken": b"data"}
    assert {"out": b"data"} in _left(simdisk.state)


def test_a_twin_goes_on_from_a_state() -> None:
    """States are values: what is done to a simdisk does not reach the state it came from."""
    simdisk = SimulatedDisk()
    simdisk.create("a", (b"x",))
    before = simdisk.state
    again = SimulatedDisk(before)
    again.unlink("a")

    assert before.read() == {"a": b"x"}
    assert again.state.read() == {}
    assert SimulatedDisk().state == EMPTY


def test_a_cut_ends_the_processes_that_hold_locks() -> None:
    simdisk = SimulatedDisk()
    simdisk.hold("Incoming/smtp-1.lock")
    simdisk.sync()

    assert SimulatedDisk(simdisk.state).held("Incoming/smtp-1.lock")
    assert [SimulatedDisk(cut).held("Incoming/smtp-1.lock") for cut in simdisk.state.cuts()] == [False]
    simdisk.hold("Incoming/smtp-1.lock", alive=False)
    assert not simdisk.held("Incoming/smtp-1.lock")


def test_a_patch_of_a_durable_file_is_made_or_not() -> None:
    """A few bytes of one block; of a file that was just written, all is open."""
    simdisk = SimulatedDisk()
    simdisk.create("Queue/1.msg", (b"0123",))
    simdisk.sync()
    simdisk.patch("Queue/1.msg", 1, b"x")
    simdisk.patch("Queue/1.msg", 2, b"y")

    assert {cut.read()["Queue/1.msg"] for cut in simdisk.state.cuts()} == {b"0xy3", b"0123"}
    simdisk.sync()
    assert {cut.read()["Queue/1.msg"] for cut in simdisk.state.cuts()} == {b"0xy3"}
