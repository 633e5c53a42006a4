"""Demands on the drop folder: only what is complete and plain is taken, everything else says why or is left alone."""

import json
import os
import socket
import time
from pathlib import Path

import pytest

from enqueuer.queue import intake as intakes
from enqueuer.queue.disk import Disk
from enqueuer.queue.intake import Intake, Refusal

MAIL = b"To: b@b.example\n\nhello\n"


@pytest.fixture
def intake(disk: Disk) -> Intake:
    return Intake(disk, (".sub", ".eml"), 1000)


def _names(intake: Intake) -> list[bytes]:
    return [candidate.name for candidate in sorted(candidate for part in intake.listing() for candidate in part)]


def _drop(name: str | bytes, data: bytes = MAIL) -> bytes:
    path = os.path.join(b"Submitted", os.fsencode(name))
    with open(path, "wb") as file:
        file.write(data)
    return os.fsencode(name)


def test_listing_goes_by_suffix_only(intake: Intake) -> None:
    """Hidden names, .tmp, .bad and the rest are none of ours; any bytes may stand in a name."""
    for name in ("a.eml", "b.sub", "c.tmp", "d.bad", ".e.eml", "f", b"\xff\n g.eml"):
        _drop(name)

    assert sorted(_names(intake)) == [b"a.eml", b"b.sub", b"\xff\n g.eml"]


def test_the_oldest_comes_first_by_the_time_it_came_in(intake: Intake) -> None:
    """A rename into the folder sets that time, whatever date and name the file itself bears."""
    for name in ("z", "m", "a"):
        _drop(name + ".tmp")
    os.utime("Submitted/m.tmp", (1, 1))
    for name in ("m", "z", "a"):
        before = time.time_ns()
        while time.time_ns() - before < 8_000_000:  # longer than a tick of the filesystem's clock
            pass
        os.rename(f"Submitted/{name}.tmp", f"Submitted/{name}.eml")

    assert _names(intake) == [b"m.eml", b"z.eml", b"a.eml"]


def test_a_complete_drop_is_claimed(intake: Intake) -> None:
    name = _drop("a.eml")

    assert intake.claim(name, 7) == "taken"
    assert Path("Submitted/.taken/7.a.eml").read_bytes() == MAIL
    assert not Path("Submitted/a.eml").exists()


def test_a_drop_that_is_being_written_waits(intake: Intake) -> None:
    """A plain `cp` is never taken half: while somebody has the file open for writing, it stays."""
    with open("Submitted/a.eml", "wb") as writer:
        writer.write(MAIL)
        writer.flush()
        assert intake.claim(b"a.eml", 7) == "later"
        assert Path("Submitted/a.eml").exists()

    assert intake.claim(b"a.eml", 8) == "taken"


def test_a_drop_that_has_gone_is_no_error(intake: Intake) -> None:
    assert intake.claim(b"gone.eml", 7) == "gone"


def test_what_is_no_regular_file_is_refused(intake: Intake, tmp_path: Path) -> None:
    """Links, folders, FIFOs and sockets are refused by name, and never followed or waited for."""
    (tmp_path / "secret").write_bytes(MAIL)
    Path("Submitted/link.eml").symlink_to(tmp_path / "secret")
    Path("Submitted/folder.eml").mkdir()
    os.mkfifo("Submitted/fifo.eml")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("Submitted/sock.eml")
    for name, kind in (("link", "symbolic link"), ("folder", "folder"), ("fifo", "FIFO"), ("sock", "socket")):
        with pytest.raises(Refusal, match=kind):
            intake.claim(os.fsencode(name + ".eml"), 7)


def test_what_is_too_large_is_refused_before_any_copy(intake: Intake) -> None:
    name = _drop("a.eml", MAIL + b"x" * 1000)

    with pytest.raises(Refusal, match="max_size"):
        intake.claim(name, 7)


@pytest.mark.parametrize("kind", ["empty", "linked"])
def test_what_may_still_come_right_gets_patience(intake: Intake, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file made empty, or with `ln` and `rm`, gets some seconds; then it is refused with the reason."""
    name = _drop("a.eml", b"" if kind == "empty" else MAIL)
    if kind == "linked":
        os.link("Submitted/a.eml", "other")

    assert intake.claim(name, 7) == "later"
    monkeypatch.setattr(intakes, "PATIENCE", 0.0)
    with pytest.raises(Refusal, match=kind if kind == "empty" else "hard link"):
        intake.claim(name, 8)


def test_refused_drops_keep_their_name_and_tell_why(intake: Intake) -> None:
    """Two names that would become the same .bad are numbered; neither hides the other."""
    one = intake.refuse(b"Submitted/" + _drop("a.eml"), b"a.eml", "first")
    two = intake.refuse(b"Submitted/" + _drop("a.sub", b"two"), b"a.sub", "second")

    assert (one, two) == (b"a.bad", b"a-2.bad")
    assert Path("Submitted/a.bad").read_bytes() == MAIL
    assert Path("Submitted/a-2.bad").read_bytes() == b"two"
    assert json.loads(Path("Submitted/a.bad.why").read_text())["reason"] == "first"
    assert json.loads(Path("Submitted/a-2.bad.why").read_text())["reason"] == "second"


def test_names_of_any_bytes_and_any_length(intake: Intake) -> None:
    """255 bytes, newlines and bytes that are not UTF-8: claimed and refused like any other."""
    name = b"\xff\n-" + b"x" * 248 + b".eml"
    _drop(name)

    assert intake.claim(name, 1_700_000_000_000_000) == "taken"
    (taken,) = os.listdir(b"Submitted/.taken")
    assert len(taken) <= 255
    bad = intake.refuse(b"Submitted/.taken/" + taken, name, "no recipient")
    assert os.path.exists(b"Submitted/" + bad)
    assert os.path.exists(b"Submitted/" + bad + b".why")


def test_names_are_printed_in_one_line() -> None:
    assert intakes.printable(b"\xff\na\x1b.eml") == "\\xff\\na\\x1b.eml"
