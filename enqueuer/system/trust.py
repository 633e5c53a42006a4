"""Check which accounts may write the config file and its folders, and which may look into the drop folder.

An account that may write the config file can run programs as the engine, so a start and a reload check this.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from enqueuer.queue.directory.layout import TAKEN

__all__ = ["config", "drop_folder", "folders", "foreign_taken", "is_shared", "unsafe"]

CURE = "chmod go-w"
MAX_LINKS = 40
"""Links that are followed, as by the kernel."""


def unsafe(path: str, found: os.stat_result, engine: int) -> str | None:
    """Return why an account other than the engine's and root can change a file or folder of the configuration; None if none can."""
    if found.st_uid not in (0, engine):
        return f"{path} belongs to account {found.st_uid}, which can change what the engine runs: chown {engine} {path}"
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not others or (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX):
        return None
    who = "every account" if others & stat.S_IWOTH else f"group {found.st_gid}"
    return f"{path} can be written by {who}, which can thus change what the engine runs: {CURE} {path}"


def folders(file: Path, engine: int) -> Iterator[str]:
    """Yield what is unsafe in the folders of a config file in Settings/: this folder, the one above, and all that a link passes. Raises
    OSError.

    On a filesystem that is mounted read-only a mode lets no account write: a ConfigMap of Kubernetes has a folder of 0777.
    """
    for folder in dict.fromkeys((file.parent, file.parent.parent, *_led_through(file), file.resolve().parent)):
        if not os.statvfs(folder).f_flag & os.ST_RDONLY and (problem := unsafe(str(folder), folder.stat(), engine)) is not None:
            yield problem


def _led_through(file: Path) -> Iterator[Path]:
    """Yield the folders of the links on the path of a file: an account that may write there can change where they lead."""
    for _ in range(MAX_LINKS):
        if not file.is_symlink():
            return
        file = file.parent / file.readlink()
        yield file.parent


def config(file: Path, engine: int) -> str | None:
    """Return why the programs of a config file must not run: another account may write it or its folders. None if none may. Raises
    OSError.
    """
    return unsafe(str(file), file.stat(), engine) or next(folders(file, engine), None)


def is_shared(folder: Path) -> bool:
    """Return whether other accounts may write into the drop folder."""
    return bool(folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def drop_folder(folder: Path) -> Iterator[str]:
    """Yield what is unsafe in a drop folder that other accounts write into."""
    mode = folder.stat().st_mode
    for kind, writes, lists, cure in (
        ("every account", stat.S_IWOTH, stat.S_IROTH, "chmod o-r"),
        ("its whole group", stat.S_IWGRP, stat.S_IRGRP, "chmod g-r"),
    ):
        if mode & writes and mode & lists:
            yield f"{folder}: {kind} may list it, so find the drops of others and read those whose mode allows it: {cure} {folder}"
        if mode & writes and not mode & stat.S_ISVTX:
            yield f"{folder}: {kind} may rename and remove the drops of others: chmod +t {folder}"


def foreign_taken() -> int | None:
    """Return the account that made `.taken` or its link, if it is neither root, the engine's nor the base directory's; else None.

    If `.taken` was removed, any account that may drop mail could make its own, and receive the mail of all.
    """
    owners: list[int] = []
    with contextlib.suppress(FileNotFoundError):
        for look in (os.lstat, os.stat):
            owners.append(look(TAKEN).st_uid)
    return next((owner for owner in owners if owner not in (0, os.geteuid(), os.stat(".").st_uid)), None)
