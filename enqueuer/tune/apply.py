"""Writes what tune recommends into the config file: two keys, whole or not at all, with the old file kept beside it."""

import os
from collections.abc import Mapping
from pathlib import Path

from enqueuer import basedir
from enqueuer.tune.edit import edited

__all__ = ["OLD", "apply"]

OLD = Path("Settings/enqueuer.toml.before-tune")


def apply(base: Path, processors: int | None, slots: Mapping[str, int]) -> bool:
    """Put the settings into the file (None: the count stays); False when they stand there already. An engine that runs takes it by itself.

    Raises ConfigError where it was changed meanwhile into what no engine takes, and OSError.
    """
    path = base / basedir.CONFIG
    before = path.read_bytes()
    after = edited(before.decode("utf-8-sig"), processors=processors, slots=slots).encode()
    if after == before:
        return False
    _write(base / OLD, before, path)
    new = path.with_name("enqueuer.toml.tune")
    _write(new, after, path)
    new.rename(path)
    basedir.fsync_folder(path.parent)
    return True


def _write(path: Path, data: bytes, like: Path) -> None:
    """A file with the mode and the owner of another, on the disk for good."""
    status = like.stat()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:  # noqa: PTH123  (a descriptor)
        file.write(data)
        os.fchmod(fd, status.st_mode & 0o7777)
        if os.geteuid() == 0:
            os.fchown(fd, status.st_uid, status.st_gid)
        file.flush()
        os.fsync(fd)
