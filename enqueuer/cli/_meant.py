"""Find the message that an argument names: by its id, by the name of its file, or by the name that `submit` printed; and its lines in
the log.
"""

import contextlib
import json
import os
import re
from collections import deque
from pathlib import Path
from typing import Annotated

import typer

from enqueuer import exits
from enqueuer.cli._common import account, fail, printable
from enqueuer.log import history
from enqueuer.log.entries import LogEntry, LogQuery
from enqueuer.log.reading import LogFolder
from enqueuer.queue.directory import names, shelf
from enqueuer.system.openfile import open_plain

__all__ = ["Id", "drop_id", "is_drop", "message_id", "told"]

LOG = Path("SystemLogs")
MAX_LINES = 100
"""Lines of the log that are shown of one message: its last ones."""
_FILE = re.compile(r"([1-9][0-9]{0,17})(?:-[0-9]{1,4})?(?:\.msg|\.why)?")
MAX_REASON = 64 << 10
_UNKNOWN = "by an account that is not known"


def message_id(text: str) -> int:
    """Return the id, which may have the form of the message's file name. Raises BadParameter."""
    match = _FILE.fullmatch(text.rpartition("/")[2])
    if match is None:
        raise typer.BadParameter(f"{printable(text)!r} is not the id of a message: an id is a number; the lists and the log show it")
    return int(match[1])


Id = Annotated[int, typer.Argument(metavar="ID", parser=message_id, help="The id in the list and in the log.")]


def is_drop(text: str) -> bool:
    """Return whether an argument is not an id, and may be the name of a drop, which has a suffix."""
    return _FILE.fullmatch(text.rpartition("/")[2]) is None and "." in text


def drop_id(name: str) -> int | str:
    """Return the id that the drop of this name got, from its file or else from the log. If it never became a message, return what the
    drop folder says about it. It runs in the base directory. Raises CommandFailure.

    Droppers choose the names, so two drops may have the same one. If several have it, the error lists each with its dropper.
    """
    name = name.rpartition("/")[2]
    ids = _ids(name)
    found = _in_the_folder(name)
    if len(ids) + len(found) > 1:
        each = [*found, *(f"message {id}, {by}: enqueuer queue show {id}" for id, by in sorted(ids.items()))]
        fail("\n  ".join([f"several drops have the name {printable(name)}:", *each]), exits.DATAERR)
    if ids:
        return next(iter(ids))
    if not found:
        fail(f"no file and no line of the log names a drop {printable(name)}", exits.NOINPUT)
    return f"{printable(name)} {found[0]}"


def _ids(name: str) -> dict[int, str]:
    """Return the messages that had this drop name, each with its dropper.

    They come from the claimed drops, and from the last day of the log that has the name.
    """
    found: dict[int, str] = {}
    log = LogFolder(LOG)
    for day in sorted({file.day for file in log.files()}, reverse=True):
        query = LogQuery(texts=(f", {printable(name)}",), tag="QUEUE", since=day, before=f"{day}~")
        stories = history.stories(entry.line for entry in log.entries(query))
        if came := {id: account(story.dropper) for id, story in stories.items() if story.name == printable(name)}:
            found = came
            break
    for id, owner in shelf.claimed(os.fsencode(name)):
        found[id] = _UNKNOWN if owner is None else account(owner)
    return found


def _in_the_folder(name: str) -> list[str]:
    """Return the entries of this name in the drop folder: a drop that was not taken yet, the reason of a refused one."""
    found = []
    path = b"Submitted/" + os.fsencode(name)
    raw = os.fsencode(name)
    if os.path.lexists(path):
        found.append(f"is in Submitted, and was not taken yet ({_owner(path)}): `enqueuer status` says whether an engine runs")
    why = b"Submitted/" + names.refused(raw)[1]
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        found.append(f"was refused: {printable(str(json.loads(_read(why))['reason']))} (this reason is in a file of {_owner(why)[3:]})")
    return found


def _read(path: bytes) -> bytes:
    """Read a file of the drop folder, where any account may have put something else under its name. Raises OSError."""
    with open_plain(path, follow=False) as file:
        return file.read(MAX_REASON)


def _owner(path: bytes) -> str:
    try:
        return account(os.lstat(path).st_uid)
    except OSError:
        return _UNKNOWN


def told(id: int) -> list[LogEntry]:
    """Return the lines of the log about a message, at most the last MAX_LINES. It reads the files backwards, as far as the first line."""
    log = LogFolder(LOG)
    query = LogQuery(ids=frozenset({id}))
    found: list[LogEntry] = []
    for file in log.backwards(query):
        here: deque[LogEntry] = deque(maxlen=MAX_LINES)
        is_first = False
        for entry in log.of(file, query):
            here.append(entry)
            is_first = is_first or entry.text.startswith("from <")
        found = [*here, *found][-MAX_LINES:]
        if is_first:
            break
    return found
