"""The base directory: made once and whole, found by the documented order, and never mistaken for another folder."""

import os
import re
import shutil
import stat
from pathlib import Path

import pytest

from enqueuer import basedir
from enqueuer.config import schema
from enqueuer.queue.directory import format


def test_create_makes_all_and_a_config_that_loads(tmp_path: Path) -> None:
    """What init makes can be run at once."""
    base = tmp_path / "new" / "base"

    assert basedir.create(base)
    assert basedir.is_base(base)
    assert all((base / folder).is_dir() for folder in (*basedir.FOLDERS, "Outbound/OUT"))
    assert stat.S_IMODE((base / "Submitted/.taken").stat().st_mode) == 0o700
    assert schema.load((base / basedir.CONFIG).read_bytes()).routes


def test_create_is_idempotent_and_never_overwrites(tmp_path: Path) -> None:
    """A second init changes nothing, and completes what a first left half."""
    basedir.create(tmp_path)
    (tmp_path / basedir.CONFIG).write_text("# mine")
    (tmp_path / "Queue/1.msg").write_text("mail")
    (tmp_path / "Bad").rmdir()

    assert basedir.create(tmp_path)
    assert not basedir.create(tmp_path)
    assert (tmp_path / basedir.CONFIG).read_text() == "# mine"
    assert (tmp_path / "Queue/1.msg").read_text() == "mail"
    assert (tmp_path / "Bad").is_dir()


def test_a_fresh_filesystem_counts_as_empty(tmp_path: Path) -> None:
    """mkfs leaves a lost+found."""
    (tmp_path / "lost+found").mkdir()

    assert basedir.create(tmp_path)


def test_create_refuses_a_folder_with_other_things(tmp_path: Path) -> None:
    """A mistyped path must not spread a spool over somebody's home."""
    (tmp_path / "letter.txt").write_text("")

    with pytest.raises(basedir.BaseDirError, match=r"letter\.txt"):
        basedir.create(tmp_path)
    assert os.listdir(tmp_path) == ["letter.txt"]


def test_find_goes_by_the_documented_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--base, then $ENQUEUER_BASE, then ./spool if it is one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ENQUEUER_BASE", raising=False)
    for name in ("given", "named", "spool"):
        basedir.create(tmp_path / name)

    assert basedir.find(None) == tmp_path / "spool"
    monkeypatch.setenv("ENQUEUER_BASE", "named")
    assert basedir.find(None) == tmp_path / "named"
    assert basedir.find("given") == tmp_path / "given"


@pytest.mark.parametrize("folder", [".", "spool", "spool/Settings"])
@pytest.mark.parametrize("mode", [0o775, 0o757, 0o1777])
def test_a_spool_where_others_may_write_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: str, mode: int
) -> None:
    """In /tmp it may be anyone's, with programs of his. One line says why, and how to take it all the same."""
    here = tmp_path / "here"
    other = tmp_path / "other"
    here.mkdir()
    basedir.create(here / "spool")
    (here / folder).chmod(mode)
    monkeypatch.chdir(here)
    monkeypatch.delenv("ENQUEUER_BASE", raising=False)
    monkeypatch.setattr(basedir, "DEFAULT_BASE", str(other))
    told = re.escape(f"./spool is not used, because other accounts may write to {here / folder}; to use it: --base ./spool")

    with pytest.raises(basedir.BaseDirError, match=f"^{told}$"):
        basedir.find(None)
    basedir.create(other)
    assert basedir.find(None) == other
    assert re.fullmatch(f"enqueuer: {told}\n", capsys.readouterr().err)
    assert basedir.find("./spool") == here / "spool"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder to another")
@pytest.mark.parametrize("folder", [".", "spool", "spool/Settings"])
def test_a_spool_of_another_account_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    basedir.create(tmp_path / "spool")
    os.chown(tmp_path / folder, 54321, 54321)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ENQUEUER_BASE", raising=False)
    monkeypatch.setattr(basedir, "DEFAULT_BASE", str(tmp_path / "none"))

    with pytest.raises(basedir.BaseDirError, match=r"belongs to the account 54321; to use it: --base \./spool"):
        basedir.find(None)


def test_a_spool_that_is_a_link_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    basedir.create(tmp_path / "elsewhere")
    (tmp_path / "spool").symlink_to("elsewhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ENQUEUER_BASE", raising=False)
    monkeypatch.setattr(basedir, "DEFAULT_BASE", str(tmp_path / "none"))

    with pytest.raises(basedir.BaseDirError, match="spool is a symbolic link; to use it"):
        basedir.find(None)


@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_replace_goes_through_no_link(tmp_path: Path, link: str) -> None:
    """What stands under the other name is replaced, not written to."""
    (tmp_path / "other").write_text("other")
    new = tmp_path / "file.new"
    new.symlink_to("other") if link == "symbolic" else new.hardlink_to(tmp_path / "other")
    basedir.replace(tmp_path / "file", b"text")

    assert ((tmp_path / "file").read_text(), (tmp_path / "other").read_text()) == ("text", "other")
    assert sorted(os.listdir(tmp_path)) == ["file", "other"]


def test_find_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A named folder that is no base directory is never passed over in silence."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spool").mkdir()

    with pytest.raises(basedir.BaseDirError, match=f"enqueuer init {tmp_path}/spool"):
        basedir.find("spool")


def test_a_base_directory_without_its_config_file_is_one(tmp_path: Path) -> None:
    """Whose config file is gone sees the engine and can stop it, and is not told to make a base directory."""
    basedir.create(tmp_path)
    (tmp_path / basedir.CONFIG).unlink()

    assert basedir.find(str(tmp_path)) == tmp_path


def test_a_file_is_no_base_directory(tmp_path: Path) -> None:
    """A file in the place of the folder, or in the way to it, is named as what it is."""
    (tmp_path / "file").write_text("")

    with pytest.raises(basedir.BaseDirError, match="is not a folder"):
        basedir.find(str(tmp_path / "file"))
    for name in ("file", "file/base"):
        with pytest.raises(basedir.BaseDirError, match="a file has this name"):
            basedir.create(tmp_path / name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder to another")
@pytest.mark.parametrize("kind", ["folder", "link", "link to nothing"])
def test_a_taken_of_another_account_is_moved_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Made by an account that may drop mail, when a cleaner had removed ours: it would have the mail of all."""
    basedir.create(tmp_path / "base")
    monkeypatch.chdir(tmp_path / "base")
    taken = Path("Submitted/.taken")
    assert basedir.make_again([]) == []
    taken.rmdir()
    if kind == "folder":
        taken.mkdir()
        os.chown(taken, 65534, 65534)
    else:
        if kind == "link":
            (tmp_path / "theirs").mkdir()
        taken.symlink_to(tmp_path / "theirs")
        os.chown(taken, 65534, 65534, follow_symlinks=False)

    assert basedir.make_again([]) == ["Submitted/.taken"]
    assert not taken.is_symlink()
    assert (taken.stat().st_uid, stat.S_IMODE(taken.stat().st_mode)) == (0, 0o700)


def test_make_modules_makes_queues_only(tmp_path: Path) -> None:
    """A module's folder is made once, and no name leads out of Outbound."""
    basedir.create(tmp_path)

    assert basedir.make_modules(tmp_path, ["SMTP", "OUT"])
    assert not basedir.make_modules(tmp_path, ["SMTP", "../X"])
    assert sorted(os.listdir(tmp_path / "Outbound")) == ["OUT", "SMTP"]


def test_init_gives_a_new_base_directory_the_newest_format(tmp_path: Path) -> None:
    """It leaves the number of an older one alone: the start of an engine converts it. It refuses a newer one, and makes nothing."""
    basedir.create(tmp_path)
    number = tmp_path / "Queue/.format"
    assert number.read_text() == f"{format.FORMAT}\n"

    number.unlink()
    (tmp_path / "Incoming").rmdir()
    basedir.create(tmp_path)
    assert not number.exists()

    number.write_text(f"{format.FORMAT + 1}\n")
    (tmp_path / "Staged").rmdir()
    with pytest.raises(format.FormatError, match=r"Queue/\.format says format"):
        basedir.create(tmp_path)
    assert not (tmp_path / "Staged").exists()


def test_a_queue_folder_that_is_made_again_has_its_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    basedir.create(tmp_path)
    monkeypatch.chdir(tmp_path)
    shutil.rmtree("Queue")

    assert basedir.make_again(()) == ["Queue"]
    assert format.read() == format.FORMAT
