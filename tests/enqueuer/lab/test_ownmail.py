import os
import socket
import time
from pathlib import Path

import pytest

from enqueuer.lab.ownmail import SOMEBODY, Most, NoMail, OwnMail, addressed, read
from enqueuer.queue.message import header

ONE = b"From: a@b.c\nTo: b@b.c\n\none\n"
TWO = b"Subject: two\n\ntwo\n"
FROM = b"From ann@example.org Tue Nov 24 06:40:00 2026\n"


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    """One new message, one that was read."""
    for name in ("new", "cur", "tmp", ".Sent"):
        (tmp_path / "Maildir" / name).mkdir(parents=True)
    (tmp_path / "Maildir/new/2.x").write_bytes(TWO)
    (tmp_path / "Maildir/cur/1.x:2,S").write_bytes(ONE)
    (tmp_path / "Maildir/tmp/3.x").write_bytes(b"half")
    (tmp_path / "Maildir/dovecot-uidlist").write_bytes(b"3 V1\n")
    return tmp_path / "Maildir"


def make_folder(path: Path) -> Path:
    """Everything that may lie among messages."""
    path.mkdir()
    (path / "1.eml").write_bytes(ONE)
    (path / "box").write_bytes(FROM + TWO + b"\n" + FROM + b"A: b\n\n>From x\n")
    (path / "empty").touch()
    (path / "notes.txt").write_bytes(b"Dear all,\n")
    (path / "inner").mkdir()
    (path / ".hidden").write_bytes(ONE)
    os.mkfifo(path / "pipe")
    (path / "dangling").symlink_to("nowhere")
    return path


def everything(path: Path) -> list[tuple[str, object, bytes]]:
    """Names, all times and contents below a folder."""
    found: list[tuple[str, object, bytes]] = []
    for each in sorted([path, *path.rglob("*")]):
        status = each.lstat()
        if each.is_file():
            with open(os.open(each, os.O_RDONLY | os.O_NOATIME), "rb") as file:
                found.append((str(each), (status.st_mtime_ns, status.st_ctime_ns, status.st_atime_ns, status.st_mode), file.read()))
        else:
            found.append((str(each), (status.st_mtime_ns, status.st_ctime_ns, status.st_mode), b""))
    return found


def test_a_maildir_is_read(maildir: Path) -> None:
    """What is in new and cur; not what is being delivered, nor the index files of servers."""
    found = read(maildir)

    assert found == ([OwnMail("cur/1.x:2,S", ONE), OwnMail("new/2.x", TWO)], [], False)


def test_a_folder_of_files_is_read(tmp_path: Path) -> None:
    """Messages and mboxes; the rest is named with the reason, and nothing is waited for."""
    found = read(make_folder(tmp_path / "mail"))

    assert found.letters == [OwnMail("1.eml", ONE), OwnMail("box#1", TWO), OwnMail("box#2", b"A: b\n\nFrom x\n")]
    assert dict(found.skipped) == {
        "empty": "is empty",
        "notes.txt": "does not begin with a header field, as mail messages do",
        "inner": "is a folder",
        "pipe": "is not a regular file",
        "dangling": "no such file or directory",
    }


@pytest.mark.parametrize("kind", ["Maildir", "mail"])
def test_the_source_is_not_changed(kind: str, tmp_path: Path, maildir: Path) -> None:
    """No name, no byte, no time of it, the access time included."""
    make_folder(tmp_path / "mail")
    source = tmp_path / kind
    for path in source.rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - 90_000, time.time() - 80_000))  # old enough for a relative atime to be renewed
    before = everything(source)
    read(source)

    assert everything(source) == before


def test_what_cannot_be_opened_is_named(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the others are read; root may read all, so the refusal is made."""
    real = os.open

    def refuse(path: str | Path, flags: int, *rest: int) -> int:
        if str(path).endswith("2.x"):
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *rest)

    monkeypatch.setattr(os, "open", refuse)

    assert read(maildir) == ([OwnMail("cur/1.x:2,S", ONE)], [("new/2.x", "permission denied")], False)


def test_one_file_is_read(tmp_path: Path) -> None:
    """An mbox or one message."""
    (tmp_path / "m").write_bytes(ONE)
    (tmp_path / "b").write_bytes(FROM + ONE)

    assert read(tmp_path / "m").letters == [OwnMail("m", ONE)]
    assert read(tmp_path / "b").letters == [OwnMail("b#1", ONE)]


def test_where_there_is_no_mail_that_is_said(tmp_path: Path) -> None:
    """With what was found instead."""
    with pytest.raises(NoMail, match="holds no mail message: name a folder"):
        read(tmp_path)
    (tmp_path / "notes").write_bytes(b"x\n")
    with pytest.raises(NoMail, match=r"holds no mail message \(notes: does not begin"):
        read(tmp_path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")


def test_of_many_some_are_taken_from_everywhere(tmp_path: Path) -> None:
    """Not the oldest ones only, and it is said that there are more."""
    for number in range(10):
        (tmp_path / f"{number}").write_bytes(b"A: %d\n\n" % number)
    found = read(tmp_path, Most(messages=3))

    assert ([letter.name for letter in found.letters], found.more) == (["0", "3", "6"], True)


def test_what_is_read_has_limits(tmp_path: Path) -> None:
    """In all and for each, in an mbox and as a file."""
    (tmp_path / "1").write_bytes(b"A: 1\n\n" + b"x" * 50)
    (tmp_path / "2").write_bytes(FROM + b"A: 1\n\n" + b"x" * 500 + b"\n\n" + FROM + ONE + b"\n" + FROM + ONE)
    (tmp_path / "3").write_bytes(b"A: 1\n\n" + b"x" * 500)
    found = read(tmp_path, Most(total=90, each=400))

    assert ([letter.name for letter in found.letters], found.more) == (["1", "2#2"], True)
    assert found.skipped == [("2#1", "is larger than 0 MiB")]


def test_what_names_no_recipient_gets_one() -> None:
    """And the rest of it stays as it is."""
    assert addressed(ONE) == ONE
    assert header.read(addressed(TWO).partition(b"\n\n")[0]).recipients == (SOMEBODY,)
    assert addressed(TWO).endswith(TWO)


def test_a_socket_among_the_messages(tmp_path: Path) -> None:
    """It is named, too."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        (tmp_path / "1").write_bytes(ONE)

        assert [name for name, _ in read(tmp_path).skipped] == ["s"]
