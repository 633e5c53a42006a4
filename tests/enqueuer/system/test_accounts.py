"""Nothing of root's is another account's: every command of root's, on the base directory of an account that plants traps in it."""

import contextlib
import itertools
import json
import os
import pwd
import select
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pytest
import typer.main

from enqueuer import basedir
from enqueuer.cli.app import app
from enqueuer.lab.trial import TrialError, wait

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another")

ACCOUNT = 54321
"""An account that /etc/passwd does not know."""
SECRET = b"no account but root's may read this"
STDIN = b"To: b@b.example\n\ntext\n"
COMMAND = (sys.executable, "-P", "-m", "enqueuer.cli.app")
PROGRAMS = ("enqueuer", "python3", "python", Path(sys.executable).name, "sh", "env", "judge", "own", "cat")
MODULES = ("json", "typing", "sitecustomize", "usercustomize", "matplotlibrc", "typer", "rich", "encodings")
FILES = (
    *(f"Settings/{name}" for name in ("enqueuer.new", "enqueuer.toml.new", "enqueuer.toml.tune", "enqueuer.toml.before-tune", "new")),
    *(f"Settings/enqueuer.toml.before-tune{end}" for end in (".new", ".tmp", "~")),
    *(f"Run/{name}" for name in ("pid", "lock", "supervisor", "config.1", "config.2", "control.sock", "manager.sock", "filterlink.sock")),
    *("Run/supervisor.sock", "Queue/.ids", "Queue/.attempts", "Queue/1.msg", "Quarantine/1.msg", "Quarantine/1.why", "Bad/1.msg"),
    *("Hold/1.msg", "Hold/1.why"),
    *("Bad/1.why", "Staged/1.1.OUT", "Submitted/a.eml", "Submitted/b.tmp", "Submitted/a.bad", "Submitted/a.bad.why", "Submitted/z.bad.why"),
    *("Submitted/.taken/1.c.eml", "Outbound/OUT/1.msg", "plot.png", "mail.eml", "Queue/.format"),
)
"""Names that commands and engine write to, or read mail from."""
FOLDERS = (
    "Submitted",
    "Submitted/.taken",
    "Incoming",
    "Queue",
    "Staged",
    "Outbound",
    "Outbound/OUT",
    "Quarantine",
    "Hold",
    "Bad",
    "SystemLogs",
    "Run",
    "Settings",
)
CONFIG = """
[spool]
min_free = "0%"
[[filters]]
name = "Own"
program = "./own"
timeout = "1s"
auto_restart = "never"
[[filters]]
name = "Bare"
program = "judge"
auto_restart = "never"
[[filters]]
name = "Root"
program = "./own"
user = "root"
auto_restart = "never"
[[rules]]
name = "scan"
actions = [["ExternalFilter", "Own"]]
[[rules]]
name = "scan more"
priority = 4
actions = [["ExternalFilter", "Bare"], ["ExternalFilter", "Root"]]
[[routes]]
recipient = "*"
to = "OUT"
"""
WORDS: dict[str, Sequence[Sequence[str]]] = {
    "demo": [["--mail", "{mail}"]],
    "init": [["{base}"]],
    "run": [["--base", "{base}"]],
    "status": [["--base", "{base}"], ["--base", "{base}", "--json"]],
    "reload": [["--base", "{base}"]],
    "stop": [["--base", "{base}"]],
    "scan": [
        ["--base", "{base}", "{mail}/mail.eml", "{base}/mail.eml", "{base}/Queue", "-"],
        ["--base", "{base}", "--standalone", "{mail}/mail.eml", "{base}/mail.eml", "{base}/Queue"],
    ],
    "submit": [["--base", "{base}", "-f", "a@a.example", "b@b.example"], ["--base", "{base}", "-t", "{mail}/mail.eml"]],
    "queue list": [["--base", "{base}"]],
    "queue show": [[name, "--base", "{base}"] for name in ("1", "99", "c.eml", "z.eml")],
    "queue retry": [["1", "--base", "{base}"]],
    "queue hold": [["1", "--for", "2h", "--reason", "x", "--base", "{base}"]],
    "queue release": [["1", "--base", "{base}"]],
    "quarantine list": [["--base", "{base}"]],
    "quarantine show": [["1", "--base", "{base}"]],
    "quarantine release": [["1", "--base", "{base}"]],
    "quarantine delete": [["1", "--base", "{base}"]],
    "bad list": [["--base", "{base}"]],
    "bad show": [["1", "--base", "{base}"]],
    "bad retry": [["1", "--base", "{base}"]],
    "bad delete": [["1", "--base", "{base}"]],
    "log": [["--base", "{base}"], ["1", "--messages", "--base", "{base}"], ["--id", "c.eml", "--json", "--base", "{base}"]],
    "filters list": [["--base", "{base}"]],
    "filters test": [[name, "{mail}/mail.eml", "--base", "{base}"] for name in ("Own", "Bare", "Root")],
    "filters bench": [["enqueuer", "{mail}/mail.eml", "--count", "2", "--timeout", "1s"]],
    "rules check": [["--base", "{base}"], ["{base}/Settings/enqueuer.toml"]],
    "rules list": [["--base", "{base}"]],
    "rules test": [["{mail}/mail.eml", "--base", "{base}"]],
    "rules export": [["--cgp", "--base", "{base}"], ["--cgp", "{base}/Settings/enqueuer.toml"]],
    "rules import": [["--cgp", "{mail}/mail.eml"]],
    "config check": [["--base", "{base}"], ["{base}/Settings/enqueuer.toml"]],
    "tune": [["--base", "{base}", "--seconds", "5", "--apply", "--png", "{base}/plot.png"]],
    **{f"filter {name}": [["--help"]] for name in ("clamd", "command", "execute", "facts", "icap", "milter", "rspamd", "spamd", "yara")},
}
"""How each command is tried. A command that is missing here fails the test: say how it touches a base directory."""


STARTER = """
import json, os, socket, sys
from enqueuer.system import accounts
from enqueuer.cli.app import main
accounts._load_all()
orders = socket.socket(fileno=int(sys.argv[1]))
while True:
    text, files, *_ = socket.recv_fds(orders, 1 << 16, 3)
    if not text:
        os._exit(0)
    if (pid := os.fork()) == 0:
        break
    for file in files:
        os.close(file)
    orders.sendall(b"%d\\n" % pid)
    orders.sendall(b"%d\\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
orders.close()
for number, file in enumerate(files):
    os.dup2(file, number)
    os.close(file)
sys.argv[1:], folder, variables = json.loads(text)
os.chdir(folder)
os.environ.clear()
os.environ.update(variables)
main()
"""
"""Runs commands in children of a process that has our modules: a new interpreter takes longer than most commands."""


class Starter:
    """A process of root's in a folder of root's that runs one command after the other."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-c", STARTER, str(theirs.fileno())]
        self._process = subprocess.Popen(command, cwd="/", env=os.environ | {"NO_COLOR": "1"}, pass_fds=[theirs.fileno()])
        theirs.close()
        self._orders = ours
        self._told = ours.makefile("rb")

    def close(self) -> None:
        self._told.close()
        self._orders.close()
        self._process.wait()

    def begin(self, command: Sequence[str], folder: Path, environment: dict[str, str]) -> "Begun":
        """Start a command."""
        files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
        os.pwrite(files[0], STDIN, 0)
        socket.send_fds(self._orders, [json.dumps([command[len(COMMAND) :], str(folder), environment]).encode()], files)
        return Begun(int(self._told.readline()), self._told, files)


class Begun:
    """A command that a Starter runs."""

    def __init__(self, pid: int, told: BinaryIO, files: Sequence[int]) -> None:
        self._pid = pid
        self._told = told
        self._files = files

    def poll(self) -> int | None:
        return 0 if select.select([self._told], [], [], 0)[0] else None

    def send_signal(self, number: int) -> None:
        os.kill(self._pid, number)

    def wait(self, seconds: float) -> tuple[int, bytes, bytes]:
        """Its status, stdout and stderr."""
        hangs = not select.select([self._told], [], [], seconds)[0]
        if hangs:
            self.send_signal(signal.SIGKILL)
        status = int(self._told.readline())
        _, out, err = (os.pread(file, 1 << 20, 0) for file in self._files)
        for file in self._files:
            os.close(file)
        assert not hangs, err
        return status, out, err


def leaves(command: object, name: str = "") -> Iterator[str]:
    """All commands of the program, by their names."""
    below: dict[str, object] = getattr(command, "commands", {})
    for word, each in below.items():
        yield from leaves(each, f"{name} {word}".strip())
    if not below:
        yield name


class Trap:
    """A base directory of an account that waits for root, and what root has outside of it."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self.base, self.outside, self.ran, self.mail = (folder / name for name in ("base", "outside", "ran", "mail"))
        for each in (self.outside, self.outside / "folder", self.ran, self.mail):
            each.mkdir()
        self.ran.chmod(0o777)
        (self.mail / "mail.eml").write_text("From: a@a.example\nTo: b@b.example\n\ntext\n")
        for name in ("file", "folder/file"):
            (self.outside / name).write_bytes(SECRET)
            (self.outside / name).chmod(0o600)
        basedir.create(self.base)
        (self.base / "Settings/enqueuer.toml").write_text(CONFIG)
        for name in PROGRAMS:
            self._trap(name, f"#!/bin/sh\n: > {self.ran}/$(/usr/bin/id -u).program.{name}\n")
        for name in MODULES:
            self._trap(f"{name}.py", f"import os\nopen('{self.ran}/%d.module.{name}' % os.geteuid(), 'w')\n")

    def _trap(self, name: str, text: str) -> None:
        (self.base / name).write_text(text)
        (self.base / name).chmod(0o755)

    def give(self) -> None:
        """All of it to the account; links are its own, not what they lead to."""
        for path in (self.base, *self.base.rglob("*")):
            if path.is_symlink() or path.is_dir() or path.stat().st_nlink == 1:
                os.chown(path, ACCOUNT, ACCOUNT, follow_symlinks=False)

    def roots(self) -> dict[str, tuple[object, ...]]:
        """What root has outside: owner, mode, content."""
        found: dict[str, tuple[object, ...]] = {}
        for path in (self.outside, *self.outside.rglob("*")):
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            found[str(path)] = (status.st_uid, status.st_gid, status.st_mode, content)
        return found

    def enqueuer(self, words: Sequence[str], starter: Starter | None = None) -> "subprocess.CompletedProcess[bytes]":
        """Root runs a command in the trap, with a PATH that leads into it: a new interpreter, or a child of the starter."""
        environment = os.environ | {"PATH": f":.:{os.environ['PATH']}:", "NO_COLOR": "1", "ENQUEUER_BASE": str(self.base)}
        command = [*COMMAND, *(word.format(base=self.base, mail=self.mail) for word in words)]
        if starter:
            begun = starter.begin(command, self.base, environment)
            if words[0] == "run":
                self._stop(begun)
            return subprocess.CompletedProcess(command, *begun.wait(30))
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=self.base, env=environment, stdin=pipe, stdout=pipe, stderr=pipe) as process:
            if words[0] == "run":
                self._stop(process)
            try:
                out, err = process.communicate(STDIN, timeout=30)
            finally:
                process.kill()  # one that hangs
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def log(self) -> str:
        return "".join(path.read_text() for path in (self.base / "SystemLogs").glob("*.log") if path.is_file())

    def _stop(self, process: "subprocess.Popen[bytes] | Begun") -> None:
        """End an engine that runs, or that hangs in its traps, when its filters have been started."""
        with contextlib.suppress(TrialError):
            wait(lambda: process.poll() is not None or "running: recovery" in self.log(), 3, "it runs")
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)


@pytest.fixture
def trap() -> Iterator[Trap]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="rights-") as folder:  # where another account gets to
        yield Trap(Path(folder))


@pytest.fixture(scope="module")
def starter() -> Iterator[Starter]:
    starter = Starter()
    yield starter
    starter.close()


def nothing(trap: Trap) -> None:
    """Programs and modules alone."""


def links(trap: Trap) -> None:
    """Every file that is written is a link to one of root's, or to one that root would make."""
    for name, target in zip(FILES, itertools.cycle(("file", "folder/new")), strict=False):
        (trap.base / name).unlink(missing_ok=True)
        (trap.base / name).symlink_to(trap.outside / target)
    day = time.strftime("%Y-%m-%d")
    (trap.base / f"SystemLogs/{day}.log").symlink_to(trap.outside / "file")


def hard_links(trap: Trap) -> None:
    """The same with hard links, which a kernel may allow to all (fs.protected_hardlinks = 0)."""
    for name in FILES:
        (trap.base / name).unlink(missing_ok=True)
        (trap.base / name).hardlink_to(trap.outside / "file")


def pipes(trap: Trap) -> None:
    """The same with FIFOs that no process serves: a command that opens one would wait for ever."""
    for name in (*FILES, f"SystemLogs/{time.strftime('%Y-%m-%d')}.log"):
        (trap.base / name).unlink(missing_ok=True)
        os.mkfifo(trap.base / name, 0o666)


def config(trap: Trap) -> None:
    """The config file is a link to a file that the account may not read."""
    (trap.base / basedir.CONFIG).unlink()
    (trap.base / basedir.CONFIG).symlink_to(trap.outside / "file")


def folder(name: str) -> Callable[[Trap], None]:
    """A folder is a link to one of root's."""

    def plant(trap: Trap) -> None:
        path = trap.base / name
        path.rename(trap.base / f"{path.name}.away")
        path.symlink_to(trap.outside / "folder")

    return plant


PLANTED: dict[str, Callable[[Trap], None]] = {
    "nothing": nothing,
    "links": links,
    "hard links": hard_links,
    "pipes": pipes,
    "config": config,
} | {name: folder(name) for name in FOLDERS}
BRIEF = ("init", "run", "submit", "status", "queue list", "config check")
"""Commands that are tried with each folder; the others write to none, or take long."""
LONG = ("demo", "tune")


@pytest.mark.parametrize("planted", PLANTED)
def test_no_command_of_root_gives_another_account_more_than_it_has(trap: Trap, starter: Starter, planted: str) -> None:
    """No file outside changes owner, mode or content, and no program of the account runs as root."""
    PLANTED[planted](trap)
    trap.give()
    before = trap.roots()
    commands = list(leaves(typer.main.get_command(app)))
    for command in commands:
        if planted in FOLDERS and command not in BRIEF:
            continue
        for words in WORDS[command]:
            if ("--standalone" in words or command in LONG) and planted not in ("nothing", "links", "config"):
                continue  # it starts an engine, as `run` does with each of these bases
            done = trap.enqueuer([*command.split(), *words], starter if planted != "nothing" else None)
            told = f"{command}: {done.returncode} {done.stderr.decode(errors='replace')}"
            assert trap.roots() == before, told
            assert not list(trap.ran.glob("0.*")), told
            assert SECRET not in done.stdout + done.stderr, told
            assert b"internal error" not in done.stderr, told
            assert done.returncode != 70 or command == "run", told

    assert set(commands) == set(WORDS)
    if planted == "nothing":
        assert list(trap.ran.glob(f"{ACCOUNT}.program.own")), "its own filter ran, as it"
        assert "running: recovery is complete" in trap.log()
        assert "user = root: only an engine that runs as root" in trap.log()
        assert not [path for path in trap.base.rglob("*") if path.stat().st_uid != ACCOUNT]


WHO = "import os; print(os.getresuid(), os.getresgid(), os.getgroups(), sorted(os.environ), os.getcwd())"
ENTERS = "import sys; from enqueuer import basedir; basedir.enter(sys.argv[1]); "


def entered(base: Path, then: str = WHO, **variables: str) -> str:
    """What a process of root's is, says and may after it entered."""
    command = [sys.executable, "-P", "-c", ENTERS + then, str(base)]
    done = subprocess.run(command, cwd="/", env=os.environ | variables, capture_output=True, timeout=20, check=False)
    return (done.stdout or done.stderr.splitlines()[-1]).decode()


def test_root_becomes_the_account_with_its_groups_and_none_of_the_variables(trap: Trap) -> None:
    """What root has in its variables is not the account's to know: the engine's filters may name any of them."""
    trap.give()
    said = entered(trap.base, SECRET="s", LD_PRELOAD="", PYTHONSTARTUP="x", SUDO_USER="ann")

    assert f"({ACCOUNT}, {ACCOUNT}, {ACCOUNT}) ({ACCOUNT}, {ACCOUNT}, {ACCOUNT}) [{ACCOUNT}]" in said
    assert not {"SECRET", "LD_PRELOAD", "PYTHONSTARTUP", "SUDO_USER", "USER"} & set(said.replace("'", " ").split())
    assert "'HOME'" in said
    assert str(trap.base) in said


def test_an_account_with_a_name_has_the_groups_of_that_name(trap: Trap) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(trap.base, nobody.pw_uid, 0)
    said = entered(trap.base)

    assert f"({nobody.pw_uid}, {nobody.pw_uid}, {nobody.pw_uid})" in said
    assert str(sorted(os.getgrouplist("nobody", nobody.pw_gid))) in said
    assert "'LOGNAME'" in said


SWAPPED = """
import contextlib, os, sys
from pathlib import Path
from enqueuer.system import accounts
accounts._load_all()
base = Path(sys.argv[1])
parent = os.getpid()
flipper = os.fork()
while flipper == 0 and os.getppid() == parent:
    for one, other in (("real", "roots"), ("roots", "real")):
        with contextlib.suppress(OSError):
            os.rename(base, base.with_name(one)); os.rename(base.with_name(other), base)
if flipper == 0:
    os._exit(0)
counts = {}
for _ in range(300):
    child = os.fork()
    if child == 0:
        try:
            accounts.enter(base)
            os._exit(10 if os.geteuid() == os.stat(".").st_uid != 0 else 13)
        except accounts.RightsRefused:
            os._exit(11)
        except FileNotFoundError:
            os._exit(12)
        except BaseException:
            os._exit(14)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    counts[code] = counts.get(code, 0) + 1
os.kill(flipper, 9)
print(sorted(counts))
"""


def test_a_swap_while_root_enters_gains_nothing(trap: Trap) -> None:
    """The account puts a folder of root's in the place of its own, and back, all the time."""
    trap.give()
    (trap.base.parent / "roots").mkdir()
    os.chown(trap.base.parent, ACCOUNT, ACCOUNT)
    command = [sys.executable, "-P", "-c", SWAPPED, str(trap.base)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)

    assert set(json.loads(done.stdout)) <= {10, 11, 12}
    assert {10, 11} <= set(json.loads(done.stdout))


def test_it_is_for_good(trap: Trap) -> None:
    trap.give()

    assert "PermissionError" in entered(trap.base, "import os; os.setuid(0)")


def test_root_stays_root_on_its_own(trap: Trap) -> None:
    assert entered(trap.base).startswith("(0, 0, 0)")


def test_a_link_of_an_administrator_leads_to_a_base_directory_and_one_of_a_stranger_does_not(trap: Trap) -> None:
    """The link is his who may have it lead elsewhere in the next moment."""
    trap.give()
    link = trap.outside / "link"
    link.symlink_to("../base")
    owners = {0: "(54321,", ACCOUNT: "(54321,", 12345: "a symbolic link on the path"}

    for owner, told in owners.items():
        os.chown(link, owner, 0, follow_symlinks=False)
        assert told in entered(link), owner


@pytest.mark.parametrize("loose", ["its owner is another", "all may write to it", "a group may write to it"])
def test_a_base_directory_of_root_that_another_may_replace_is_refused(trap: Trap, loose: str) -> None:
    """It could be another one with other programs when it is looked up again. A sticky folder, as /tmp, does no harm."""
    folder = trap.base.parent
    if loose == "its owner is another":
        os.chown(folder, ACCOUNT, 0)
    else:
        os.chown(folder, 0, ACCOUNT)
        folder.chmod(0o757 if loose.startswith("all") else 0o775)

    assert "belongs to root, but other accounts could replace it or put folders in it" in entered(trap.base)
    os.chown(folder, 0, 0)
    folder.chmod(0o1777)
    assert entered(trap.base).startswith("(0, 0, 0)")


@pytest.mark.parametrize("folder", ["Settings", "Run", "Queue", "Submitted"])
def test_a_folder_of_another_account_in_a_base_directory_of_root(trap: Trap, folder: str) -> None:
    """Settings tell root what to run. Drops may be written by anyone."""
    os.chown(trap.base / folder, ACCOUNT, ACCOUNT)
    said = entered(trap.base)

    assert said.startswith("(0, 0, 0)") if folder == "Submitted" else f"but {folder} in it belongs to the account {ACCOUNT}: chown" in said


def test_a_new_base_directory_belongs_to_the_account_of_the_folder_above(trap: Trap) -> None:
    """`sudo enqueuer init ~ann/mail/spool` makes one of ann's; one in a folder of root's is root's."""
    trap.give()
    for above, owner in ((trap.base, ACCOUNT), (trap.outside, 0)):
        new = above / "some/new"
        done = trap.enqueuer(["init", str(new)])

        assert done.returncode == 0, done.stderr
        assert {path.lstat().st_uid for path in (above / "some", new, *new.rglob("*"))} == {owner}


def test_a_link_in_the_way_of_init_makes_nothing_elsewhere(trap: Trap) -> None:
    """The account planted it where root was to make a folder."""
    (trap.base / "some").symlink_to(trap.outside / "folder")
    trap.give()
    before = trap.roots()
    done = trap.enqueuer(["init", str(trap.base / "some/new")])

    assert done.returncode == 77
    assert b"a symbolic link on the path" in done.stderr
    assert trap.roots() == before


def test_root_that_cannot_become_another_says_so(trap: Trap) -> None:
    """In a container without these capabilities: it does nothing there as root instead."""
    trap.give()
    command = ["setpriv", "--bounding-set", "-setuid,-setgid", *COMMAND, "status", "--base", str(trap.base)]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)

    assert done.returncode == 77
    assert f"belongs to the account {ACCOUNT}, and root cannot become that account here".encode() in done.stderr


def planted_link(trap: Trap) -> None:
    (trap.base / "mail.eml").symlink_to(trap.outside / "file")


def planted_link_to_a_link(trap: Trap) -> None:
    (trap.base / "mail.eml").symlink_to(trap.outside / "link")
    (trap.outside / "link").symlink_to("file")


def planted_name(trap: Trap) -> None:
    (trap.base / "mail.eml").hardlink_to(trap.outside / "file")


@pytest.mark.parametrize("plant", [planted_link, planted_link_to_a_link, planted_name])
@pytest.mark.parametrize("command", [["submit", "b@b.example", "--file"], ["filters", "test", "Own"]])
def test_a_file_of_roots_is_not_given_to_another_by_a_name_that_it_planted(
    trap: Trap, plant: Callable[[Trap], None], command: list[str]
) -> None:
    """Root names a file in the folder of another account; what it leads to would become that account's mail."""
    plant(trap)
    trap.give()
    done = trap.enqueuer([*command, "mail.eml"])

    assert done.returncode == 77
    assert b"if you mean this file, give its content on stdin" in done.stderr
    assert not [path for path in trap.base.glob("Submitted/*") if path.is_file()]


@pytest.mark.parametrize("named", ["/dev/fd/0", "/dev/stdin", "-", "{link}", "{mail}/mail.eml"])
def test_a_file_of_roots_that_root_named_is_given(trap: Trap, named: str) -> None:
    """By a pipe, by a link of root's; the account itself could not read it."""
    trap.give()
    link = trap.outside / "link"
    link.symlink_to(trap.mail / "mail.eml")
    (trap.mail / "mail.eml").chmod(0o600)
    done = trap.enqueuer(["submit", "-t", "--file", named.replace("{link}", str(link))])

    assert done.returncode == 0, done.stderr
    assert [path.stat().st_uid for path in trap.base.glob("Submitted/*.sub")] == [ACCOUNT]


def test_a_file_of_roots_is_given_where_no_proc_is_mounted(trap: Trap) -> None:
    """In a mount namespace of its own."""
    trap.give()
    submit = 'mount -t tmpfs none /proc && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", submit, "sh", *COMMAND, "submit", "--base", str(trap.base), "-t", f"{trap.mail}/mail.eml"]
    done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    if b"unshare" in done.stderr or b"mount" in done.stderr:
        pytest.skip("this root may not mount")

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_filter_with_an_account_is_a_warning_where_the_engine_is_not_root(trap: Trap) -> None:
    trap.give()
    done = trap.enqueuer(["config", "check"])

    assert b'filter "Root": user = root: only an engine that runs as root' in done.stderr
    assert b"(chown -R root)" in done.stderr
