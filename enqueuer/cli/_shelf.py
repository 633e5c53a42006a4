"""List and show the messages of one folder, for the commands queue and quarantine."""

import functools
import itertools
import json as jsons
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enqueuer import exits
from enqueuer.cli import _lists
from enqueuer.cli._common import answer, enter, fail, fold, printable, stream
from enqueuer.log import history
from enqueuer.queue.directory import shelf
from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.format import expect_known

if TYPE_CHECKING:
    from enqueuer.log.entries import LogEntry

__all__ = ["list_folder", "show_drop", "show_message", "show_queued"]

Described = tuple[shelf.ShelfEntry, tuple[bytes, bytes]]
"""A message, its envelope lines, and its header."""


def list_folder(folder: shelf.Folder, base: str | None, json: bool) -> None:
    """Print all messages of the folder. Those on hold are in the queue."""
    expect_known(enter(base))
    disk = Disk()
    now = time.time()
    entries = shelf.queued(disk) if folder == "Queue" else shelf.entries(disk, folder)
    found: Iterator[dict[str, Any]] = (_document(entry, now) for entry in entries)
    if folder == "Queue":
        found = _with_states(found)
    if json:
        stream(map(jsons.dumps, found))
    else:
        _lists.messages(found, folder)
    disk.close()


def _with_states(found: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Replace the states that the files show by those of the engine, if one runs."""
    from enqueuer.cli import _where
    from enqueuer.control.client import NotRunning

    while batch := list(itertools.islice(found, _where.MOST_STATES)):
        try:
            states = _where.states(Path.cwd(), [each["id"] for each in batch])
        except (NotRunning, OSError):
            yield from batch
            yield from found
            return
        for each, state in zip(batch, states, strict=False):
            yield each | {"state": state or each["state"]}


def show_message(folder: shelf.Folder, id: int, base: str | None, json: bool) -> None:
    """Print envelope, header and reason of one message."""
    expect_known(enter(base))
    if (document := _read(folder, id)) is None:
        fail(f"no message {id} in {folder}", exits.NOINPUT)
    _print(document, json)


def show_queued(id: int, json: bool) -> None:
    """Print a message from the folder where it is now, and its lines in the log. If an engine runs, print what the message waits for.

    Of a message that has left, print how and when it ended. It runs in the base directory. Raises CommandFailure if nothing is known.
    """
    from enqueuer.cli import _meant, _where

    expect_known(Path.cwd())
    now = _where.ask(Path.cwd(), id)
    folders: tuple[shelf.Folder, ...] = ("Queue", "Hold", "Quarantine", "Bad", "Queue")  # twice: it may come back meanwhile
    document = next((found for folder in folders if (found := _read(folder, id)) is not None), None)
    log = _meant.told(id)
    if document is None:
        document = _left(id, log)
    else:
        document |= {"now": now, "state": now["state"] or document["state"], "files": shelf.enqueued(id)}
    lines = [line for entry in log for line in entry.shown()]
    if len(log) == _meant.MAX_LINES and not json:
        lines.insert(0, f"the last {len(log)} lines; all of them: enqueuer log --id {id}")
    _print(document | {"log": lines}, json)


def show_drop(name: str, text: str, json: bool) -> None:
    """Print what is known of a drop that never became a message."""
    if json:
        answer({"id": None, "drop": name, "text": text})
    else:
        print(fold(printable(text), 4))


def _left(id: int, log: "list[LogEntry]") -> dict[str, Any]:
    """Return the document of a message that is in no folder of the engine any more. Raises CommandFailure if it is not known at all."""
    files = shelf.enqueued(id)
    if not files and not log:
        fail(f"no message {id}: no folder has it, and no line of the log is about it", exits.NOINPUT)
    state, reason, at = history.ended((entry.at, entry.text) for entry in log)
    nothing = _document(shelf.ShelfEntry(id=id, state=state, time=0.0, size=0), 0.0) | {"age_s": None, "size": None}
    document = _enqueued(files) or nothing | {"envelope": [], "header": []}
    return document | {"ended": {"reason": reason, "time": at}, "files": files}


def _enqueued(files: list[str]) -> dict[str, Any] | None:
    """Return the document of the first of these files that can be read: another program empties the module queues."""
    return next((found for file in files if (found := _described(functools.partial(shelf.output, path=file))) is not None), None)


def _read(folder: shelf.Folder, id: int) -> dict[str, Any] | None:
    """Return a message's document; None if it is not in that folder."""

    def read(disk: Disk) -> Described:
        entry = shelf.read(disk, folder, id)
        return entry, (b"", b"") if entry.state == "waiting" else shelf.head(disk, folder, id)

    return _described(read)


def _described(read: Callable[[Disk], Described]) -> dict[str, Any] | None:
    """Return the document of what this function reads; None if it finds no file. Raises CommandFailure if the file is not a message."""
    disk = Disk()
    try:
        entry, (lines, header) = read(disk)
    except FileNotFoundError:
        return None
    except ValueError as error:
        fail(str(error), exits.DATAERR)
    finally:
        disk.close()
    return _document(entry, time.time()) | {"envelope": _lines(lines), "header": _lines(header)}


def _print(document: dict[str, Any], json: bool) -> None:
    if json:
        answer(document)
    else:
        from enqueuer.cli import _show

        _show.message(document)


def _document(entry: shelf.ShelfEntry, now: float) -> dict[str, Any]:
    return {
        "id": entry.id,
        "state": entry.state,
        "age_s": round(max(0.0, now - entry.time), 1),
        "size": entry.size,
        "sender": None if entry.sender is None else _text(entry.sender),
        "recipients": [_text(recipient) for recipient in entry.recipients],
        "message_id": entry.message_id,
        "subject": entry.subject,
        "drop": None if entry.drop is None else _text(entry.drop),
        "dropper": entry.dropper,
        "why": entry.why,
    }


def _lines(data: bytes) -> list[str]:
    return [_text(line) for line in data.replace(b"\r\n", b"\n").split(b"\n") if line]


def _text(data: bytes) -> str:
    return data.decode(errors="backslashreplace")
