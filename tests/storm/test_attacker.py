"""Attack the drop folder from an account without rights: it must read nothing, and not disturb the mail of another account."""

import ctypes
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from enqueuer.lab.trial import Trial, signal_all
from tests.helpers.trace import bare
from tests.storm import accounts, weather

NORMAL = 4242
EVE = 4243
CANARY = "canary-5d1f"
PATIENCE = 60.0
P99 = 1.0
"""Seconds from the writing of a normal mail to its output: the limit for 99 of 100 mails."""
RATIO = 10.0
"""The p99 under attack must be below this many times the p99 without attack, or below NOISE."""
NOISE = 0.5
MS_NOSUID = 2
MS_NODEV = 4

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for accounts of its own"),
]


class Run(NamedTuple):
    sent: dict[str, str]
    """Return the normal mails: name and bytes."""
    p99: float


@pytest.fixture
def place() -> Iterator[Path]:
    """Make a folder that other accounts can reach, unlike the folders of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.mark.parametrize(
    ("mode", "seconds"),
    [
        pytest.param(0o3730, 5, id="short"),
        pytest.param(0o1733, 60, id="1733", marks=pytest.mark.storm),
        pytest.param(0o3730, 60, id="3730", marks=pytest.mark.storm),
    ],
)
def test_an_attacker_reads_nothing_and_disturbs_nothing(mode: int, seconds: int, place: Path) -> None:
    """No canary leaks; each normal mail comes out once and unchanged; 99 of 100 are as fast as without an attacker."""
    chance = weather.seeded("attacker")
    with Trial(place / "base", weather.config(place / "markers")) as trial:
        secrets = _prepare(trial, place, mode)
        calm = _run(trial, place, seconds)
        with _mounts(trial, place):
            attacker = _start("attack", trial, place / "eve", EVE, seconds, str(chance.random()))
            stormy = _run(trial, place, seconds)
            deeds = json.loads(attacker.communicate(timeout=PATIENCE)[0])
        trial.wait(lambda: trial.status()["queue"]["waiting"] + trial.status()["queue"]["active"] == 0, "all is decided", PATIENCE)
        assert attacker.returncode == 0
        assert deeds.get("canary", 0) == 0
        assert trial.status()["unaccounted"] == 0
        _expect_normal_mail(trial, calm.sent | stormy.sent)
        _expect_no_canary(trial, secrets)
        assert trial.stop() == 0
    assert not [line for line in trial.log().splitlines() if re.match(r"\S+ [01] ", line)]
    times = f"p99 {calm.p99 * 1000:.0f} ms alone, {stormy.p99 * 1000:.0f} ms beside"
    print(f"attacker, {oct(mode)}: {sum(deeds.values())} deeds; {times}: {deeds}")
    assert stormy.p99 < P99
    assert stormy.p99 < max(NOISE, RATIO * calm.p99)


def _prepare(trial: Trial, tmp_path: Path, mode: int) -> dict[Path, tuple[bytes, Any]]:
    """Open the way to the drop folder, and put canaries where only the engine may read. Return the states of these files."""
    submitted = trial.base / "Submitted"
    os.chown(submitted, 0, accounts.GROUP)
    submitted.chmod(mode)
    secret = trial.base / "secret"
    config = trial.base / "Settings/enqueuer.toml"
    secret.write_text(f"To: {CANARY}@x.example\n\n{CANARY}\n")
    secret.chmod(0o600)
    trial.configure(f"# {CANARY}\n{config.read_text()}")
    for name, user in (("normal", NORMAL), ("eve", EVE)):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, user, user)
    return {path: (path.read_bytes(), _kind(path)) for path in (secret, config, Path("/etc/shadow"), Path("/etc/passwd"))}


def _kind(path: Path) -> tuple[int, int, int, int]:
    found = path.lstat()
    return found.st_mode, found.st_uid, found.st_gid, found.st_nlink


def _start(role: str, trial: Trial, work: Path, user: int, seconds: int, seed: str) -> "subprocess.Popen[bytes]":
    words = (role, str(trial.base), str(work), str(user), str(seconds), seed)
    return subprocess.Popen([sys.executable, accounts.__file__, *words], stdout=subprocess.PIPE)


def _run(trial: Trial, tmp_path: Path, seconds: int) -> Run:
    """Let the normal dropper work, and wait until its mail is out."""
    path = tmp_path / "normal/sent"
    before = path.read_text().count("\n") if path.exists() else 0
    dropper = _start("drop", trial, tmp_path / "normal", NORMAL, seconds, "1")
    assert dropper.wait(seconds + PATIENCE) == 0
    assert dropper.stdout is not None
    dropper.stdout.close()
    sent = dict(map(json.loads, path.read_text().splitlines()[before:]))
    took: dict[str, float] = {}

    def all_out() -> bool:
        took.update(_times(trial, sent))
        return len(took) == len(sent)

    trial.wait(all_out, f"{len(sent)} normal mails are out", PATIENCE)
    times = sorted(took.values())
    return Run(sent, times[len(times) * 99 // 100])


def _outputs(trial: Trial) -> Iterator[tuple[Path, bytes, bytes]]:
    """Yield each output with its envelope and its message."""
    for path in trial.outbound():
        head, _, mail = path.read_bytes().partition(b"\n\n")
        yield path, head, bare(mail)


def _times(trial: Trial, sent: dict[str, str]) -> dict[str, float]:
    """Return the seconds from the writing of each mail to its rename into Outbound."""
    found = {}
    for path, _, mail in _outputs(trial):
        if match := re.search(rb"^Subject: (\w+)\nX-Sent: (\d+)$", mail, re.MULTILINE):
            name = match[1].decode()
            if name in sent:
                found[name] = (path.stat().st_ctime_ns - int(match[2])) / 1e9
    return found


def _expect_normal_mail(trial: Trial, sent: dict[str, str]) -> None:
    """Check that no mail is lost, duplicated or changed, and that each output names the right submitter."""
    came: list[bytes] = []
    for path, head, mail in _outputs(trial):
        uid = re.search(rb"^A \S+ uid=(\d+)$", head, re.MULTILINE)
        assert uid, path
        if int(uid[1]) == NORMAL:
            came.append(mail)
        else:
            assert int(uid[1]) == EVE
            assert b"X-Sent" not in mail
    assert sorted(came) == sorted(mail.encode() for mail in sent.values())


def _expect_no_canary(trial: Trial, secrets: dict[Path, tuple[bytes, Any]]) -> None:
    """Check that no output, reason or log has a canary, and that the files with canaries are unchanged."""
    assert {path: (path.read_bytes(), _kind(path)) for path in secrets} == secrets
    shadow = secrets[Path("/etc/shadow")][0].splitlines()[0]
    for path in _files(trial.base):
        if path in secrets or path.parts[-2] == "Run":
            continue
        data = path.read_bytes()
        assert CANARY.encode() not in data, path
        assert shadow not in data, path
        if path.parent.name == "Submitted" and b"X-Sent" in data:  # what is left here of normal mail is not for others
            found = path.lstat()
            assert found.st_uid == NORMAL
            assert not stat.S_IMODE(found.st_mode) & 0o077


def _files(base: Path) -> Iterator[Path]:
    """Yield all regular files below a folder, without the attacker's mounts and links."""
    with os.scandir(base) as entries:
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    yield Path(entry.path)
            except PermissionError:
                continue


@contextmanager
def _mounts(trial: Trial, tmp_path: Path) -> Iterator[None]:
    """Give the attacker the mounts that it could make with fusermount: FUSE that never answers, on a drop and in its own folder."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        yield
        return
    mounted = tmp_path / "eve/mounted/m"
    mounted.mkdir(parents=True)
    os.chown(mounted.parent, EVE, EVE)
    with ExitStack() as undo:
        undo.callback(_unmount, tmp_path)
        for place in (trial.base / "Submitted/fuse.eml", mounted):
            fd = os.open("/dev/fuse", os.O_RDWR)
            undo.callback(os.close, fd)
            signal_all(trial.pids("queue manager"), signal.SIGSTOP)  # it refuses a folder within a millisecond
            place.mkdir(exist_ok=True)
            _mount(place, fd)
            signal_all(trial.pids("queue manager"), signal.SIGCONT)
        yield


def _mount(place: Path, fd: int) -> None:
    options = f"fd={fd},rootmode=40000,user_id={EVE},group_id={EVE}".encode()
    if ctypes.CDLL(None, use_errno=True).mount(b"eve", os.fsencode(place), b"fuse", MS_NOSUID | MS_NODEV, options):
        raise OSError(ctypes.get_errno(), "mount", str(place))


def _unmount(tmp_path: Path) -> None:
    """Unmount these mounts, even if their folder has moved."""
    for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines():
        path = line.split()[1]
        if line.startswith("eve ") and path.startswith(str(tmp_path)):
            subprocess.run(["umount", "--lazy", path], check=False)
