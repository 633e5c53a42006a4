"""The reader's own mail, read and never touched: a folder of files, an mbox, a Maildir, or one message.

Files are opened for reading only, and where that is allowed without a new access time, by which mail programs tell new mail
from old. Nothing is locked, renamed or written. What is no message is named and left out.
"""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from enqueuer.lab.mbox import is_separator, split
from enqueuer.queue.message import header as headers

__all__ = ["MOST", "SOMEBODY", "Letter", "MailFound", "NoMail", "addressed", "read"]

LINE = 64 << 10
"""Bytes of a line that are read at once."""
SOMEBODY = b"postmaster@localhost"
"""Who gets what names no recipient: delivered mail often does not."""
_FIELD = re.compile(rb"[\x21-\x39\x3b-\x7e]+[ \t]*:")


class NoMail(Exception):
    """There is no message to be read; the text says where, and what would be one."""


class Letter(NamedTuple):
    """A message, and where it comes from, for people."""

    name: str
    data: bytes


class Most(NamedTuple):
    """How much is read: messages, their bytes together, and the bytes of one."""

    messages: int = 1000
    total: int = 256 << 20
    each: int = 64 << 20


MOST = Most()


class MailFound(NamedTuple):
    """The messages, what was left out and why, and how many there are that were not looked at."""

    letters: list[Letter]
    skipped: list[tuple[str, str]]
    more: bool


def read(path: Path, most: Most = MOST) -> MailFound:
    """Read copies of the mail at `path`: of many files some from everywhere. Raises NoMail, and OSError for `path` itself."""
    found = MailFound([], [], False)
    files, more = _spread(_files(path), most.messages)
    taken = 0
    for file in files:
        for letter in _letters(file, path, most, found.skipped):
            taken += len(letter.data)
            if taken > most.total or len(found.letters) >= most.messages:
                return found._replace(more=True)
            found.letters.append(letter)
    if not found.letters:
        raise NoMail(_nothing(path, found))
    return found._replace(more=more)


def addressed(data: bytes) -> bytes:
    """The message, with a recipient where its header names none; the engine takes the added field out again."""
    end = headers.header_end(data)
    try:
        headers.read(data if end < 0 else data[:end])
    except headers.HeaderError:
        return b"Envelope-To: " + SOMEBODY + b"\n" + data
    return data


def _nothing(path: Path, found: MailFound) -> str:
    why = f" ({found.skipped[0][0]}: {found.skipped[0][1]})" if found.skipped else ""
    return f"{path} holds no mail message{why}: name a folder of messages, an mbox or a Maildir"


def _files(path: Path) -> list[Path]:
    """The files in which messages may be, in the order of their names."""
    if not path.is_dir():
        return [path]
    folders = [path / "new", path / "cur"]
    if not all(folder.is_dir() for folder in folders):
        folders = [path]
    names = [Path(entry.path) for folder in folders for entry in os.scandir(folder) if not entry.name.startswith(".")]
    return sorted(names, key=os.fsencode)


def _spread(files: list[Path], most: int) -> tuple[list[Path], bool]:
    """At most so many of them, from everywhere in the list, and whether others are left."""
    if len(files) <= most:
        return files, False
    return [files[at * len(files) // most] for at in range(most)], True


def _letters(file: Path, root: Path, most: Most, skipped: list[tuple[str, str]]) -> Iterator[Letter]:
    """The messages of one file; a reason in `skipped` where there is none. The named file itself fails loudly."""
    name = str(file.relative_to(root)) if file != root else file.name
    try:
        with _opened(file) as source:
            yield from _messages(source, name, most, skipped)
    except OSError as error:
        if file == root:
            raise
        skipped.append((name, (error.strerror or str(error)).lower()))


def _messages(source: BinaryIO, name: str, most: Most, skipped: list[tuple[str, str]]) -> Iterator[Letter]:
    size = os.fstat(source.fileno()).st_size
    first = source.readline(LINE)
    source.seek(0)
    if is_separator(first):
        for number, piece in enumerate(split(iter(lambda: source.readline(LINE), b""), most.each), 1):
            yield from _checked(f"{name}#{number}", piece.data, piece.size, most, skipped)
    else:
        wanted = size <= most.each and _FIELD.match(first)
        yield from _checked(name, source.read() if wanted else first, size, most, skipped)


def _checked(name: str, data: bytes, size: int, most: Most, skipped: list[tuple[str, str]]) -> Iterator[Letter]:
    if size > most.each:
        skipped.append((name, f"is larger than {most.each >> 20} MiB"))
    elif not data:
        skipped.append((name, "is empty"))
    elif not _FIELD.match(data):
        skipped.append((name, "does not begin with a header field, as mail messages do"))
    else:
        yield Letter(name, data)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open for reading; what is no file is not waited for, and no file. Raises OSError."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        fd = os.open(path, flags | os.O_NOATIME)
    except PermissionError:  # a new access time is forbidden to all but the owner; perhaps the file is too
        fd = os.open(path, flags)
    if not stat.S_ISREG(mode := os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "is a folder" if stat.S_ISDIR(mode) else "is no regular file", str(path))
    with open(fd, "rb") as source:  # noqa: PTH123  (a descriptor)
        yield source
