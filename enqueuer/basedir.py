"""The base directory: find it, its folders, and make it. Only the first config file is written here."""

import contextlib
import functools
import grp
import os
import stat
import sys
import time
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from enqueuer.queue.directory import asked, format, layout
from enqueuer.queue.directory.names import is_module
from enqueuer.system import accounts, trust
from enqueuer.system.openfile import open_plain

__all__ = [
    "CONFIG",
    "FOLDERS",
    "BaseDirError",
    "create",
    "enter",
    "find",
    "fsync_folder",
    "init",
    "is_base",
    "make_again",
    "make_modules",
    "read_config",
    "replace",
    "share",
    "share_asked",
]

MOST = (1 << 20) + 1
"""Bytes of a config file that are read: one more than it may have."""

FOLDERS = layout.FOLDERS | {
    asked.FOLDER: 0o750,
    "Settings": 0o750,
    "Settings/lists": 0o750,
    "State": 0o750,
    "State/lists": 0o750,
    "SystemLogs": 0o750,
    "Run": 0o750,
}
"""The folders and the modes with which they are made. An existing folder keeps the mode that its administrator set."""
SHARED = 0o3730
"""A drop folder for a group: setgid, so that drops get the group; sticky, so that each account can remove only its own drops."""
CONFIG = "Settings/enqueuer.toml"
DEFAULT_BASE = "/var/spool/enqueuer"


class BaseDirError(Exception):
    """There is no usable base directory. The text has the cure."""


def is_base(path: Path) -> bool:
    """Return whether `path` is a base directory, by its folders: without its config file, an engine must still be visible and stoppable."""
    return all((path / folder).is_dir() for folder in ("Outbound", "Queue", "Settings"))


def find(base: str | None) -> Path:
    """Return the base directory of a command: --base, else $ENQUEUER_BASE, else ./spool if it is the caller's, else /var/spool/enqueuer.

    Raises BaseDirError if the named folder is not a base directory.
    """
    path = _named(base)
    _expect_base(path)
    return path


def enter(base: str | None) -> Path:
    """Go into the base directory of a command, with the rights of its account (enqueuer/system/accounts.py). Raises BaseDirError,
    RightsRefused.

    Return its name for people: all else is done from inside.
    """
    path = _named(base)
    _default()
    try:
        accounts.enter(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        _expect_base(path)
        raise
    if not is_base(Path()):
        _expect_base(path)
    if os.geteuid() == 0:
        _expect_roots(path)
    return path


def _named(base: str | None) -> Path:
    """Return which folder is meant, even if it is not a base directory."""
    if named := base or os.environ.get("ENQUEUER_BASE"):
        return Path(named).absolute()
    here = Path("spool")
    if not is_base(here):
        return Path(DEFAULT_BASE)
    why = next(filter(None, (accounts.not_alone(folder) for folder in (Path(), here, here / "Settings"))), "")
    if not why:
        return here.absolute()
    why = f"./spool is not used, because {why}; to use it: --base ./spool"
    if not is_base(Path(DEFAULT_BASE)):
        raise BaseDirError(why)
    print(f"enqueuer: {why}", file=sys.stderr)
    return Path(DEFAULT_BASE)


def _expect_roots(path: Path) -> None:
    """Raise RightsRefused if in root's base directory another account owns something that root obeys. Drops may be another account's."""
    for folder in FOLDERS:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if (owner := os.stat(folder).st_uid) and not folder.startswith("Submitted"):
                raise accounts.RightsRefused(
                    f"{path} belongs to root, but {folder} in it belongs to the account {owner}: chown one of them"
                )


def _expect_base(path: Path) -> None:
    """Raise BaseDirError with the cure if `path` is not a base directory."""
    if is_base(path):
        return
    if path.exists() and not path.is_dir():
        raise BaseDirError(f"{path} is not a folder: name a base directory with --base DIR")
    if _readable(path):
        raise BaseDirError(f"{path} is not a base directory: make one with `enqueuer init {path}`, or name another with --base DIR")
    raise BaseDirError(f"this user cannot read {path}: run the command as the user of the engine")


def create(path: Path, group: str | None = None) -> bool:
    """Make `path` a base directory and sync it; return True if there was something to make.

    What is there stays as it is. `group`: the accounts that may drop mail, see share().
    Raises BaseDirError where `path` holds something else, FormatError where a newer version made it, and OSError.
    """
    try:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise _in_the_way(path) from None
    made = _complete(path, path, group)
    fsync_folder(path / "..")
    return made


def init(path: Path, group: str | None = None) -> bool:
    """Make a base directory for a command, and go into it: as root with the rights of its account. Raises RightsRefused, too."""
    _default()
    try:
        accounts.enter(path, make=True)
    except (FileExistsError, NotADirectoryError):
        raise _in_the_way(path) from None
    made = _complete(Path(), path, group)
    with contextlib.suppress(PermissionError):  # the account may enter the folder above, but not read it
        fsync_folder("..")
    return made


def _in_the_way(path: Path) -> BaseDirError:
    return BaseDirError(f"{path} cannot become a folder: a file has this name; choose another name, or move the file away")


def _complete(path: Path, name: Path, group: str | None) -> bool:
    """Make what is missing in the folder."""
    foreign = sorted({entry.name for entry in path.iterdir()} - {folder.partition("/")[0] for folder in FOLDERS} - {"lost+found"})
    if before := is_base(path):
        format.expect_known(name, path)
    elif foreign:
        raise BaseDirError(f"{name} contains {foreign[0]!r}: name an empty folder, or one that does not exist yet")
    made = [_make(path / folder, mode) for folder, mode in FOLDERS.items()]
    if not before:  # the start of an engine converts an older one
        format.write(format.FORMAT, path)
    made.append(_write_default(path))
    made.append(make_modules(path, ["OUT"]))
    if group is not None:
        made.append(share(path / "Submitted", group))
    for folder in (*FOLDERS, "."):
        fsync_folder(path / folder)
    return any(made)


def share(folder: Path, group: str) -> bool:
    """Let the members of a group drop mail into the drop folder, but neither list it nor touch the drops of others.

    Return True if this changed something. Raises BaseDirError and OSError.
    """
    try:
        number = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise BaseDirError(f"there is no group {group}: make it with: groupadd --system {group}") from None
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        before = os.fstat(fd)
        if (before.st_gid, stat.S_IMODE(before.st_mode)) == (number, SHARED):
            return False
        os.fchown(fd, -1, number)
        os.fchmod(fd, SHARED)
        if stat.S_IMODE(os.fstat(fd).st_mode) != SHARED:
            raise PermissionError
    except PermissionError:
        text = f"the group of {folder} cannot become {group}: run as root, or make the account of the engine a member of it"
        raise BaseDirError(text) from None
    finally:
        os.close(fd)
    return True


def make_modules(base: Path, modules: Iterable[str]) -> bool:
    """Make the module queues of `modules` in Outbound; return True if one was missing."""
    names = [name for name in modules if is_module(name)]
    made = [_make(base / layout.module_folder(name), 0o750) for name in names]
    if any(made):
        fsync_folder(base / "Outbound")
    return any(made)


def make_again(modules: Iterable[str]) -> list[str]:
    """Make missing folders below the current directory again, except Run; return their names. Raises OSError.

    Their content is lost, and so are the modes that an administrator set. A `.taken` of another account is moved away.
    """
    if trust.foreign_taken() is not None:
        os.rename(layout.TAKEN, f"{layout.TAKEN}.{time.time_ns()}")
    folders = FOLDERS | {layout.module_folder(name): 0o750 for name in modules if is_module(name)}
    gone = [name for name in folders if name != "Run" and not os.path.isdir(name)]
    for name in gone:
        os.mkdir(name, folders[name])
        fsync_folder(os.path.dirname(name) or ".")
    if "Queue" in gone:
        format.write(format.FORMAT)
    return gone


def share_asked() -> None:
    """Give Asked/ the group and the mode of Queue/, which the administrator may have opened to the account of a filter. Raises OSError."""
    wanted = os.stat("Queue")
    fd = os.open(asked.FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if (found.st_gid, found.st_mode) != (wanted.st_gid, wanted.st_mode):
            os.fchown(fd, -1, wanted.st_gid)
            os.fchmod(fd, stat.S_IMODE(wanted.st_mode))
    finally:
        os.close(fd)


def _make(folder: Path, mode: int) -> bool:
    try:
        folder.mkdir(mode)
    except FileExistsError:
        if not folder.is_dir():
            raise BaseDirError(f"{folder} is not a folder: move it away") from None
        return False
    return True


def _write_default(path: Path) -> bool:
    """Write the commented default, whole or not at all. It never replaces a file of the administrator."""
    config = path / CONFIG
    if config.exists():
        return False
    replace(config, _default())
    return True


@functools.cache
def _default() -> bytes:
    """Return the commented default. It is read before root becomes an account that may not read the installation."""
    return resources.files("enqueuer.config").joinpath("default.toml").read_bytes()


def replace(path: Path, data: bytes, like: Path | None = None) -> None:
    """Write a file under another name and rename it over `path`, with mode and owner of `like`. All but the name is synced.

    It follows no link and opens no existing file: what another account put there is replaced.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600 if like else 0o666)
    with open(fd, "wb") as file:  # noqa: PTH123  (a descriptor)
        file.write(data)
        if like is not None:
            _make_like(fd, like.stat())
        file.flush()
        os.fsync(fd)
    new.rename(path)


def _make_like(fd: int, status: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.fchown(fd, status.st_uid, status.st_gid)
    os.fchmod(fd, stat.S_IMODE(status.st_mode))


def fsync_folder(folder: str | Path) -> None:
    """Sync the names in a folder. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _readable(path: Path) -> bool:
    return not path.exists() or os.access(path, os.R_OK | os.X_OK)


def read_config(path: Path) -> bytes:
    """Read a config file, or the start of one that is too large. Raises OSError."""
    with open_plain(path) as file:
        return file.read(MOST)
