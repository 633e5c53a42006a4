"""Read the user's own mail, and never touch it: a folder of files, an mbox, a Maildir, or one message.

Files are opened for reading only, and without a new access time if that is allowed: mail programs find new mail by it.
No file is locked, renamed or written. Files that are not messages are skipped and named.
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

__all__ = ["MOST", "SOMEBODY", "MailFound", "NoMail", "OwnMail", "addressed", "read"]

LINE = 64 << 10
"""Bytes of a line that are read at once."""
SOMEBODY = b"postmaster@localhost"
"""The recipient of a message that names none: delivered mail often does not."""
_FIELD = re.compile(rb"[\x21-\x39\x3b-\x7e]+[ \t]*:")


class NoMail(Exception):
    """There is no message to read. The text says where, and what would be one."""


class OwnMail(NamedTuple):
    """A message, and its origin, for people."""

    name: str
    data: bytes


class Most(NamedTuple):
    """Limits: messages, their bytes together, and the bytes of one."""

    messages: int = 1000
    total: int = 256 << 20
    each: int = 64 << 20


MOST = Most()


class MailFound(NamedTuple):
    """The messages, what was skipped and why, and how many files were not read."""

    letters: list[OwnMail]
    skipped: list[tuple[str, str]]
    more: bool


def read(path: Path, most: Most = MOST) -> MailFound:
    """Read copies of the mail at `path`; of many files, a sample from the whole list. Raises NoMail, and OSError for `path` itself."""
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
    """Return the message, with a recipient if its header names none. The engine removes the added field again."""
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
    """Return the files that may hold messages, in the order of their names."""
    if not path.is_dir():
        return [path]
    folders = [path / "new", path / "cur"]
    if not all(folder.is_dir() for folder in folders):
        folders = [path]
    names = [Path(entry.path) for folder in folders for entry in os.scandir(folder) if not entry.name.startswith(".")]
    return sorted(names, key=os.fsencode)


def _spread(files: list[Path], most: int) -> tuple[list[Path], bool]:
    """Return at most this many of the files, spread over the whole list, and whether others are left."""
    if len(files) <= most:
        return files, False
    return [files[at * len(files) // most] for at in range(most)], True


def _letters(file: Path, root: Path, most: Most, skipped: list[tuple[str, str]]) -> Iterator[OwnMail]:
    """Yield the messages of one file; add a reason to `skipped` if there is none. For the named file itself it raises."""
    name = str(file.relative_to(root)) if file != root else file.name
    try:
        with _opened(file) as source:
            yield from _messages(source, name, most, skipped)
    except OSError as error:
        if file == root:
            raise
        skipped.append((name, (error.strerror or str(error)).lower()))


def _messages(source: BinaryIO, name: str, most: Most, skipped: list[tuple[str, str]]) -> Iterator[OwnMail]:
    size = os.fstat(source.fileno()).st_size
    first = source.readline(LINE)
    source.seek(0)
    if is_separator(first):
        for number, piece in enumerate(split(iter(lambda: source.readline(LINE), b""), most.each), 1):
            yield from _checked(f"{name}#{number}", piece.data, piece.size, most, skipped)
    else:
        wanted = size <= most.each and _FIELD.match(first)
        yield from _checked(name, source.read() if wanted else first, size, most, skipped)


def _checked(name: str, data: bytes, size: int, most: Most, skipped: list[tuple[str, str]]) -> Iterator[OwnMail]:
    if size > most.each:
        skipped.append((name, f"is larger than {most.each >> 20} MiB"))
    elif not data:
        skipped.append((name, "is empty"))
    elif not _FIELD.match(data):
        skipped.append((name, "does not begin with a header field, as mail messages do"))
    else:
        yield OwnMail(name, data)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading. A FIFO or device is refused at once. Raises OSError."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        fd = os.open(path, flags | os.O_NOATIME)
    except PermissionError:  # only the owner may avoid a new access time; perhaps the file is unreadable, too
        fd = os.open(path, flags)
    if not stat.S_ISREG(mode := os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "is a folder" if stat.S_ISDIR(mode) else "is not a regular file", str(path))
    with open(fd, "rb") as source:  # noqa: PTH123  (a descriptor)
        yield source
