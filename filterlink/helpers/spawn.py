"""Start a helper's process: in a separate group, within its limits. It ends when we end, and inherits only its pipes from us."""

import errno
import grp
import math
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from filterlink.config.settings import Filter
from filterlink.process import orphans, sandbox
from filterlink.process.forked import die_with, restrain
from filterlink.process.prctl import allow_no_new_privileges

__all__ = ["NOT_ROOT", "HelperLimits", "environment", "fault", "find_program", "search_path", "spawn"]

KEPT = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV")
KEPT_BEGIN = ("LC_",)
"""The variables that a helper gets from our environment. Variables of the service manager (NOTIFY_SOCKET and such) are not for it.
Variables that make a program load other code (LD_*, PYTHON*, PERL5LIB) come from its settings only."""
CPU_MORE = 5
"""Seconds between SIGXCPU, which a program may catch, and SIGKILL."""
NOT_ROOT = (
    "only an engine that runs as root can start helpers as another account. An engine that root starts runs as the owner of its base "
    "directory: remove user, or give the base directory to root (chown -R root) and start the engine as root"
)
QUEUE = "Queue"
"""The folder of the messages that a helper must read."""


class HelperLimits(msgspec.Struct, frozen=True):
    """The limits of a helper. 0 and infinity mean "no limit"; without `user` it runs as our account."""

    memory: int = 0
    cpu: float = math.inf
    user: str = ""
    new_privileges: bool = False
    environment: tuple[str, ...] = ()
    writable: tuple[str, ...] | None = None
    """The folders to which it may write; None: all to which its account may."""

    @classmethod
    def of(cls, filter: Filter) -> "HelperLimits":
        # the helper's own submissions come to this engine, which recognizes them as the filter's
        variables = (f"ENQUEUER_BASE={os.getcwd()}", f"ENQUEUER_FILTER={filter.name}", *filter.environment)
        writable = (tempfile.gettempdir(), *filter.writable) if filter.confined else None
        return cls(int(filter.memory_limit), float(filter.cpu_limit), filter.user, filter.new_privileges, variables, writable)


def find_program(word: str) -> str:
    """Find the program for a configured word.

    A word with a slash is a path from the base directory, which is the current one. A bare word is searched in our own programs' folder,
    then on PATH, but never in the current directory, even if PATH names it. Raises FileNotFoundError.
    """
    if "/" in word:
        return word
    own = {str(Path(place).parent) for place in (sys.argv[0], sys.executable) if place.startswith("/")}
    found = shutil.which(word, path=os.pathsep.join([*sorted(own), search_path(os.environ)]))
    if found is None:
        cure = f" (the one in the base directory is ./{word})" if os.path.exists(word) else ""
        raise FileNotFoundError(f"program {word} is not on PATH{cure}")
    return found


def search_path(ours: Mapping[str, str]) -> str:
    """Return PATH without relative folders, which would make the base directory a place for programs."""
    return os.pathsep.join(folder for folder in ours.get("PATH", os.defpath).split(os.pathsep) if folder.startswith("/"))


def environment(ours: Mapping[str, str], wanted: Sequence[str], account: pwd.struct_passwd | None = None) -> dict[str, str]:
    """Return a helper's variables: the usual ones from our environment, and those that its settings name or set."""
    kept = {name: value for name, value in ours.items() if name in KEPT or name.startswith(KEPT_BEGIN)}
    kept["PATH"] = search_path(ours)
    if account is not None:
        kept |= {"HOME": account.pw_dir, "USER": account.pw_name, "LOGNAME": account.pw_name}
    for word in wanted:
        name, given, value = word.partition("=")
        if given or name in ours:
            kept[name] = value if given else ours[name]
    return kept


def spawn(words: Sequence[str], limits: HelperLimits = HelperLimits(), mark: int = 0) -> subprocess.Popen[bytes]:  # noqa: B008 (frozen)
    """Start a helper. `mark`: identifies its children (orphans.py).

    Raises OSError if it cannot be started, for example without account, program or rights; ValueError for a NUL."""
    account = _account(limits.user)
    if account is not None:
        if os.geteuid() != 0:
            raise PermissionError(f"user = {account.pw_name}: {NOT_ROOT}")
        _expect_readable(account)
    if limits.writable is not None:
        _expect_confinable(limits.writable)
    try:
        return _popen(words, limits, account, mark)
    except subprocess.SubprocessError:  # Python reports each fault in _in_child() only by this
        raise OSError("its limits cannot be set") from None
    except PermissionError as error:
        if account is not None and error.errno == errno.EPERM:
            raise PermissionError(f"user = {account.pw_name}: {NOT_ROOT}") from None
        raise


def fault(error: Exception) -> str:
    """Return why a program could not be started, without the error number, and with the cure if there is one."""
    if not isinstance(error, OSError) or not error.filename:
        return str(error)
    cure = ""
    if error.errno == errno.ENOEXEC:
        cure = ": a script must begin with a line that names its interpreter, e.g. #!/bin/sh"
    elif error.errno == errno.ENOENT and os.path.exists(error.filename):
        cure = ": the interpreter that its first line names is not there"
    elif error.errno == errno.EACCES and os.path.isfile(error.filename) and not os.access(error.filename, os.X_OK):
        cure = f": chmod +x {error.filename}"
    return f"{error.filename}: {error.strerror}{cure}"


def _popen(words: Sequence[str], limits: HelperLimits, account: pwd.struct_passwd | None, mark: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [find_program(words[0]), *words[1:]],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(os.environ, limits.environment, account),
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=os.getgrouplist(account.pw_name, account.pw_gid) if account else None,
        start_new_session=True,  # a separate group, and no access to our terminal, into which it could type
        preexec_fn=_in_child(os.getpid(), limits, mark),  # noqa: PLW1509 (our processes have no threads)
    )


def _account(user: str) -> pwd.struct_passwd | None:
    """Return the account to which the helper must change; None if it is ours."""
    try:
        account = pwd.getpwnam(user) if user else None
    except KeyError:
        raise FileNotFoundError(f"user = {user}: there is no such account") from None
    return None if account is not None and account.pw_uid == os.geteuid() else account


def _expect_readable(account: pwd.struct_passwd) -> None:
    """Check that the account can read messages. A helper may answer FAILURE for a file that it cannot open, and the message would pass.

    Raises PermissionError with the cure. If the folder has access lists, this check is skipped: the administrator has set the rights.
    """
    if not os.path.isdir(QUEUE) or any(name.startswith("system.posix_acl") for name in os.listxattr(QUEUE)):
        return
    folder = os.stat(QUEUE)
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    base = os.stat(".")
    if not _enters(account, groups, base):
        raise PermissionError(
            f"user = {account.pw_name} may not enter the base directory: chmod o+x on it, or give it to a group of the account"
        )
    group = folder.st_gid if folder.st_mode & stat.S_ISGID else os.getegid()  # of the messages to come
    if not _enters(account, groups, folder) or group not in groups:
        own = grp.getgrgid(account.pw_gid).gr_name
        raise PermissionError(f"user = {account.pw_name} may not read messages: chgrp -R {own} {QUEUE} && chmod g+rxs {QUEUE}")


def _expect_confinable(folders: Sequence[str]) -> None:
    """Check that a helper can be confined. Raises OSError with the cure: an error in the child itself would have no text."""
    if lacking := sandbox.no_landlock():
        raise OSError(f"confined = true is not possible here: {lacking}")
    for folder in folders:
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"writable: there is no folder {folder}")


def _enters(account: pwd.struct_passwd, groups: Sequence[int], folder: os.stat_result) -> bool:
    shift = 6 if account.pw_uid == folder.st_uid else 3 if folder.st_gid in groups else 0
    return bool(folder.st_mode >> shift & 1)


def _in_child(parent: int, limits: HelperLimits, mark: int) -> Callable[[], None]:
    """Return what the new process does before it becomes the helper. It already has the helper's account."""

    def prepare() -> None:
        die_with(parent)
        if mark:
            orphans.carry(mark)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # our processes ignore these, and a child inherits that
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        restrain(math.ceil(limits.cpu) if limits.cpu < math.inf else 0, limits.memory, CPU_MORE)
        if limits.writable is not None:
            sandbox.write_only_below(limits.writable)
        if not limits.new_privileges:
            allow_no_new_privileges()

    return prepare
