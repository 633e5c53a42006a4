"""Check that messages can move between the folders of a base directory, with what the store does: a rename.

st_dev does not help: two bind mounts or volumes of one filesystem have the same one, and a rename between them fails.
"""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from enqueuer.basedir import BaseDirError
from enqueuer.queue.directory import layout
from enqueuer.queue.directory.format import FIRST, folders_since
from enqueuer.queue.directory.names import is_module

__all__ = ["Apart", "expect_renames"]

FOLDERS = layout.MOVES
"""Folders through which messages move. None moves through Settings, SystemLogs and Run."""


class Apart(BaseDirError):
    """Two folders are on different mounts."""


def expect_renames(base: Path, modules: Iterable[str]) -> None:
    """Move an empty file through all folders that messages go through. Raises Apart if two are on different mounts, and OSError.

    No other account can make a file of this name in the drop folder.
    """
    probe = f".rename-{secrets.token_hex(8)}"
    here = base / FOLDERS[0] / probe
    here.touch(0o600, exist_ok=False)
    try:
        for folder in (*FOLDERS[1:], *(layout.module_folder(name) for name in modules if is_module(name))):
            there = base / folder / probe
            if folder in folders_since(FIRST) and not there.parent.is_dir():  # `config check` before the first start converts it
                continue
            _rename(here, there)
            here = there
    finally:
        with contextlib.suppress(OSError):
            here.unlink()


def _rename(here: Path, there: Path) -> None:
    try:
        os.rename(here, there)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        apart = f"{there.parent} is on another mount than {here.parent}"
        raise Apart(
            f"{apart}, so the engine cannot rename messages from one to the other: put all folders of the base directory on one mount"
        ) from None
