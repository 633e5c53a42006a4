"""Demands on the drop folder: only what is complete and plain is taken, everything else says why or is left alone."""

import fcntl
import json
import mmap
import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
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
    assert os.path.exists(b"Submitted/" + (bad or b"none"))
    assert os.path.exists(b"Submitted/" + (bad or b"none") + b".why")


def test_names_are_printed_in_one_line() -> None:
    assert intakes.printable(b"\xff\na\x1b.eml") == "\\xff\\na\\x1b.eml"


def test_a_mapping_for_writing_counts_as_open(intake: Intake) -> None:
    """A writer that has closed the file and goes on writing into a mapping of it is not done."""
    name = _drop("a.eml")
    with open("Submitted/a.eml", "r+b") as file:
        mapping = mmap.mmap(file.fileno(), 0)
    assert intake.claim(name, 7) == "later"
    mapping.close()

    assert intake.claim(name, 8) == "taken"


def test_a_writers_lease_is_no_error(intake: Intake) -> None:
    """Who holds a write lease on a drop has it open; we neither wait for the lease to break nor complain."""
    name = _drop("a.eml")
    with open("Submitted/a.eml", "rb") as file:
        fcntl.fcntl(file.fileno(), fcntl.F_SETLEASE, fcntl.F_WRLCK)
        assert intake.claim(name, 7) == "later"

    assert intake.claim(name, 8) == "taken"


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to make a device node")
def test_a_device_is_refused_unopened(intake: Intake) -> None:
    """Opening a device does things (a tape rewinds, a watchdog starts): 255:255 has no driver, and would fail to open."""
    os.mknod("Submitted/dev.eml", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod("Submitted/none.eml", 0o600 | stat.S_IFBLK, os.makedev(255, 255))
    for name in (b"dev.eml", b"none.eml"):
        with pytest.raises(Refusal, match="a device"):
            intake.claim(name, 7)


def test_a_fifo_is_refused_unopened(intake: Intake) -> None:
    """Whoever waits to write into it is not woken for nothing."""
    os.mkfifo("Submitted/fifo.eml")
    writer = subprocess.Popen(["sh", "-c", "echo > Submitted/fifo.eml"])
    try:
        with pytest.raises(Refusal, match="a FIFO"):
            intake.claim(b"fifo.eml", 7)
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()


def test_ten_sparse_gigabytes_are_refused_unread(intake: Intake) -> None:
    name = _drop("a.eml")
    os.truncate("Submitted/a.eml", 10 << 30)

    with pytest.raises(Refusal, match="10737418240 bytes are more than max_size"):
        intake.claim(name, 7)


def _swap(intake: Intake, monkeypatch: pytest.MonkeyPatch, trick: Callable[[], object]) -> None:
    """Do something in the instant between the look at a drop and its rename."""
    rename = os.rename

    def tricked(source: bytes, target: bytes) -> None:
        monkeypatch.setattr(os, "rename", rename)
        trick()
        rename(source, target)

    monkeypatch.setattr(os, "rename", tricked)


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_what_was_not_looked_at_is_not_taken(intake: Intake, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A name that becomes another file's between look and rename is given back, even where the first one lives on elsewhere."""
    name = _drop("a.eml")

    def trick() -> None:
        os.rename("Submitted/a.eml", "Submitted/elsewhere")
        if kind == "file":
            _drop("a.eml", b"x" * 5000)  # more than max_size
        elif kind == "link":
            os.symlink("/etc/passwd", "Submitted/a.eml")
        else:
            os.mkdir("Submitted/a.eml")

    _swap(intake, monkeypatch, trick)

    assert intake.claim(name, 7) == "later"
    assert os.listdir("Submitted/.taken") == []
    with pytest.raises(Refusal):
        intake.claim(name, 8)


def test_a_name_used_again_while_a_claim_is_undone(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given back goes beside whatever has the name now: both are there, neither is lost in .taken."""
    name = _drop("a.eml")

    def again(fd: int, target: bytes, was: os.stat_result, leased: bool | None) -> bool:
        _drop("a.eml", b"another")
        return False

    monkeypatch.setattr(intakes, "_untouched", again)
    assert intake.claim(name, 7) == "later"

    assert Path("Submitted/a.eml").read_bytes() == b"another"
    assert Path("Submitted/7.a.eml").read_bytes() == MAIL
    assert os.listdir("Submitted/.taken") == []


def test_a_writer_that_comes_between_gets_its_file_back(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open for writing waits for our lease: the claim is undone, and the file is there when it has been written."""
    name = _drop("a.eml")
    writers: list[subprocess.Popen[bytes]] = []

    def trick() -> None:
        writers.append(subprocess.Popen([sys.executable, "-c", "open('Submitted/a.eml', 'ab').write(b'more')"]))
        while fcntl.fcntl(leased[0], fcntl.F_GETLEASE) == fcntl.F_RDLCK:
            pass

    leased: list[int] = []
    lease = intakes._lease

    def watched(fd: int) -> bool | None:
        leased.append(fd)
        return lease(fd)

    monkeypatch.setattr(intakes, "_lease", watched)
    _swap(intake, monkeypatch, trick)

    assert intake.claim(name, 7) == "later"
    assert writers[0].wait() == 0
    assert intake.claim(name, 8) == "taken"
    assert Path("Submitted/.taken/8.a.eml").read_bytes() == MAIL + b"more"


def test_a_drop_that_vanishes_before_the_rename_is_no_error(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    name = _drop("a.eml")
    _swap(intake, monkeypatch, lambda: os.unlink("Submitted/a.eml"))

    assert intake.claim(name, 7) == "gone"


def test_without_leases_a_wrong_clock_delays_nothing_for_ever(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file from the future (`cp -p`, a clock set back) counts as complete once it has not changed for a second of ours."""
    name = _drop("a.eml")
    os.utime("Submitted/a.eml", (4e9, 4e9))
    monkeypatch.setattr(intakes, "_lease", lambda _fd: None)

    assert intake.claim(name, 7) == "later"
    monkeypatch.setattr(intakes, "QUIET", 0.0)
    assert intake.claim(name, 7) == "taken"


def test_a_refusal_that_cannot_be_leaves_nothing(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the rename is denied (a sticky folder), no reason is left lying about, however often it is tried."""

    def denied(source: str, target: str) -> None:
        raise PermissionError(1, "Operation not permitted", source, None, target)

    name = _drop("a.eml")
    monkeypatch.setattr(intake.disk, "rename_new", denied)
    for _ in range(3):
        with pytest.raises(PermissionError):
            intake.refuse(b"Submitted/a.eml", name, "reason")

    assert sorted(os.listdir("Submitted")) == [".taken", "a.eml"]


def test_a_refused_drop_that_has_gone_is_no_refusal(intake: Intake) -> None:
    assert intake.refuse(b"Submitted/a.eml", b"a.eml", "reason") is None
    assert os.listdir("Submitted") == [".taken"]


def test_a_name_that_is_refused_all_the_time(intake: Intake) -> None:
    """The hundredth of one name costs no more than the tenth: it is numbered by time."""
    bad = [intake.refuse(b"Submitted/" + _drop("a.eml"), b"a.eml", "reason") or b"" for _ in range(15)]

    assert bad[8] == b"a-9.bad"
    assert all(re.fullmatch(rb"a-\d{19}\.bad", name) for name in bad[9:])
    assert len(set(bad)) == 15


def test_what_is_remembered_of_a_name_goes_with_it(intake: Intake) -> None:
    """A folder that sees millions of names costs no memory for those that have gone."""
    for n in range(20):
        assert intake.claim(_drop(f"{n}.eml", b""), 7) == "later"
        os.unlink(f"Submitted/{n}.eml")
    assert len(intake._seen) == 20
    assert _names(intake) == []

    assert intake._seen == {}
