import os
from pathlib import Path

import pytest

from filterlink.filters.runtime import room as module
from filterlink.filters.runtime.room import room


def test_it_is_ours_alone_and_goes(tmp_path: Path) -> None:
    """With all that is in it."""
    with room(str(tmp_path)) as folder:
        Path(folder, "mail").write_bytes(b"x")
        assert Path(folder).stat().st_mode & 0o777 == 0o700
        assert Path(folder).parent == tmp_path

    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_helper_left_is_removed(tmp_path: Path) -> None:
    """By the next one, at once; a folder in use stays, also when only a worker uses it."""
    left = tmp_path / "enqueuer-copies-left"
    left.mkdir()
    (left / "mail").write_bytes(b"x")
    with room(str(tmp_path)) as used, room(str(tmp_path)):
        assert not left.exists()
        assert Path(used).exists()


def test_a_folder_that_its_maker_has_not_locked_yet_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a minute; then it is left over as well."""
    new = tmp_path / "enqueuer-new-copies-x"
    new.mkdir()
    with room(str(tmp_path)):
        assert new.exists()
    monkeypatch.setattr(module, "NEW", -1.0)
    with room(str(tmp_path)):
        assert not new.exists()


def test_a_link_is_left_alone(tmp_path: Path) -> None:
    """The temporary folder is everybody's."""
    (tmp_path / "precious").mkdir()
    os.symlink(tmp_path / "precious", tmp_path / "enqueuer-copies-x")
    with room(str(tmp_path)):
        assert (tmp_path / "precious").exists()
