"""Demands on the drop folder of a running engine: whatever lies there, nothing is lost and the rest goes on."""

import contextlib
import json
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.trial import Trial, signal_all

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
            for parent in list(trial.base.parents)[:3]:
                os.chmod(parent, 0o755)
            subprocess.run(["sh", "-c", script], stdin=source, user=nobody.pw_uid, group=nobody.pw_gid, check=True)
        trial.wait(lambda: len(trial.outbound()) == 1, "it is enqueued", 5)
