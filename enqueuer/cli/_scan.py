"""Scan messages by the running engine, or by one that this command starts, and print the decisions. Without typer, which loads slowly."""

import contextlib
import itertools
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from enqueuer import exits
from enqueuer.cli._mailfiles import MailFiles, MailSource, given, plain
from enqueuer.control.client import NotRunning
from enqueuer.control.scanclient import RefusedScan, ScanSocket
from enqueuer.queue.message.printable import printable

__all__ = ["ScanFailure", "ScanOptions", "run"]

AT_ONCE = 8
"""Messages that are scanned at the same time."""
BAD_REQUEST = 400
WORDS = {"enqueued": "passes", "deferred": "not now"}
"""The words for outcomes; all others are "caught"."""


class ScanFailure(Exception):
    """The command cannot scan. It has one line for the user, and the exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class ScanOptions(NamedTuple):
    files: tuple[str, ...]
    json: bool = False
    standalone: bool = False
    base: str | None = None
    sender: str = ""
    recipients: tuple[str, ...] = ()
    client: str = ""
    helo: str = ""
    user: str = ""


def run(options: ScanOptions) -> int:
    """Scan, and return the exit code. Raises ScanFailure, OSError, and the errors of a base directory."""
    fields = _fields(options)
    for name in options.files:
        if name != "-" and not Path(name).exists():
            raise ScanFailure(f"{name}: no such file or folder", exits.NOINPUT)
    with _engine(options) as door:
        leaves_root = os.geteuid() == 0 and door.owner != 0
        found = MailFiles(given if leaves_root else plain).find(options.files)
        return _Scan(door, fields, options.json).all(found)


def _fields(options: ScanOptions) -> bytes:
    """Return the envelope and the client from the options, as fields of the request."""
    pairs = [("X-From", options.sender), *(("X-Rcpt", each) for each in options.recipients)]
    pairs += [("X-Ip", options.client), ("X-Helo", options.helo), ("X-User", options.user)]
    for name, value in pairs:
        if any(char < " " or char == "\x7f" for char in value):
            raise ScanFailure(f"{name[2:]} {value!r}: control characters are not allowed", exits.DATAERR)
    return b"".join(b"%s: %s\r\n" % (name.encode(), os.fsencode(value)) for name, value in pairs if value)


@contextlib.contextmanager
def _engine(options: ScanOptions) -> Iterator[ScanSocket]:
    """Yield the door of the running engine, or of one that runs only for this command."""
    if options.standalone:
        from enqueuer.cli._standalone import standalone

        with standalone(options.base) as base:
            yield ScanSocket(base)
        return
    try:
        door = ScanSocket(_base(options.base))
    except NotRunning as error:
        raise ScanFailure(str(error), exits.UNAVAILABLE) from None
    yield door


def _base(named: str | None) -> Path:
    """Return the base directory, as basedir.find does. That module is loaded only if there is something to check."""
    if named := named or os.environ.get("ENQUEUER_BASE"):
        path = Path(named).absolute()
    elif not Path("spool").is_dir():
        path = Path("/var/spool/enqueuer")
    else:
        path = Path()
    if not (path / "Run").is_dir() or path == Path():
        from enqueuer import basedir

        return basedir.find(named)
    return path


class _Scan:
    """Scans messages, up to AT_ONCE at a time, and prints a line for each as soon as it has its decision."""

    def __init__(self, door: ScanSocket, fields: bytes, json: bool) -> None:
        self._door = door
        self._fields = fields
        self._json = json
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._unreadable = False
        self._failure: BaseException | None = None

    def all(self, rest: Iterator[MailSource]) -> int:
        first = next(rest, None)
        second = next(rest, None)
        if second is None:
            if first is not None:
                self._one(first)
        else:
            todo = itertools.chain((first, second), rest)
            threads = [threading.Thread(target=self._work, args=(todo,), daemon=True) for _ in range(AT_ONCE)]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
        if self._failure is not None:
            raise self._failure
        return self._end()

    def _work(self, todo: Iterator[MailSource | None]) -> None:
        try:
            while self._failure is None:
                with self._lock:
                    source = next(todo, None)
                if source is None:
                    return
                self._one(source)
        except BaseException as error:  # noqa: BLE001  the main thread raises it
            self._failure = error

    def _one(self, source: MailSource) -> None:
        try:
            found = self._door.ask(self._fields, source.pieces())
        except RefusedScan as error:
            if error.status == BAD_REQUEST:  # an option has a fault
                raise ScanFailure(str(error).replace("X-Ip or X-User", "--client or --user"), exits.DATAERR) from None
            found = _undecided(str(error))
        except NotRunning as error:
            found = _undecided(str(error))
        except OSError as error:
            self._unreadable = True
            print(f"enqueuer: {printable(source.name)}: {error.strerror}", file=sys.stderr)
            return
        with self._lock:
            self._counts[WORDS.get(found["outcome"], "caught")] += 1
            print(json.dumps({"file": source.name, **found}) if self._json else _line(source.name, found), flush=True)

    def _end(self) -> int:
        counts = self._counts
        if counts.total() > 1 and not self._json:
            print(
                f"{counts.total()} messages: "
                + ", ".join(f"{counts[word]} {word}" for word in ("passes", "caught", "not now") if counts[word])
            )
        if counts["caught"]:
            return 1
        if self._unreadable:
            return exits.NOINPUT
        return exits.TEMPFAIL if counts["not now"] else exits.OK


def _undecided(text: str) -> dict[str, Any]:
    """Return the document of a message without a decision."""
    lists = dict.fromkeys(("fields", "changes", "recipients", "removed", "outcomes", "filters", "trail"), ())
    return {"outcome": "deferred", "text": text, **lists, "id": ""}


def _line(name: str, found: dict[str, Any]) -> str:
    """Return the line for people."""
    word = WORDS.get(found["outcome"], "caught")
    text = found["text"]
    by = next((each for each in reversed(found["filters"]) if each["answer"] in ("ERROR", "DISCARD")), None)
    if word == "caught" and by is not None:
        word = f"caught by {by['name']}"
        text = by["text"]
    said = " ".join(text.split()) if word != "passes" else ""
    return printable(f"{name}: {word}: {said}" if said else f"{name}: {word}")
