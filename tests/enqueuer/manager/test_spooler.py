"""Demands on the drop folder of a running engine: whatever lies there, nothing is lost and the rest goes on."""

import contextlib
import errno
import json
import os
import pwd
import random
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enqueuer import basedir
from enqueuer.config.schema import load
from enqueuer.lab.trial import Trial, signal_all
from enqueuer.manager import denied
from enqueuer.manager.schedule import Schedule
from enqueuer.manager.spooler import CLAIMS_A_TURN, WINDOW, Spooler
from enqueuer.policy.lanes import Lanes
from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.ids import IdsFile
from enqueuer.queue.directory.intake import Candidate, Claim, Intake
from enqueuer.queue.directory.messagestore import DirectoryStore
from filterlink.wire.loop import Loop
from tests.storm import writers

Make = Callable[..., bytes]
Config = Callable[..., str]
Trials = Callable[[str], Trial]


def _hostile(folder: bytes, mail: bytes) -> None:
    """One of everything that a drop folder should not hold."""
    os.symlink("/etc/passwd", folder + b"/link.eml")
    os.mkdir(folder + b"/folder.eml")
    os.mkfifo(folder + b"/fifo.eml")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(folder + b"/sock.eml")
    for name, data in (
        (b"empty.eml", b""),
        (b"binary.eml", os.urandom(5000)),
        (b"new\nline.eml", mail),
        (b"\xff\xfe.eml", mail),
        (b"-rf.eml", mail),
        (b"x" * 251 + b".eml", mail),
        (b"same.eml", b"no recipient\n"),
        (b"same.sub", b"no recipient either\n"),
    ):
        with open(folder + b"/" + name, "wb") as file:
            file.write(data)


def test_a_hostile_folder(trials: Trials, config: Config, mail: Make) -> None:
    """Odd names are taken like any other; what can't be mail is renamed to .bad with the reason; the rest goes on."""
    with trials(config()) as trial:
        folder = os.fsencode(trial.base / "Submitted")
        _hostile(folder, mail("odd"))
        trial.drop("good", mail("good"))
        trial.wait(lambda: len(trial.outbound()) == 5, "the odd and the good ones are enqueued")
        trial.wait(lambda: trial.status()["totals"]["refused"] == 8, "the others are refused")
        names = sorted(os.listdir(folder))

    bad = {b"link", b"folder", b"fifo", b"sock", b"empty", b"binary", b"same", b"same-2"}
    assert set(names) == {b".taken"} | {name + tail for name in bad for tail in (b".bad", b".bad.why")}
    reasons = {name: json.loads(Path(os.fsdecode(folder + b"/" + name + b".bad.why")).read_text())["reason"] for name in bad}
    assert "symbolic link" in reasons[b"link"]
    assert os.readlink(folder + b"/link.bad") == b"/etc/passwd"
    log = trial.log()
    assert "new\\nline.eml" in log
    assert "\\xff\\xfe.eml" in log


def test_a_burst_with_removals(trials: Trials, config: Config, mail: Make) -> None:
    """Names that vanish between the look and the claim are no error."""
    with trials(config()) as trial:
        for n in range(300):
            trial.drop(str(n), mail(str(n)))
            if n % 3 == 0:
                with contextlib.suppress(FileNotFoundError):
                    (trial.base / f"Submitted/{n}.eml").unlink()
        trial.wait(lambda: trial.status()["spool"]["waiting"] == 0 == trial.status()["queue"]["waiting"], "all is taken")
        trial.wait(lambda: len(trial.outbound()) >= 200, "the others are enqueued")
        assert trial.status()["totals"]["refused"] == 0


def test_without_the_watcher_all_is_found(trials: Trials, config: Config, mail: Make) -> None:
    """Events are hints: with the watcher stopped, the rescan finds everything."""
    with trials(config(more='[spool]\nrescan = "500ms"')) as trial:
        trial.wait(lambda: trial.pids("watcher"), "the watcher is there")
        signal_all(trial.pids("watcher"), 19)
        trial.drop("a", mail("a"))
        trial.wait(lambda: len(trial.outbound()) == 1, "it is enqueued", 3)
        signal_all(trial.pids("watcher"), 18)


def test_a_drop_folder_made_anew(trials: Trials, config: Config, mail: Make) -> None:
    """Removed and made again by an administrator, it is watched and scanned again."""
    with trials(config(more='[spool]\nrescan = "1s"')) as trial:
        os.rename(trial.base / "Submitted", trial.base / "old")
        shutil.copytree(trial.base / "old", trial.base / "Submitted")
        trial.drop("a", mail("a"))
        trial.wait(lambda: len(trial.outbound()) == 1, "it is enqueued")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
def test_a_drop_of_another_user(trials: Trials, config: Config, mail: Make, tmp_path: Path) -> None:
    """Whoever may write into the folder may submit, with a plain cp."""
    nobody = pwd.getpwnam("nobody")
    (tmp_path / "mail").write_bytes(mail("theirs"))
    with trials(config()) as trial:
        (trial.base / "Submitted").chmod(0o777)
        target = trial.base / "Submitted/theirs.eml"
        with (tmp_path / "mail").open("rb") as source:
            script = f"umask 077; cat > '{target}'"
            os.chmod(trial.base, 0o755)
            for parent in list(trial.base.parents)[:-2]:
                parent.chmod(parent.stat().st_mode | 0o055)
            subprocess.run(["sh", "-c", script], stdin=source, user=nobody.pw_uid, group=nobody.pw_gid, check=True)
        trial.wait(lambda: len(trial.outbound()) == 1, "it is enqueued", 5)


PAUSED = ([4.0], [0.3] * 10, [4.0, 0.1], [0.2, 3.0], [0.0] * 5)
"""Pauses of writers, in seconds."""


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("setpriv") is None, reason="needs root to make a drop of another user")
def test_a_writer_of_another_account_that_pauses(trials: Trials, config: Config) -> None:
    """Only a file's owner, or CAP_LEASE, may ask the kernel who writes to it: without it a drop is whole or not yet there."""
    trial = trials(config())
    trial.prefix = UNLEASED
    with trial:
        plans = [writers.Plan(str(number), pauses) for number, pauses in enumerate(PAUSED)]
        writers.write_all(trial.base / "Submitted", plans, writers.NOBODY, 0.5, random.Random(1))
        writers.expect_whole(plans, trial.base / "Outbound/OUT", trial.wait, 30)


def test_a_writer_on_another_machine(trials: Trials, config: Config, tmp_path: Path) -> None:
    """On a shared filesystem neither leases nor events tell of it, whether it keeps its file open or opens it for each line."""
    with writers.shared(tmp_path / "shown", tmp_path / "base0"), trials(config(more='[spool]\nrescan = "500ms"')) as trial:
        plans = [writers.Plan(f"{number}-{keeps}", each, keeps_open=keeps) for number, each in enumerate(PAUSED) for keeps in (True, False)]
        writers.write_all(tmp_path / "shown/Submitted", plans, 0, 0.5, random.Random(1))
        writers.expect_whole(plans, tmp_path / "shown/Outbound/OUT", trial.wait, 30)
        trial.stop()


def test_what_cannot_be_looked_at_hides_nothing_else(trials: Trials, config: Config, mail: Make, tmp_path: Path) -> None:
    """Entries that answer EACCES, EIO and ESTALE (a user's FUSE mount below the drop folder): each kind is named, all else is taken."""
    with writers.shared(tmp_path / "shown", tmp_path / "base0"), trials(config(more='[spool]\nrescan = "200ms"')) as trial:
        for code in (errno.EACCES, errno.EIO, errno.ESTALE):
            for name in (f"errno-{code}.eml", f"errno-{code}.more.eml"):
                (tmp_path / "shown/Submitted" / name).write_bytes(mail("x"))
        trial.drop("a", mail("a"))
        trial.wait(trial.outbound, "it is enqueued", 30)
        log = trial.log()
        trial.stop()

    for code in (errno.EACCES, errno.EIO, errno.ESTALE):
        assert log.count(os.strerror(code)) == 1, log


@pytest.mark.parametrize("judge", ["2 OK", "1 REJECTED"])
def test_a_writer_that_goes_on_while_its_message_is_judged(trials: Trials, config: Config, mail: Make, judge: str) -> None:
    """Nothing of it is passed on; the drop is back where its writer left it, and is scanned as a whole when it has rested."""
    with trials(config()) as trial:
        taken = trial.base / "Submitted/.taken"
        trial.drop("a", mail("a", judge))
        trial.wait(lambda: any(task["state"] == "filter" for task in trial.status()["processors"]["tasks"]), "it is judged")
        with next(taken.iterdir()).open("ab") as file:
            file.write(b"the rest\n")
        trial.wait(lambda: "it is back in the drop folder" in trial.log(), "its drop is back")

        assert trial.outbound() == []
        assert trial.status()["totals"]["received"] == 0
        assert (trial.base / "Submitted/a.eml").read_bytes() == mail("a", judge) + b"the rest\n"
        (trial.base / "Submitted/a.eml").write_bytes(mail("a") + b"the rest\n")
        trial.wait(lambda: trial.status()["totals"]["enqueued"], "it is enqueued", 30)
        assert [path.read_bytes().endswith(mail("a") + b"the rest\n") for path in trial.outbound()] == [True]
        assert trial.status()["totals"]["received"] == 1


def _seconds_used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


ORDINARY = ("setpriv", "--bounding-set", "-fowner,-dac_override,-dac_read_search")
"""Who runs after this is an ordinary user to the files of others, even as root (whose Python no other account may be able to read)."""
UNLEASED = ("setpriv", "--bounding-set", "-fowner,-dac_override,-dac_read_search,-lease")
"""The same, as in a service without CAP_LEASE."""


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("setpriv") is None, reason="needs root to make a drop of another user")
@pytest.mark.parametrize("kind", ["sticky", "unwritable"])
def test_a_folder_that_lets_nobody_take_anything(trials: Trials, config: Config, mail: Make, kind: str) -> None:
    """A drop whose rename is denied stays, is named once a minute and tried after growing pauses; all goes on when it may."""
    trial = trials(config(more='[spool]\nrescan = "100ms"'))
    trial.prefix = ORDINARY
    folder = trial.base / "Submitted"
    nobody = pwd.getpwnam("nobody").pw_uid
    os.chown(folder, nobody, 0)
    folder.chmod(0o777)
    trial.start()
    folder.chmod(0o1777 if kind == "sticky" else 0o755)
    for name, data in (("good", mail("good")), ("empty", b"")):
        trial.drop(name, data)
        os.chown(folder / f"{name}.eml", nobody, 0)
        (folder / f"{name}.eml").chmod(0o644)
    trial.wait(lambda: "cannot be taken" in trial.log(), "it is said")
    (manager,) = trial.pids("queue manager")
    used = _seconds_used(manager)
    until = time.monotonic() + 7
    trial.wait(lambda: time.monotonic() > until, "time passes")

    assert _seconds_used(manager) - used < 0.7
    assert trial.log().count("cannot be taken") == 1
    assert trial.status()["spool"]["waiting"] == 2
    assert {path.name for path in folder.iterdir()} == {".taken", "good.eml", "empty.eml"}
    folder.chmod(0o777)
    trial.wait(lambda: len(trial.outbound()) == 1, "it is enqueued")
    trial.wait(lambda: trial.status()["totals"]["refused"] == 1, "the other is refused")
    assert trial.pids("queue manager") == [manager]


class _Bench:
    """A spooler on a real folder, with nobody who works on what it claims."""

    def __init__(self, base: Path, config: str) -> None:
        self.loop = Loop()
        self.disk = Disk()
        self.schedule = Schedule(Lanes(1 << 20, 0.5, 4))
        settings = load(config.encode())
        self.intake = Intake(self.disk, settings.spool.suffixes, settings.spool.max_size)
        self.spooler = Spooler(
            self.loop, DirectoryStore(self.disk, None, self.intake), self.intake, IdsFile(self.disk), self.schedule, settings, lambda: None
        )
        self.spooler.watched()
        self.longest = 0.0

    def pump(self, condition: Callable[[], bool], seconds: float) -> None:
        """Turn until it is so; remember the longest turn, in which nothing else would have been done."""
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, "still not so"
            begun = time.process_time()
            pause = self.spooler.pump()
            self.longest = max(self.longest, time.process_time() - begun)
            self.loop.turn(min(pause, 0.01))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Config) -> Iterator[_Bench]:
    basedir.create(tmp_path / "base")
    monkeypatch.chdir(tmp_path / "base")
    bench = _Bench(tmp_path / "base", config())
    yield bench
    bench.loop.close()
    bench.disk.close()


@pytest.mark.alone
def test_a_hundred_thousand_in_one_burst(bench: _Bench) -> None:
    """They are listed once, in slices that stop nobody for long; claims stay a window ahead, the oldest first."""
    Path("mail").write_bytes(b"To: b@b.example\n\n")
    for n in range(100_000):
        os.mknod(f"Submitted/{n:06}.eml")
    os.truncate("Submitted/000000.eml", 5)
    bench.pump(lambda: bench.spooler.unclaimed > 0, 20)

    assert bench.spooler.unclaimed == 100_000
    assert bench.longest < 0.25
    for n in range(2000):
        os.truncate(f"Submitted/{n:06}.eml", 5)
    bench.pump(lambda: len(bench.schedule) == WINDOW, 20)
    assert bench.longest < 0.25


@pytest.mark.alone
@pytest.mark.parametrize("hinted", [False, True])
def test_names_that_wait_are_listed_once(bench: _Bench, monkeypatch: pytest.MonkeyPatch, hinted: bool) -> None:
    """Without a hint the folder is read once for all of them; however many hints come, reading it anew takes a small part of the time."""
    names = 20_000
    claimed = 0
    looks = list[float]()
    listing = bench.intake.listing
    for n in range(names):
        os.mknod(f"Submitted/{n:06}.eml")
        os.truncate(f"Submitted/{n:06}.eml", 5)

    def counted() -> Iterator[list[Candidate]]:
        begun = time.monotonic()
        yield from listing()
        looks.append(time.monotonic() - begun)

    monkeypatch.setattr(bench.intake, "listing", counted)
    begun = time.monotonic()
    while claimed < names:  # slower than the spooler claims: its window is full, and it has time to look
        bench.spooler.pump()
        bench.loop.turn(0)
        for entry in filter(None, (bench.schedule.next() for _ in range(CLAIMS_A_TURN // 2))):
            bench.schedule.remove(entry)
            claimed += 1
        if hinted:
            bench.spooler.look()

    assert len(looks) == 1 or hinted
    assert sum(looks[1:]) < 0.1 * (time.monotonic() - begun)


@pytest.mark.alone
def test_a_start_lists_the_drop_folder_once(trials: Trials, config: Config, mail: Make, tmp_path: Path) -> None:
    """The first look waits for the watcher, or all that came meanwhile would be listed again."""
    strace = shutil.which("strace")
    output = tmp_path / "strace"
    if strace is None:
        pytest.skip("strace is not installed")
    trial = trials(config())
    names = 1500
    for n in range(names):
        trial.drop(str(n), mail(str(n)))
    trial.prefix = (strace, "-f", "--seccomp-bpf", "-e", "trace=openat", "-o", str(output))
    with trial:
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == names, "all are enqueued", 60)

    assert len(re.findall(r'"Submitted", \S*O_NONBLOCK\S*O_DIRECTORY', output.read_text(errors="replace"))) == 1


def test_large_drops_do_not_hide_small_ones(bench: _Bench) -> None:
    """While the lane of the large ones has no room, what comes for the other is still seen."""
    for n in range(WINDOW + 100):
        os.mknod(f"Submitted/{n}.eml")
        os.truncate(f"Submitted/{n}.eml", 2 << 20)
    bench.pump(lambda: len(bench.schedule) == WINDOW, 10)
    assert bench.spooler.unclaimed == 100
    Path("Submitted/small.eml").write_bytes(b"To: b@b.example\n\n")
    bench.spooler.look()

    bench.pump(lambda: bench.schedule.lane("waiting", large=False) == 1, 5)
    assert bench.spooler.unclaimed == 100


@pytest.mark.parametrize(("code", "tries", "seconds"), [(errno.EPERM, 20 * 3, 5), (errno.EMFILE, 4, 1.2)])
def test_what_cannot_be_taken_is_tried_seldom(
    bench: _Bench, monkeypatch: pytest.MonkeyPatch, code: int, tries: int, seconds: float
) -> None:
    """A denied drop after growing pauses, each for itself; where the machine has no room one drop a second, and then all at once."""
    tried: list[bytes] = []

    def denied(name: bytes, id: int) -> Claim:
        tried.append(name)
        raise OSError(code, os.strerror(code), name)

    for n in range(20):
        Path(f"Submitted/{n}.eml").write_bytes(b"To: b@b.example\n\n")
    with monkeypatch.context() as patch:
        patch.setattr(bench.intake, "claim", denied)
        until = time.monotonic() + 3
        while time.monotonic() < until:
            bench.spooler.look()
            bench.loop.turn(min(bench.spooler.pump(), 0.01))

    assert bench.spooler.unclaimed == 20
    assert 2 <= len(tried) <= tries
    bench.pump(lambda: len(bench.schedule) == 20, seconds)


@pytest.mark.alone
def test_a_flood_of_drops_that_can_be_no_mail(bench: _Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Each has its reason beside it; the log names the first hundred of a minute, then says that there are more."""
    for number in range(3000):
        os.symlink("/etc/passwd", f"Submitted/{number}.eml")
    bench.pump(lambda: len(os.listdir("Submitted")) == 6001 and not bench.spooler.unclaimed, 30)

    lines = [record for record in caplog.records if record.name == "SPOOL"]
    assert len(lines) == 101
    assert "the log does not name every refused drop" in lines[-1].getMessage()


@pytest.mark.alone
def test_a_flood_of_drops_that_cannot_be_taken(bench: _Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A line a minute, a bounded memory, and a small part of the time; what comes meanwhile is taken."""
    monkeypatch.setattr(denied, "MAX_DENIED", 1000)
    claim = bench.intake.claim
    tried = 0

    def some(name: bytes, id: int) -> Claim:
        nonlocal tried
        if name.startswith(b"good"):
            return claim(name, id)
        tried += 1
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), name)

    monkeypatch.setattr(bench.intake, "claim", some)
    for number in range(20_000):
        os.mknod(f"Submitted/{number}.eml")
    bench.pump(lambda: tried >= 20_000, 60)
    Path("Submitted/good.eml").write_bytes(b"To: b@b.example\n\n")
    bench.spooler.look()
    bench.pump(lambda: len(bench.schedule) == 1, 10)

    assert tried < 30_000
    assert bench.spooler.unclaimed == 20_000
    assert len([record for record in caplog.records if record.name == "SPOOL"]) == 1


def test_a_disk_that_cannot_be_looked_at_counts_as_full(
    bench: _Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An I/O error, or a stale handle, ends nothing: drops stay where they are until it answers again."""
    tried = 0

    def stale(_path: str) -> os.statvfs_result:
        nonlocal tried
        tried += 1
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    Path("Submitted/a.eml").write_bytes(b"To: b@b.example\n\n")
    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", stale)
        bench.pump(lambda: tried > 1, 5)
        assert (len(bench.schedule), bench.spooler.unclaimed) == (0, 1)
    bench.pump(lambda: len(bench.schedule) == 1, 5)

    lines = [record.getMessage() for record in caplog.records if record.name == "SPOOL"]
    assert lines == ["the engine cannot read how full the disk is (Stale file handle): drops stay where they are"]


def test_a_folder_that_cannot_be_read_is_tried_again(bench: _Bench) -> None:
    """Gone, and there again: it is found without a hint, and the memory of what waits is not lost meanwhile."""
    os.rename("Submitted", "old")
    bench.pump(lambda: "look" in bench.spooler._complaints._kinds, 5)
    os.rename("old", "Submitted")
    Path("Submitted/a.eml").write_bytes(b"To: b@b.example\n\n")

    bench.pump(lambda: len(bench.schedule) == 1, 5)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to make a drop of another user")
def test_the_dropper_is_in_the_log_and_in_the_envelope(trials: Trials, config: Config, mail: Make) -> None:
    """Of another account than the engine's; `queue show` says whose a message is. The envelope keeps its five lines."""
    with trials(config()) as trial:
        for name, owner in (("theirs", 4242), ("ours", 0)):
            (trial.base / f"Submitted/{name}.tmp").write_bytes(mail(name))
            os.chown(trial.base / f"Submitted/{name}.tmp", owner, owner)
            (trial.base / f"Submitted/{name}.tmp").rename(trial.base / f"Submitted/{name}.eml")
        trial.wait(lambda: len(trial.outbound()) == 2, "both are enqueued")
        trial.wait(lambda: trial.log().count("QUEUE([") >= 4, "the log has them")
        found = [path.read_bytes().partition(b"\n\n")[0] for path in trial.outbound()]

    assert re.search(r"bytes, theirs\.eml, uid 4242$", trial.log(), re.MULTILINE)
    assert re.search(r"bytes, ours\.eml$", trial.log(), re.MULTILINE)
    assert sorted(re.findall(rb"^A \S+(.*)$", head, re.MULTILINE)[0] for head in found) == [b"", b" uid=4242"]
    assert [head.count(b"\n") for head in found] == [4, 4]
