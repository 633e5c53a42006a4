"""The real disk, on filesystems that refuse calls."""

import errno
from pathlib import Path

import pytest

from enqueuer.queue.directory.disk import Disk
from tests.storm import writers


@pytest.mark.parametrize("refused", [errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP])
def test_a_rename_that_replaces_nothing_needs_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int) -> None:
    """FUSE without RENAME_NOREPLACE and without hard links: a drop can be refused and a claim be undone all the same."""
    with writers.shared(tmp_path / "there", tmp_path / "here", f"link={refused}"):
        monkeypatch.chdir(tmp_path / "here")
        Path("a").write_text("a")
        Path("b").write_text("b")
        disk = Disk()
        try:
            with pytest.raises(FileExistsError):
                disk.rename_new("a", "b")
            disk.rename_new("a", "c")
            with pytest.raises(FileNotFoundError):
                disk.rename_new("a", "d")
        finally:
            disk.close()
            monkeypatch.undo()

    assert {path.name: path.read_text() for path in (tmp_path / "there").iterdir()} == {"b": "b", "c": "a"}


def test_a_second_name_is_a_copy_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else no message whose output is its queue file would leave the queue."""
    with writers.shared(tmp_path / "there", tmp_path / "here", f"link={errno.EPERM}"):
        monkeypatch.chdir(tmp_path / "here")
        Path("a").write_text("a")
        Path("b").write_text("left by a killed processor")
        disk = Disk()
        try:
            disk.link("a", "b")
        finally:
            disk.close()
            monkeypatch.undo()

    assert {path.name: path.read_text() for path in (tmp_path / "there").iterdir()} == {"a": "a", "b": "a"}
