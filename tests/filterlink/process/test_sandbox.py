"""Demands on what is taken from a parser of what strangers sent: seen from inside, where it was taken."""

import ctypes
import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from filterlink.process import sandbox

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


def _called(name: str, *arguments: object) -> int:
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


def test_a_parser_sends_to_no_socket_by_its_path(tmp_path: Path) -> None:
    """One of a pair of datagram sockets may send to any other, without connect: /dev/log, systemd's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        assert parser(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b"line", str(tmp_path / "log"))) == "EPERM"


@pytest.mark.parametrize("abi", [5, sandbox._abi()])
def test_no_file_signals_another_process_for_a_parser(abi: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's owner gets a signal when there is something to read; Landlock knows of it from Linux 6.12 on."""
    monkeypatch.setattr(sandbox, "_abi", lambda: abi)
    with subprocess.Popen(["sleep", "60"]) as other:

        def work() -> None:
            ours, theirs = os.pipe()
            fcntl.fcntl(ours, fcntl.F_SETOWN, other.pid)
            fcntl.fcntl(ours, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC)
            os.write(theirs, b"x")

        assert parser(work) == "EPERM"
        said = parser(work), parser(lambda: fcntl.ioctl(os.pipe()[0], 0x8901, other.pid.to_bytes(4, sys.byteorder)))  # FIOSETOWN
        other.kill()
    assert said == ("EPERM", "EPERM")


def test_a_parser_has_no_privilege() -> None:
    """Also in an engine of root's, but to read what the account may not: where Landlock lets it."""

    def capabilities() -> str:
        data = (ctypes.c_uint32 * 6)()
        _called("capget", (ctypes.c_uint32 * 2)(0x20080522, 0), data)
        return " ".join(f"{word:x}" for word in data)

    had = inside(lambda: None, capabilities).startswith("f")
    assert parser(capabilities) == ("4 4 0 0 0 0" if had else "0 0 0 0 0 0")


def test_a_parser_stays_known_and_ends_with_its_parent() -> None:
    """Else it would outlive its helper: see orphans.py."""
    assert parser(lambda: _called("prctl", 1, 0, 0, 0)) == "EPERM"
    assert parser(lambda: _called("prctl", 1, signal.SIGKILL, 0, 0)) == "0"
    assert parser(lambda: _called("setrlimit", 10, (ctypes.c_uint64 * 2)(1, 1))) == "EPERM"
    assert parser(lambda: _called("syscall", 160, 10, (ctypes.c_uint64 * 2)(1, 1))) == "EPERM"


def test_a_parser_types_into_no_terminal_and_watches_no_folder(tmp_path: Path) -> None:
    """Its helper, started by hand, has a terminal."""
    ours, _ = os.openpty()
    assert parser(lambda: fcntl.ioctl(ours, termios.TIOCSTI, b"x")) == "EPERM"
    assert parser(lambda: _called("ioctl", ours, ctypes.c_ulong(termios.TIOCSTI | 1 << 32), b"x")) == "EPERM"
    assert parser(lambda: _called("inotify_init1", 0)) == "EPERM"


@pytest.mark.parametrize("number", [463, 466, 467, 469])
def test_a_parser_has_no_newer_call_for_the_same(number: int) -> None:
    """setxattrat, removexattrat, open_tree_attr, file_setattr: libseccomp may be older than the kernel."""
    assert parser(lambda: _called("syscall", number, -100, b"/", 0, 0, 0, 0)) == "EPERM"


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
from filterlink.helpers import spawn
from filterlink.process import sandbox
refused = {"landlock": "landlock_create_ruleset", "capset": "capset"}.get(sys.argv[1])
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
    spawn.spawn(["true"], spawn.HelperLimits(writable=("/tmp",)))
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
    assert "confined = true is not possible here: this kernel has no Landlock" in said
    assert "it goes on" in said


def test_without_capset() -> None:
    """The filter of our unit refuses it."""
    assert "it goes on" in without("capset")


def test_without_libseccomp() -> None:
    said = without("libseccomp")

    assert "['libseccomp.so.2 is not installed (apt-get install libseccomp2)" in said
    assert "it goes on" in said
