"""Demands on what is taken from a parser of what strangers sent: seen from inside, where it was taken."""

import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from filterlink import sandbox

pytestmark = pytest.mark.skipif(bool(sandbox.missing()), reason="; ".join(sandbox.missing()))


def inside(confine: Callable[[], None], work: Callable[[], object]) -> str:
    """What `work` gives in a child that is confined: its result, or the name of the error's number."""
    ours, childs = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "nothing"
        try:
            confine()
            said = str(work())
        except OSError as fault:
            said = errno.errorcode[fault.errno or 0]
        finally:
            os.write(childs, said.encode())
            os._exit(0)
    os.close(childs)
    with os.fdopen(ours, "rb") as file:
        said = file.read().decode()
    os.waitpid(pid, 0)
    return said


def parser(work: Callable[[], object]) -> str:
    return inside(lambda: sandbox.confine(sandbox.interpreter()), work)


def _called(name: str, *arguments: int) -> int:
    if ctypes.CDLL(None, use_errno=True)[name](*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)
    return 0


def test_a_parser_opens_no_file(tmp_path: Path) -> None:
    secret = tmp_path / "other.msg"
    secret.write_text("other mail")

    assert parser(secret.read_text) == "EACCES"
    assert parser(lambda: os.listdir(tmp_path)) == "EACCES"
    assert parser(lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes()) == "EACCES"
    assert parser((tmp_path / "new").touch) in ("EACCES", "EPERM")
    assert parser(lambda: secret.open("w")) in ("EACCES", "EPERM")
    assert parser(lambda: os.open(secret, os.O_RDONLY | os.O_TRUNC)) in ("EACCES", "EPERM")
    assert parser(secret.unlink) == "EACCES"
    assert parser(lambda: secret.rename(tmp_path / "there")) == "EACCES"
    assert parser(lambda: os.symlink("/", tmp_path / "link")) == "EACCES"
    assert secret.read_text() == "other mail"


def test_a_parser_changes_no_file(tmp_path: Path) -> None:
    """Landlock does not know these."""
    (tmp_path / "file").touch(0o600)

    assert parser(lambda: os.chmod(tmp_path / "file", 0o666)) == "EPERM"
    assert parser(lambda: os.chown(tmp_path / "file", 0, 0)) == "EPERM"
    assert parser(lambda: os.utime(tmp_path / "file")) == "EPERM"
    assert parser(lambda: os.setxattr(tmp_path / "file", "user.a", b"b")) == "EPERM"
    assert parser(lambda: os.truncate(tmp_path / "file", 0)) == "EPERM"


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK])
def test_a_parser_reaches_nobody(family: int) -> None:
    assert parser(lambda: socket.socket(family, socket.SOCK_DGRAM)) == "EPERM"


def test_a_parser_runs_no_program_and_touches_no_other_process() -> None:
    other = os.getpid()

    assert parser(lambda: os.execv(sys.executable, [sys.executable])) == "EPERM"
    assert parser(lambda: os.kill(other, signal.SIGCONT)) == "EPERM"
    assert parser(lambda: signal.pidfd_send_signal(os.pidfd_open(other), signal.SIGCONT)) == "EPERM"
    assert parser(lambda: _called("ptrace", 16, other, 0, 0)) == "EPERM"
    assert parser(lambda: os.setpgid(0, os.getpgid(other))) == "EPERM"
    assert parser(lambda: _called("unshare", 0x10000000)) == "EPERM"


def test_a_parser_still_does_its_work() -> None:
    """It forks, has threads and memory, and imports what comes with Python."""

    def work() -> str:
        done: list[str] = []
        thread = threading.Thread(target=lambda: done.append("thread"))
        thread.start()
        thread.join()
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        os.ftruncate(os.memfd_create("memory"), 1 << 20)
        import xml.dom.minidom  # noqa: F401

        return done[0]

    assert parser(work) == "thread"


def test_what_it_has_open_stays_open(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("my mail")
    with (tmp_path / "mail").open() as file:
        assert parser(file.read) == "my mail"


def test_a_confined_program_changes_files_in_its_folders_only(tmp_path: Path) -> None:
    """It is any program: run, and with the network as before."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "other").write_text("other")

    def confined(work: Callable[[], object]) -> str:
        return inside(lambda: sandbox.write_only_below([str(tmp_path / "mine")]), work)

    def written(name: str) -> int:
        return subprocess.run(["/bin/sh", "-c", f"echo text > {tmp_path / name}"], check=False, stderr=subprocess.DEVNULL).returncode

    assert confined(lambda: written("mine/file")) == "0"
    assert confined(lambda: written("other")) == "2"
    assert confined((tmp_path / "other").read_text) == "other"
    assert confined(lambda: subprocess.run(["/bin/sh", "-c", ": > /dev/null"], check=False).returncode) == "0"
    assert confined(lambda: socket.create_server(("127.0.0.1", 0)).getsockname()[0]) == "127.0.0.1"
    assert (tmp_path / "mine/file").read_text() == "text\n"


WITHOUT = """
import ctypes, sys
from filterlink import sandbox, spawn
refused = {"landlock": "landlock_create_ruleset"}.get(sys.argv[1])
if refused:  # as a container's filter, or an old kernel, refuses it
    ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
    library = sandbox._libseccomp()
    context = library.seccomp_init(sandbox._ALLOW)
    sandbox._refuse(library, context, refused)
    sandbox._loaded(library.seccomp_load(context))
else:
    sandbox.LIBSECCOMP = "libseccomp.so.none"
print(sandbox.missing())
try:
    spawn.spawn(["true"], spawn.Limits(writable=("/tmp",)))
except OSError as error:
    print(error)
sandbox.confine(sandbox.interpreter())
print("it goes on")
"""


def without(what: str) -> str:
    return subprocess.run([sys.executable, "-c", WITHOUT, what], capture_output=True, text=True, check=True, timeout=20).stdout


def test_without_landlock() -> None:
    """The parsers go on, and it is said; what an administrator has asked for does not start without it."""
    said = without("landlock")

    assert "['this kernel has no Landlock" in said
    assert "confined = true cannot be had: this kernel has no Landlock" in said
    assert "it goes on" in said


def test_without_libseccomp() -> None:
    said = without("libseccomp")

    assert "['libseccomp.so.2 is not there (apt-get install libseccomp2)" in said
    assert "it goes on" in said
