"""Demands on the three ways of making things durable: what is synced, and in which order."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from enqueuer.queue.directory import sync
from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.sync import Change

CHANGES = [Change(1, 5, ("OUT",)), Change(2, 6, ("quarantine", "quarantine-why")), Change(3, 7, None), Change(4, 8, ())]


class _Recorder(Disk):
    """Notes the syncs instead of doing them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def fsync(self, path: str) -> None:
        self.calls.append(path)

    def fsync_all(self, paths: Sequence[str]) -> None:
        self.calls += paths

    def sync(self) -> None:
        self.calls.append("syncfs")


@pytest.fixture
def recorder(base: Path) -> Iterator[_Recorder]:
    recorder = _Recorder()
    yield recorder
    recorder.close()


def test_each_syncs_every_file_before_the_commit(recorder: _Recorder) -> None:
    """Message and staged files, then the folder of the staged; Queue/ too, where a deferred message is to stand for itself."""
    sync.EachSync(recorder).staged(CHANGES)

    files = [f"Queue/{id}.msg" for id in (1, 2, 3, 4)] + ["Staged/1.5.OUT", "Staged/2.6.quarantine", "Staged/2.6.quarantine-why"]
    assert recorder.calls == [*files, "Queue", "Staged"]


def test_what_came_back_from_a_shelf_is_synced_with_the_batch(recorder: _Recorder) -> None:
    for way in (sync.NoSync(recorder), sync.GroupSync(recorder), sync.EachSync(recorder)):
        way.staged((), {"Queue", "Bad"})

    assert recorder.calls == ["syncfs", "Bad", "Queue"]


def test_each_syncs_the_folders_once_a_batch(recorder: _Recorder) -> None:
    """The decision in Queue/ before any drop goes; the outputs' folders, what they left and .taken/ before `.done` goes."""
    each = sync.EachSync(recorder)
    each.committed()
    each.published([*CHANGES, Change(9, 9, ("OUT", "SMTP"))])

    assert recorder.calls == ["Queue", "Outbound/OUT", "Outbound/SMTP", "Quarantine", "Staged", "Submitted/.taken"]


def test_a_discarded_message_has_no_folder_of_outputs(recorder: _Recorder) -> None:
    sync.EachSync(recorder).published([Change(4, 8, ())])

    assert recorder.calls == ["Submitted/.taken"]


def test_group_is_one_sync_and_off_is_none(recorder: _Recorder) -> None:
    for way in (sync.NoSync(recorder), sync.GroupSync(recorder)):
        way.staged(CHANGES)
        way.committed()
        way.published(CHANGES)

    assert recorder.calls == ["syncfs"]


def test_many_files_are_made_durable_in_slices(disk: Disk) -> None:
    """More files than may be open at once, hard links among them; a file that is not there is an error."""
    paths = [f"Staged/{n}.1.OUT" for n in range(1, 200)]
    for path in paths:
        disk.create(path, (b"x" * 100,))
    disk.link(paths[0], "Staged/1.2.OUT")
    before = len(os.listdir("/proc/self/fd"))
    disk.fsync_all([*paths, "Staged/1.2.OUT"])

    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(FileNotFoundError):
        disk.fsync_all(["Staged/missing"])


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A folder to mount on; nothing stays mounted."""
    folder = tmp_path / "mnt"
    folder.mkdir()
    yield folder
    subprocess.run(["umount", str(folder)], check=False, capture_output=True)


@pytest.mark.skipif(os.getuid() != 0, reason="mounts filesystems: root only")
@pytest.mark.parametrize(("options", "expected"), [((), "group"), (("-O", "^has_journal"), "each")])
def test_the_journal_of_ext4_is_seen(mounted: Path, options: tuple[str, ...], expected: str) -> None:
    image = mounted.with_name("image")
    with image.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["mkfs.ext4", "-q", *options, str(image)], check=True)
    if subprocess.run(["mount", "-o", "loop", str(image), str(mounted)], check=False, capture_output=True).returncode:
        pytest.skip("this machine mounts no loop devices")

    choice = sync.choose_for("group", str(mounted))
    assert choice.durability == expected
    assert ("without a journal" in choice.remark) == (expected == "each")


@pytest.mark.skipif(os.getuid() != 0, reason="mounts filesystems: root only")
def test_tmpfs_is_seen(mounted: Path) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(mounted)], check=False, capture_output=True).returncode:
        pytest.skip("this machine mounts no tmpfs")

    assert sync.choose_for("group", str(mounted)).durability == "group"
    assert "tmpfs" in sync.choose_for("group", str(mounted)).remark


def test_the_filesystem_is_known_without_a_mount_line(tmp_path: Path) -> None:
    """As in a chroot. A missing folder is on none."""
    assert sync._magic("/proc") == 0x9FA0
    assert sync._magic(str(tmp_path)) != 0
    assert sync._magic(str(tmp_path / "none")) == 0
