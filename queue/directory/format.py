"""The format number of a base directory: Queue/.format says which engines understand its files.

    1   no file
    2   Incoming/ exists, the folder of the doors
    3   Hold/ exists, the folder of messages on hold

The number is in Queue/, because it describes the messages: Queue/ may be a link to another filesystem, and a copy of it takes the
number along. A conversion may be killed at any instant: it makes folders, which may exist already, and writes the number last.
"""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

__all__ = ["FILE", "FIRST", "FORMAT", "FormatError", "convert", "expect_known", "folders_since", "read", "write"]

FORMAT = 3
"""The format that this engine writes, and the newest that it knows."""
FIRST = 1
"""The format of a base directory without the file."""
FOLDERS = {2: ("Incoming",), 3: ("Hold",)}
"""The folders that each format added."""
MODE = 0o750
FILE = "Queue/.format"
NEXT = "Queue/.format.tmp"
MAX_DIGITS = 9
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class FormatError(Exception):
    """This engine must not touch the base directory. The text names the file and the cure."""


def expect_known(name: Path, path: Path = Path()) -> int:
    """Return the format of the base directory at `path`, which people call `name`. Raises FormatError and OSError."""
    number = read(path, name)
    if number > FORMAT:
        raise FormatError(
            f"{name / FILE} says format {number}, and this version of Enqueuer knows formats up to {FORMAT}: "
            "use the version that last ran here, or a newer one"
        )
    return number


def read(path: Path = Path(), name: Path | None = None) -> int:
    """Return the format of the base directory at `path`. Raises FormatError where the file has no number, and OSError."""
    try:
        data = _contents(path / FILE)
    except FileNotFoundError:
        return FIRST
    text = data.strip()
    if not text.isdigit() or len(text) > MAX_DIGITS or not int(text):
        cure = f"write {FORMAT} into it if this version ran here last"
        raise FormatError(f"{(name or path) / FILE} holds no format number: restore it from a backup, or {cure}")
    return int(text)


def write(number: int, path: Path = Path()) -> None:
    """Write the format number durably, whole or not at all. Raises OSError."""
    new = path / NEXT
    new.unlink(missing_ok=True)
    fd = os.open(new, _MAKE, 0o640)
    try:
        os.write(fd, b"%d\n" % number)
        os.fsync(fd)
    finally:
        os.close(fd)
    new.rename(path / FILE)
    _sync(path / "Queue")


def folders_since(number: int) -> frozenset[str]:
    """Return the folders that a base directory of format `number` may lack."""
    return frozenset(folder for since, folders in FOLDERS.items() if since > number for folder in folders)


def convert() -> Iterator[str]:
    """Convert the base directory in the current folder to FORMAT, one format after the other; report each step in words.

    The caller holds the locks of the base directory, and expect_known() accepted it. Raises FormatError and OSError.
    """
    for number in range(read(), FORMAT):
        made = [folder for folder in FOLDERS[number + 1] if _make(folder)]
        _sync(Path())
        write(number + 1)
        what = f": {', '.join(f'{folder}/' for folder in made)} made" if made else ""
        yield f"the base directory is converted from format {number} to {number + 1}{what}"


def _make(folder: str) -> bool:
    try:
        os.mkdir(folder, MODE)
    except FileExistsError:
        if not os.path.isdir(folder):
            raise
        return False
    return True


def _contents(path: Path) -> bytes:
    fd = os.open(path, _READ)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return os.read(fd, 64)
    finally:
        os.close(fd)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
