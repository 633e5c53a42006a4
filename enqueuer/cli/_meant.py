"""Which message is meant: by its id, by the name of its file, or by the name that `submit` printed; and what the log tells of it."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from enqueuer import exits
from enqueuer.basedir import open_plain
from enqueuer.cli._common import fail, printable
from enqueuer.queue import names

__all__ = ["Id", "drop_id", "is_drop", "message_id", "told"]

MAX_LINES = 10
"""Lines of the log that are shown of one message: its last ones."""
MAX_LINE = 1 << 16
"""Bytes of one line of the log; ours have at most 32,000."""
MAX_WHY = 1 << 20
"""Bytes of a reason that are read; ours have some hundred."""
_FILE = re.compile(r"([1-9][0-9]{0,17})(?:-[0-9]{1,4})?(?:\.msg|\.why)?")
_ID = re.compile(r"QUEUE\(\[(\d+)\]\) from <.*>, \d+ bytes, ")


def message_id(text: str) -> int:
    """The id, which may be written as the name of the message's file. Raises BadParameter."""
    match = _FILE.fullmatch(text.rpartition("/")[2])
    if match is None:
        raise typer.BadParameter(f"{printable(text)!r} is no id of a message: ids are numbers, and stand in the lists and in the log")
    return int(match[1])


Id = Annotated[int, typer.Argument(metavar="ID", parser=message_id)]


def is_drop(text: str) -> bool:
    """Whether it is no id, and may be the name of a drop: these have a suffix."""
    return _FILE.fullmatch(text.rpartition("/")[2]) is None and "." in text


def drop_id(name: str) -> int:
    """The id that the drop of this name got, in the base directory, by its file or else by the log. Raises Failure."""
    name = name.rpartition("/")[2]
    if Path("Submitted", name).exists():
        fail(f"{printable(name)} lies in Submitted, and was not taken yet: `enqueuer status` says whether an engine runs", exits.NOINPUT)
    if (id := _taken(name) or _received(name)) is None:
        fail(_refused(name) or f"no message came as {printable(name)}, by the files and by the log", exits.NOINPUT)
    return id


def _taken(name: str) -> int | None:
    """By the claimed drops."""
    for found in map(names.parse_taken, map(os.fsencode, os.listdir("Submitted/.taken"))):
        if found is not None and found.name == os.fsencode(name):
            return found.id
    return None


def _received(name: str) -> int | None:
    """By the log."""
    for line in _log(f", {name}"):
        if (match := _ID.search(line)) and line[match.end() :] == name:
            return int(match[1])
    return None


def told(id: int) -> list[str]:
    """What the log tells of a message, of the day on which it tells most lately."""
    return list(_log(f"QUEUE([{id}])"))[-MAX_LINES:]


def _refused(name: str) -> str:
    """Why a drop was given back."""
    path = Path("Submitted", os.fsdecode(names.refused(os.fsencode(name))[1]))
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError), open_plain(path) as file:
        return f"{printable(name)} was refused: {printable(str(json.loads(file.read(MAX_WHY))['reason']))}"
    return ""


def _log(text: str) -> Iterator[str]:
    """The lines that have it, of the last day that has any."""
    wanted = text.encode()
    for path in sorted(Path("SystemLogs").glob("*.log"), reverse=True):
        with contextlib.suppress(OSError), open_plain(path) as file:
            lines = iter(lambda file=file: file.readline(MAX_LINE), b"")  # type: ignore[misc]
            if found := [line.rstrip(b"\n").decode(errors="backslashreplace") for line in lines if wanted in line]:
                yield from (printable(f"{path.stem} {line}") for line in found)
                return
