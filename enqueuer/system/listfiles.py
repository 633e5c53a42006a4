"""Read the named lists of Settings/lists/, whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

from enqueuer.policy.namedlists import MAX_BYTES, MAX_LISTS, SUFFIX, parse
from enqueuer.queue.message.printable import printable
from enqueuer.system.openfile import open_plain

__all__ = ["FOLDER", "ListState", "look", "names", "read"]

FOLDER = "Settings/lists"
ListState = tuple[tuple[str, int, int, int], ...]
"""Name, time of change, size and number of each file."""


def names(folder: str = FOLDER) -> list[str]:
    """Return the names of the files that are lists. Editors' copies and hidden files are none. Raises OSError."""
    try:
        found = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(name for name in found if name.endswith(SUFFIX) and not name.startswith("."))


def look(folder: str = FOLDER) -> ListState:
    """Return the state of all lists: it differs if one of them has changed. Never raises."""
    try:
        there = names(folder)
    except OSError as error:  # no folder, or not ours: read() names the fault
        return (("", error.errno or 0, 0, 0),)
    found = []
    for name in there:
        try:
            status = os.stat(f"{folder}/{name}")
        except OSError:
            found.append((name, 0, 0, 0))
        else:
            found.append((name, status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)


def _whole(path: str) -> bytes:
    with open_plain(Path(path)) as file:
        return file.read(MAX_BYTES + 1)


def read(folder: str = FOLDER, content: Callable[[str], bytes] = _whole) -> dict[str, tuple[str, ...]]:
    """Read all lists. `content` reads one file. Raises ValueError with the file and the cure, and OSError."""
    files = names(folder)
    if len(files) > MAX_LISTS:
        raise ValueError(f"{folder} has {len(files)} lists: at most {MAX_LISTS} are possible")
    room = MAX_BYTES
    found = {}
    for name in files:
        data = content(f"{folder}/{name}")
        room -= len(data)
        if room < 0:
            raise ValueError(f"{folder}/{printable(name)}: all lists together have more than {MAX_BYTES >> 20} MB")
        try:
            found[name.removesuffix(SUFFIX)] = parse(name.removesuffix(SUFFIX), data)
        except ValueError as error:
            raise ValueError(f"{folder}/{printable(name)}: {error}") from None
    return found
