"""Find the messages in files, folders, Maildirs, mboxes and stdin. Only a message of an mbox is loaded whole."""

import errno
import itertools
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from enqueuer.lab import mbox

__all__ = ["MailFiles", "MailSource", "OpenMail", "given", "plain"]

PIECE = 64 << 10
MAX_LINE = 64 << 10
"""Bytes of a line of an mbox that are read at a time."""
MAX_IN_MBOX = 64 << 20
"""Bytes of the largest message in an mbox: it is kept in memory."""
MAILDIR = ("cur", "new", "tmp")
OpenMail = Callable[[str], BinaryIO]
"""Opens a file for reading. Raises OSError."""


def plain(name: str) -> BinaryIO:
    return Path(name).open("rb")


def given(name: str) -> BinaryIO:
    """Open a file for root, whose content another account gets. Refuse it if a third account may have led root to it. Raises OSError."""
    from enqueuer.system import accounts

    found = accounts.give(Path(name))
    if found.odd:
        found.file.close()
        raise PermissionError(errno.EPERM, f"{found.odd}: if you mean this file, give its content on stdin")
    return found.file


class MailSource(NamedTuple):
    """One message. `pieces` may raise OSError."""

    name: str
    pieces: Callable[[], Iterable[bytes]]


class MailFiles:
    """Finds messages under names that people give."""

    def __init__(self, open: OpenMail) -> None:
        self._open = open

    def find(self, names: Iterable[str]) -> Iterator[MailSource]:
        """Yield the messages; "-" is stdin."""
        for name in names:
            if name == "-":
                yield from self._opened("-", sys.stdin.buffer)
            elif Path(name).is_dir():
                yield from self._folder(name)
            else:
                yield from self._file(name)

    def _folder(self, folder: str) -> Iterator[MailSource]:
        """Yield the messages of the plain files in a folder and in its folders. Of a Maildir: cur and new. Links are not followed."""
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            yield _unreadable(folder, error)
            return
        folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        maildir = all(name in folders for name in MAILDIR)
        for entry in entries:
            if entry.name in folders:
                if not (maildir and entry.name == "tmp"):
                    yield from self._folder(entry.path)
            elif not maildir and entry.is_file(follow_symlinks=False):
                yield from self._file(entry.path)

    def _file(self, name: str) -> Iterator[MailSource]:
        try:
            file = self._open(name)
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode) and not _is_mbox(file):
                file.close()
                yield MailSource(name, lambda: _pieces(self._open(name)))
                return
        except OSError as error:
            yield _unreadable(name, error)
            return
        yield from self._opened(name, file)

    @staticmethod
    def _opened(name: str, file: BinaryIO) -> Iterator[MailSource]:
        """Yield the messages of a file that can be read only once."""
        first = file.readline(MAX_LINE)
        if not mbox.is_separator(first):
            yield MailSource(name, lambda: _pieces(file, first))
            return
        with file:
            lines = itertools.chain((first,), iter(lambda: file.readline(MAX_LINE), b""))
            for number, piece in enumerate(mbox.split(lines, MAX_IN_MBOX), 1):
                yield _in_mbox(f"{name}#{number}", piece)


def _is_mbox(file: BinaryIO) -> bool:
    found = file.readline(MAX_LINE)
    file.seek(0)
    return mbox.is_separator(found)


def _in_mbox(name: str, piece: mbox.Piece) -> MailSource:
    if piece.size > MAX_IN_MBOX:
        return _unreadable(name, OSError(errno.EFBIG, f"a message of an mbox has at most {MAX_IN_MBOX} bytes"))
    return MailSource(name, lambda: (piece.data[at : at + PIECE] for at in range(0, len(piece.data), PIECE)))


def _unreadable(name: str, error: OSError) -> MailSource:
    def pieces() -> Iterator[bytes]:
        raise error

    return MailSource(name, pieces)


def _pieces(file: BinaryIO, first: bytes = b"") -> Iterator[bytes]:
    with file:
        yield first
        while piece := file.read(PIECE):
            yield piece
