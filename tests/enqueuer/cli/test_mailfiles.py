"""Files that root names and that go to another account; messages in odd files."""

import os
from pathlib import Path

import pytest

from enqueuer.cli._mailfiles import MAX_IN_MBOX, MailFiles, given, plain

LINE = b"From ann@a.example Sat Nov 28 10:00:00 2026\n"


def read(*names: str) -> dict[str, bytes]:
    return {each.name: b"".join(each.pieces()) for each in MailFiles(plain).find(names)}


def test_an_mbox_of_one_message_and_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(LINE + b"Subject: a\n\n>From here\n")
    (tmp_path / "empty").touch()
    assert read(str(tmp_path)) == {f"{tmp_path}/one#1": b"Subject: a\n\nFrom here\n", f"{tmp_path}/empty": b""}


def test_a_message_of_an_mbox_that_is_too_large_is_refused_and_the_others_are_not(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_bytes(LINE + b"a" * (MAX_IN_MBOX + 1) + b"\n\n" + LINE + b"Subject: b\n")
    first, second = MailFiles(plain).find([str(path)])
    with pytest.raises(OSError, match="at most 67108864 bytes"):
        list(first.pieces())
    assert b"".join(second.pieces()) == b"Subject: b\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files to give away")
def test_root_gives_away_no_file_that_another_account_chose(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"of root")
    folder = tmp_path / "folder"
    folder.mkdir()
    os.chown(folder, 54321, 54321)
    (folder / "hard").hardlink_to(secret)
    (folder / "link").symlink_to(secret)
    os.chown(folder / "link", 54321, 54321, follow_symlinks=False)
    (folder / "own").write_bytes(b"its own")
    for name in ("hard", "link"):
        with pytest.raises(PermissionError, match="give its content on stdin"):
            given(str(folder / name))
    for path in (folder / "own", secret):
        with given(str(path)) as file:
            assert file.read() == path.read_bytes()
