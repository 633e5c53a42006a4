"""Decide which rights a command has: run by root on another account's base directory, it becomes that account and stays it.

The path to the folder is walked step by step, and the folder that was checked is the one entered: no name is resolved
twice. Each folder and each symbolic link on the path has an owner, who could make it lead elsewhere at any moment.
"""

import contextlib
import errno
import importlib
import io
import os
import pkgutil
import pwd
import stat
from collections import deque
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

__all__ = ["Given", "RightsRefused", "enter", "give", "not_alone"]

MAX_LINKS = 40
"""Symbolic links on one path; the kernel has the same limit."""
KEPT = ("PATH", "TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES", "LANG", "LANGUAGE", "TZ")
KEPT_SERVICE = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "INVOCATION_ID", "JOURNAL_STREAM")
KEPT_BEGIN = ("LC_", "ENQUEUER_")
"""The variables that stay when root becomes another account. The others may hold secrets of root."""
LATE = (
    *("_strptime", "lark", "rich._emoji_codes", "traceback"),
    *(f"multiprocessing.{name}" for name in ("connection", "popen_fork", "queues", "synchronize")),
    *(f"encodings.{name}" for name in ("ascii", "idna", "latin_1", "unicode_escape", "utf_8_sig")),
)
"""Modules that are loaded at their first use, by others than ours."""
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class RightsRefused(Exception):
    """The command must not work on this folder with these rights. The text has the reason and the cure."""


class Given(NamedTuple):
    """A file that the caller named, opened with the caller's rights."""

    file: BinaryIO
    odd: str = ""
    """Why another account may have led root to this file; "" = it cannot have."""

    def expect_given(self) -> None:
        """Raise RightsRefused if a file goes from root to another account, and yet another account may have chosen it. Call it after
        enter().
        """
        if self.odd and os.geteuid() != 0:
            raise RightsRefused(f"{self.odd}: if you mean this file, give its content on stdin")


class _Way(msgspec.Struct):
    """A folder that was walked to."""

    fd: int
    file: bool = False
    """The path may also end at a file."""
    linked: set[int] = set()
    """Owners of the symbolic links on the path."""
    loose: str = ""
    """The first folder in which an account other than root could replace the next one."""
    shared: bool = False
    """An account other than root may make files in the last folder."""


def enter(path: Path, *, make: bool = False) -> None:
    """Go into a folder. As root, become the account that owns it before anything in it is read.

    `make`: make the missing folders of the path, as the account that owns the last existing folder.
    Raises RightsRefused, and OSError if the path cannot be walked.
    """
    if os.geteuid() != 0:
        if make:
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
        os.chdir(path)
        return
    way = _walk(path.absolute(), make=make)
    try:
        owner = _owner(way, path)
        if owner:
            _become(owner, path)
        elif way.loose:
            raise RightsRefused(
                f"{path} belongs to root, but other accounts could replace it or put folders in it: {way.loose}. Give that folder to root "
                "(chown root) and forbid others to write there (chmod go-w), or chown -R the base directory to the account of the engine"
            )
        os.fchdir(way.fd)
    finally:
        os.close(way.fd)


def give(path: Path) -> Given:
    """Open a file that goes to a base directory. Call it before enter(). Raises OSError."""
    if os.geteuid() != 0:
        return Given(path.open("rb"))
    way = _walk(path, file=True)
    try:
        status = os.fstat(way.fd)
        file = _reopened(way.fd, path)
    finally:
        os.close(way.fd)
    odd = ""
    if strangers := way.linked - {0}:
        odd = f"a symbolic link on the path to {path} belongs to {_name(min(strangers))}"
    elif way.shared and stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        odd = f"{path} has other names, and other accounts may make such names in its folder"
    return Given(file, odd)


def _reopened(fd: int, path: Path) -> BinaryIO:
    """Open for reading what was walked to; without /proc by its name, if that is still the same file. The caller closes it. Raises
    OSError.
    """
    try:
        return open(f"/proc/self/fd/{fd}", "rb")  # noqa: PTH123
    except FileNotFoundError:
        again = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not os.path.samestat(os.fstat(fd), os.fstat(again)):
        os.close(again)
        raise FileNotFoundError(errno.ENOENT, "another file has this name now", str(path))
    os.set_blocking(again, True)
    return os.fdopen(again, "rb")


def not_alone(path: Path) -> str:
    """Return why other accounts have a hand in a folder: it belongs to another account, or another may write there. "" = they have none.

    A sticky bit does not help: others may still make files there.
    """
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return f"{path} is a symbolic link"
    if status.st_uid != os.geteuid():
        return f"{path.absolute()} belongs to {_name(status.st_uid)}"
    return f"other accounts may write to {path.absolute()}" if status.st_mode & OTHERS_WRITE else ""


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the account {uid}"


def _walk(path: Path, *, make: bool = False, file: bool = False) -> _Way:
    """Open the folder (or any file) as the kernel does, one name after the other. The caller closes it."""
    way = _Way(os.open("/" if path.is_absolute() else ".", _FOLDER), file)
    names = deque(path.parts)
    links = 0
    try:
        _note(way, "/" if path.is_absolute() else ".")
        while names:
            name = names.popleft()
            step = _step(way, name, path if make else None)
            status = os.fstat(step)
            if stat.S_ISLNK(status.st_mode):
                links += 1
                names.extendleft(reversed(Path(_target(step, status.st_uid, links, way)).parts))
                continue
            os.close(way.fd)
            way.fd = step
            if stat.S_ISDIR(status.st_mode):
                _note(way, name)
            elif names or not file:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    except BaseException:
        os.close(way.fd)
        raise
    return way


def _owner(way: _Way, path: Path) -> int:
    """Return the owner of the folder. Raises RightsRefused if a link of another account led to it."""
    owner = os.fstat(way.fd).st_uid
    if strangers := way.linked - {0, owner}:
        raise RightsRefused(f"a symbolic link on the path to {path} belongs to {_name(min(strangers))}: name the folder itself")
    return owner


def _step(way: _Way, name: str, make: Path | None) -> int:
    """Open the next name. If it does not exist and `make` (the whole path) is given, make it as a folder."""
    try:
        with contextlib.suppress(NotADirectoryError, PermissionError):  # O_PATH does not trigger mounts on demand
            return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=way.fd)
        return os.open(name, os.O_PATH | os.O_CLOEXEC if _magic(way, name) else _STEP, dir_fd=way.fd)
    except FileNotFoundError:
        if make is None:
            raise
    if owner := _owner(way, make):
        _become(owner, make)
    os.mkdir(name, 0o755, dir_fd=way.fd)
    with contextlib.suppress(PermissionError):  # a folder that may be entered but not read cannot be synced
        folder = os.open(".", _FOLDER, dir_fd=way.fd)
        os.fsync(folder)
        os.close(folder)
    return os.open(name, _STEP, dir_fd=way.fd)


def _magic(way: _Way, name: str) -> bool:
    """Return whether a link is one of the kernel's own, such as /dev/fd/3: only the kernel can follow it, as its text is not a path."""
    return way.file and name.isdigit() and os.fstat(way.fd).st_dev == os.stat("/proc").st_dev


def _target(link: int, owner: int, count: int, way: _Way) -> str:
    """Return where a symbolic link leads."""
    try:
        way.linked.add(owner)
        if count > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return os.readlink("", dir_fd=link)
    finally:
        os.close(link)


def _note(way: _Way, name: str) -> None:
    """Note whether an account other than root may change what is in this folder."""
    status = os.fstat(way.fd)
    way.shared = bool(status.st_uid) or _others_write(status)
    if way.loose:
        return
    if status.st_uid:
        way.loose = f"{name!r} on the path belongs to {_name(status.st_uid)}"
    elif _others_write(status) and not status.st_mode & stat.S_ISVTX:
        way.loose = f"other accounts may write to {name!r}"


def _others_write(status: os.stat_result) -> bool:
    return bool(status.st_mode & (stat.S_IWOTH | (stat.S_IWGRP if status.st_gid else 0)))


def _become(uid: int, path: Path) -> None:
    """Take the rights of this account, and drop all of root's, with its groups and variables."""
    if os.geteuid() == uid:
        return
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        account = None
    gid = account.pw_gid if account else uid
    _load_all()
    try:
        os.setgroups(os.getgrouplist(account.pw_name, gid) if account else [gid])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        raise RightsRefused(
            f"{path} belongs to {_name(uid)}, and root cannot become that account here ({error.strerror}): run the command as it"
        ) from None
    with contextlib.suppress(OSError):
        os.setuid(0)
        raise RightsRefused(
            f"{path} belongs to {_name(uid)}, and root keeps its rights when it becomes that account: run the command as it"
        )
    _forget_variables(account)


def _forget_variables(account: pwd.struct_passwd | None) -> None:
    for name in list(os.environ):
        if name not in (*KEPT, *KEPT_SERVICE) and not name.startswith(KEPT_BEGIN):
            del os.environ[name]
    os.environ["HOME"] = account.pw_dir if account else "/"
    if account:
        os.environ |= {"USER": account.pw_name, "LOGNAME": account.pw_name, "SHELL": account.pw_shell or "/bin/sh"}


def _load_all() -> None:
    """Load our modules now: the account may not be allowed to read the installation, e.g. a Python below /root."""
    import rich.console
    import setproctitle

    import enqueuer
    import filterlink
    from enqueuer.system.version import our_version

    for package in (enqueuer, filterlink):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".filters." not in module.name:
                importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)
    rich.console.Console(file=io.StringIO()).print("\u00e9 \u6f22")
    our_version()
    setproctitle.getproctitle()  # it finds its memory by the variables, before these change
