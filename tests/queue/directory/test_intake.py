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

from enqueuer.manager.backlog import Backlog
from enqueuer.queue.directory import disk as disks
from enqueuer.queue.directory import intake as intakes
from enqueuer.queue.directory import rest
from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.intake import Intake, Refusal

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
    assert intake.ignored == {"its name does not end in .sub or .eml": (1, b"f")}


def test_a_file_that_was_not_renamed_for_long_counts_as_never_taken(intake: Intake) -> None:
    """Before that, its writer may still write it."""
    for name in ("c.tmp", ".e.eml", "d.bad"):
        _drop(name)
    assert (_names(intake), intake.ignored) == ([], {})
    for name in ("c.tmp", ".e.eml", "d.bad"):
        os.utime(f"Submitted/{name}", (1, 1))

    assert _names(intake) == []
    assert intake.ignored == {
        "its name does not end in .sub or .eml": (1, b"c.tmp"),
        "its name begins with a dot": (1, b".e.eml"),
    }


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
    monkeypatch.setattr(rest, "PATIENCE", 0.0)
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


class _Clock:
    """Our own clock, for who waits by it; the files' is what the test says, too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    return _Clock(monkeypatch)


@pytest.fixture
def unleased(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> Intake:
    """Where no lease can be had, as of the file of another account."""
    monkeypatch.setattr(intakes, "_lease", lambda _fd: None)
    return intake


@pytest.mark.parametrize("date", [4e9, 1.0, None])
def test_without_leases_a_drop_rests_by_our_clock(unleased: Intake, clock: _Clock, date: float | None) -> None:
    """Whatever date the file bears: from the future (a clock set back), from 1970 (another machine's clock), or from now."""
    name = _drop("a.eml")
    if date is not None:
        os.utime("Submitted/a.eml", (date, date))

    assert unleased.claim(name, 7) == "later"
    clock.now += rest.REST - 0.1
    assert unleased.claim(name, 7) == "later"
    clock.now += 0.2
    assert unleased.claim(name, 7) == "taken"


def test_a_drop_rests_for_longer_than_its_writer_pauses(unleased: Intake, clock: _Clock) -> None:
    """Three times the longest pause that was seen, two minutes at most."""
    name = _drop("a.eml")
    pauses = (8.0, 1.0)
    assert unleased.claim(name, 7) == "later"
    for pause in pauses:
        clock.now += pause
        _append("a.eml")
        assert unleased.claim(name, 7) == "later"
    clock.now += 3 * max(pauses) - 0.1
    assert unleased.claim(name, 7) == "later"
    clock.now += 0.2
    assert unleased.claim(name, 7) == "taken"

    name = _drop("b.eml")
    for _ in range(2):
        _append("b.eml")
        assert unleased.claim(name, 8) == "later"
        clock.now += 1000.0
    _append("b.eml")
    assert unleased.claim(name, 8) == "later"
    clock.now += rest.MAX_REST
    assert unleased.claim(name, 8) == "taken"


def _append(name: str) -> None:
    with open(f"Submitted/{name}", "ab") as file:
        file.write(b"more\n")


def test_a_change_of_the_last_instant_is_seen(unleased: Intake, clock: _Clock) -> None:
    """It rests from then on, though there was no look meanwhile."""
    name = _drop("a.eml")
    assert unleased.claim(name, 7) == "later"
    clock.now += rest.REST + 1
    _append("a.eml")
    assert unleased.claim(name, 7) == "later"


def test_where_leases_mean_nothing_they_are_not_believed(intake: Intake, clock: _Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared filesystem gives leases of this machine; who writes on another one they do not tell."""
    monkeypatch.setattr(intake, "_leases", False)
    name = _drop("a.eml")

    assert intake.claim(name, 7) == "later"
    clock.now += rest.REST
    assert intake.claim(name, 7) == "taken"


@pytest.mark.parametrize("leased", [True, False])
def test_a_drop_that_was_changed_after_it_was_taken_has_to_rest(
    intake: Intake, clock: _Clock, leased: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer opens and closes it again and again, or paused for longer than it rested: for three times as long then."""
    name = _drop("a.eml")
    pause = 5.0
    assert intake.claim(name, 7) == "taken"
    os.rename("Submitted/.taken/7.a.eml", "Submitted/a.eml")
    monkeypatch.setattr(intake, "_leases", leased)
    intake.changed(name, pause)

    assert intake.claim(name, 8) == "later"
    clock.now += rest.PAUSES * (pause if leased else rest.REST + pause) - 1
    assert intake.claim(name, 8) == "later"
    clock.now += 1
    assert intake.claim(name, 8) == "taken"
    assert intake.claimed == intake.disk.stamp("Submitted/.taken/8.a.eml")


def test_an_empty_file_of_which_nobody_tells_rests_before_it_is_refused(unleased: Intake, clock: _Clock) -> None:
    """A writer that thinks before its first line is no reason to refuse its drop."""
    name = _drop("a.eml", b"")
    assert unleased.claim(name, 7) == "later"
    clock.now += rest.REST - 1
    assert unleased.claim(name, 7) == "later"
    clock.now += 1
    with pytest.raises(Refusal, match="empty"):
        unleased.claim(name, 7)


def test_an_empty_file_that_is_open_for_writing_waits(intake: Intake, clock: _Clock) -> None:
    with open("Submitted/a.eml", "wb"):
        for _ in range(3):
            assert intake.claim(b"a.eml", 7) == "later"
            clock.now += rest.PATIENCE + 1


def test_what_rests_need_not_be_tried(unleased: Intake, clock: _Clock) -> None:
    """A listing shows that it is as it was; what was changed is tried at once."""
    name = _drop("a.eml")
    assert unleased.claim(name, 7) == "later"
    (candidate,) = next(unleased.listing())

    assert unleased.resting(candidate)
    clock.now += rest.REST
    assert not unleased.resting(candidate)
    _append("a.eml")
    clock.now -= rest.REST
    (candidate,) = next(unleased.listing())
    assert not unleased.resting(candidate)


def test_names_that_are_watched_are_bounded(unleased: Intake, clock: _Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those beyond it have their turn when the first are settled; none is taken unwatched."""
    monkeypatch.setattr(rest, "MAX_SEEN", 3)
    names = [_drop(f"{number}.eml") for number in range(5)]
    for wanted in (3, 2):
        assert {unleased.claim(name, 7) for name in names} == {"later"}
        assert len(unleased._rests.names()) == wanted
        clock.now += rest.REST
        assert [unleased.claim(name, 7 + number) for number, name in enumerate(names)].count("taken") == wanted
        names = names[wanted:]
    unleased.changed(b"x.eml", 0.0)
    assert len(unleased._rests.names()) == 1


@pytest.mark.parametrize("date", [-5, 1 << 34])
def test_a_drop_of_any_date_is_listed(intake: Intake, monkeypatch: pytest.MonkeyPatch, date: int) -> None:
    """Before 1970 or after 2262, as another machine's clock, or a broken filesystem, has it."""
    _drop("a.eml")
    real = os.scandir

    class Odd:
        name = b"a.eml"

        def stat(self, *, follow_symlinks: bool) -> os.stat_result:
            found = list(os.lstat("Submitted/a.eml"))
            return os.stat_result([*found[:7], date, date, date, float(date), float(date), float(date), *[date * 10**9] * 3])

    class Listing:
        def __enter__(self) -> list[Odd]:
            return [Odd()]

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(os, "scandir", lambda _path: Listing())
    found = next(intake.listing())
    monkeypatch.setattr(os, "scandir", real)
    backlog = Backlog()
    backlog.add(found)

    assert backlog.pop() == found[0]
    assert found[0].changed in (0, disks.MAX_TIME)


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
    assert len(intake._rests.names()) == 20
    assert _names(intake) == []

    assert intake._rests.names() == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for drops of other accounts")
@pytest.mark.parametrize(
    ("mode", "engine", "owner", "readers"),
    [
        (0o644, 0, 0, 0o644),
        (0o640, 0, 0, 0o640),
        (0o600, 0, 4242, 0o600),
        (0o000, 0, 4242, 0o600),
        (0o666, 0, 0, 0o644),
        (0o777, 0, 0, 0o644),
        (0o644, 4711, 4711, 0o644),
        (0o640, 4711, 4711, 0o600),
    ],
)
def test_a_reason_is_for_those_who_may_read_the_drop(intake: Intake, mode: int, engine: int, owner: int, readers: int) -> None:
    """The dropper may read why, as far as the engine's account can arrange that, and no other account may that cannot read the drop."""
    _drop("a.eml")
    os.chmod("Submitted/a.eml", mode)
    os.chown("Submitted/a.eml", 4242, 4243)
    os.chmod("Submitted", 0o777)
    before = os.umask(0o027)
    os.seteuid(engine)
    try:
        intake.refuse(b"Submitted/a.eml", b"a.eml", "no")
    finally:
        os.seteuid(0)
        os.umask(before)
    bad = os.stat("Submitted/a.bad")
    why = os.stat("Submitted/a.bad.why")

    assert (stat.S_IMODE(bad.st_mode), bad.st_uid) == (mode, 4242)
    assert (oct(stat.S_IMODE(why.st_mode)), why.st_uid) == (oct(readers), owner)
    assert why.st_gid == 4243 or readers != 0o640
