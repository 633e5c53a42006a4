"""The named lists of Settings/lists/, whatever is there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.system import listfiles


def test_no_folder_and_other_files_are_no_lists(tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    assert (listfiles.look(str(folder)), listfiles.read(str(folder))) == ((), {})
    folder.mkdir()
    (folder / "a.txt").write_text("# x\n a@b \n\nc,d\na@b\n")
    (folder / ".b.txt").write_text("x")
    (folder / "c.txt~").write_text("x")
    assert listfiles.read(str(folder)) == {"a": ("a@b", "c,d")}


@pytest.mark.parametrize("make", [lambda folder: folder.write_text("x"), lambda folder: folder.symlink_to(folder)], ids=["file", "loop"])
def test_a_folder_that_is_none_ends_no_process(make: Callable[[Path], object], tmp_path: Path) -> None:
    """The supervisor looks at it again and again; the fault is an error of the configuration."""
    folder = tmp_path / "lists"
    before = listfiles.look(str(folder))
    make(folder)
    assert listfiles.look(str(folder)) == listfiles.look(str(folder)) != before
    with pytest.raises(OSError, match="lists"):
        listfiles.read(str(folder))


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        (b"\xff.txt", b"", "rename the file"),
        (b"a\nb.txt", b"", "rename the file"),
        (b"a.txt", b"x\n\xff\n", "a.txt: line 2 is not UTF-8"),
        (b"a.txt", b"x\0", "line 1 has a NUL"),
    ],
)
def test_a_wrong_list_has_an_error_that_can_be_shown(name: bytes, data: bytes, error: str, tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(data)
    with pytest.raises(ValueError, match=error) as raised:
        listfiles.read(str(tmp_path))
    assert str(raised.value).isprintable()


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(OSError, match="not a regular file"):
        listfiles.read(str(tmp_path))
