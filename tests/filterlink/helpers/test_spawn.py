"""Demands on how a helper's process begins: its limits, its account, its variables, and nothing of ours."""

import grp
import os
import pty
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from filterlink.config.settings import Filter
from filterlink.config.units import Seconds, Size
from filterlink.helpers import spawn as spawning
from filterlink.helpers.spawn import HelperLimits, environment, fault, spawn
from filterlink.process import sandbox


def said(script: str, limits: HelperLimits) -> str:
    process = spawn(["/bin/sh", "-c", script], limits)
    return process.communicate(timeout=20)[0].decode()


def status(limits: HelperLimits) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in said("cat /proc/self/status", limits).splitlines() if ":\t" in line)


def test_a_helper_leaves_no_core_file() -> None:
    """It would have mail in it."""
    assert said("ulimit -c; ulimit -Hc", HelperLimits()).split() == ["0", "0"]


def test_limits_are_those_of_the_settings() -> None:
    limits = HelperLimits.of(Filter(name="F", program="x", memory_limit=Size(100 << 20), cpu_limit=Seconds(7.2)))

    assert said("ulimit -v; ulimit -t; ulimit -Ht", limits).split() == [str(100 << 10), "8", "13"]
    assert said("ulimit -v; ulimit -t", HelperLimits()).split() == ["unlimited", "unlimited"]


def test_a_helper_that_takes_too_much_memory_is_refused_it() -> None:
    process = spawn([sys.executable, "-c", "x = bytearray(1 << 30)"], HelperLimits(memory=512 << 20))

    assert b"MemoryError" in process.communicate(timeout=20)[1]


def test_no_new_privileges() -> None:
    """Unless the settings allow them, for helpers that send mail or use sudo."""
    assert status(HelperLimits())["NoNewPrivs"] == "1"
    assert status(HelperLimits(new_privileges=True))["NoNewPrivs"] == "0"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another")
def test_another_account() -> None:
    found = status(HelperLimits(user="nobody"))
    uid = said("id -u nobody", HelperLimits()).strip()

    assert found["Uid"].split() == [uid] * 4
    assert set(found["Groups"].split()) <= set(said("id -G nobody", HelperLimits()).split())
    assert said("echo $USER:$LOGNAME", HelperLimits(user="nobody")).strip() == "nobody:nobody"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another")
def test_an_account_that_may_not_read_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not started, and the cure that is named is one; where there are access lists nobody is doubted."""
    base = tmp_path / "base"
    queue = tmp_path / "base/Queue"
    base.mkdir(mode=0o700)
    queue.mkdir(mode=0o750)
    monkeypatch.chdir(base)
    with pytest.raises(PermissionError, match="may not enter the base directory: chmod"):
        spawn(["true"], HelperLimits(user="nobody"))
    base.chmod(0o755)
    own = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
    with pytest.raises(PermissionError, match="user = nobody may not read messages: chgrp") as refused:
        spawn(["true"], HelperLimits(user="nobody"))
    assert f"chgrp -R {own} Queue" in str(refused.value)
    queue.chmod(0o755)  # it may enter, but the messages are not for it
    with pytest.raises(PermissionError, match="may not read messages"):
        spawn(["true"], HelperLimits(user="nobody"))

    subprocess.run(["sh", "-c", str(refused.value).partition(": ")[2]], check=True, timeout=10)
    (queue / "7.msg").touch(0o640)
    with spawn(["cat", "Queue/7.msg"], HelperLimits(user="nobody")) as process:
        assert process.wait(20) == 0


def test_an_account_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError, match="user = no-such-user: there is no such account"):
        spawn(["true"], HelperLimits(user="no-such-user"))


def test_the_environment_is_clean() -> None:
    """The usual variables, what the settings add, and nothing that the service manager told us."""
    ours = {"PATH": ":.:/bin:", "LC_TIME": "C", "TZ": "UTC", "NOTIFY_SOCKET": "@x", "http_proxy": "p", "SECRET": "s"}

    assert environment(ours, ()) == {"PATH": "/bin", "LC_TIME": "C", "TZ": "UTC"}
    assert environment(ours, ("http_proxy", "A=b=c", "ABSENT", "TZ=CET")) == {
        "PATH": "/bin",
        "LC_TIME": "C",
        "TZ": "CET",
        "http_proxy": "p",
        "A": "b=c",
    }


def test_what_makes_a_program_load_other_code_is_named_or_left_out() -> None:
    ours = {"PATH": "/bin", "LD_PRELOAD": "a.so", "LD_LIBRARY_PATH": "/a", "PYTHONPATH": "/a", "PERL5LIB": "/a", "ENQUEUER_BASE": "/a"}

    assert environment(ours, ()) == {"PATH": "/bin"}
    assert environment(ours, ("LD_LIBRARY_PATH", "PYTHONPATH=/b")) == {"PATH": "/bin", "LD_LIBRARY_PATH": "/a", "PYTHONPATH": "/b"}


def test_a_confined_helper_changes_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its messages it reads, and with it all programs that it runs."""
    if sandbox.no_landlock():
        pytest.skip(sandbox.no_landlock())
    monkeypatch.chdir(tmp_path)
    for folder in ("Queue", "mine", "tmp"):
        Path(folder).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", f"{tmp_path}/tmp")
    monkeypatch.setenv("TMPDIR", f"{tmp_path}/tmp")
    Path("Queue/1.msg").write_text("mail")
    limits = HelperLimits.of(Filter(name="F", program="x", confined=True, writable=("mine",)))

    assert said("cat Queue/1.msg; { echo x > Queue/1.msg; rm Queue/1.msg; } 2>/dev/null || echo no", limits) == "mailno\n"
    assert said("echo x > mine/a; cat mine/a; a=$(mktemp) && rm $a && echo temporary", limits) == "x\ntemporary\n"
    assert Path("Queue/1.msg").read_text() == "mail"


def test_a_confined_helper_whose_folder_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"writable: there is no folder {tmp_path}/no"):
        spawn(["true"], HelperLimits(writable=(f"{tmp_path}/no",)))


def test_a_helper_has_no_terminal() -> None:
    """It could type into ours (TIOCSTI), and root's shell would read that when the command has ended."""
    master, slave = pty.openpty()
    script = (
        "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from filterlink.helpers.spawn import spawn; "
        "print(spawn(['sh', '-c', '(: < /dev/tty) && echo it has one; echo done']).stdout.read().decode())"
    )
    try:
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, stdin=slave, capture_output=True, start_new_session=True, timeout=10, check=True)
    finally:
        os.close(slave)
        os.close(master)

    assert done.stdout.decode().split() == ["done"]


def test_nothing_of_ours_is_open() -> None:
    """Whatever we have open, also what is marked to be inherited: a helper has its three pipes."""
    with subprocess.Popen(["sleep", "0"], stdout=subprocess.PIPE):
        ours = os.open("/dev/null", os.O_RDONLY)
        os.set_inheritable(ours, True)
        assert said("ls /proc/self/fd", HelperLimits()).split() == ["0", "1", "2", "3"]  # 3: ls has the folder open
        os.close(ours)


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        (None, 0, "./helper: No such file or directory"),
        (b"#!/bin/sh\n", 0o644, "./helper: Permission denied: chmod +x ./helper"),
        (b"#!/usr/bin/nosuchperl\n", 0o755, "./helper: No such file or directory: the interpreter that its first line names is not there"),
        (b"read line\n", 0o755, "./helper: Exec format error: a script must begin with a line that names its interpreter, e.g. #!/bin/sh"),
    ],
)
def test_why_it_could_not_be_started(text: bytes | None, mode: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without numbers, and with the cure."""
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("helper").write_bytes(text)
        Path("helper").chmod(mode)
    with pytest.raises(OSError, match="helper") as caught:
        spawn(["./helper"])

    assert fault(caught.value) == told


def _refuse(*_: object) -> None:
    """The kernel takes each limit that can be written, so it has to be played that it does not."""
    raise ValueError("not allowed")


def test_limits_that_cannot_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Are told as a program that cannot be started, so that the filter is failed and no message passes."""
    monkeypatch.setattr(spawning, "restrain", _refuse)
    with pytest.raises(OSError, match="its limits cannot be set") as raised:
        spawn(["true"], HelperLimits(memory=1 << 30))
    assert fault(raised.value) == "its limits cannot be set"
