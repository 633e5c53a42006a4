"""Open queue files: envelope lines, an empty line, the message. A plain mail file has no envelope lines."""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from filterlink.filters.runtime.lines import MAX_LINE
from filterlink.filters.runtime.workers import Handed, Unreadable

__all__ = ["QueueFile", "open_at_message", "open_message"]

_ENVELOPE = re.compile(rb"[PSAOR] ")


class QueueFile(NamedTuple):
    """A queue file: the envelope lines, and the unchanged message (header, empty line, body)."""

    envelope: list[bytes]
    data: bytes


def open_message(path: str) -> QueueFile:
    """Read a queue file, or a plain mail file without envelope. Raises Unreadable."""
    with _readable(path), open_at_message(path) as file:
        start = file.tell()
        file.seek(0)
        envelope = [line.rstrip() for line in file.read(start).split(b"\n") if line.strip()]
        return QueueFile(envelope, file.read(max(0, os.fstat(file.fileno()).st_size - start)))  # without a size it needs twice the memory


def open_at_message(path: str) -> BinaryIO:
    """Open a queue file at the start of the message: after the envelope lines, if there are any. Raises Unreadable."""
    with _readable(path), contextlib.ExitStack() as undo:
        file = undo.enter_context(_open(path))
        line = file.readline(MAX_LINE)
        if _ENVELOPE.match(line):
            while line.strip():
                line = file.readline(MAX_LINE)
        else:
            file.seek(0)
        undo.pop_all()
        return file


def _open(path: str) -> BinaryIO:
    """Open a regular file. Raises OSError, Unreadable."""
    descriptor = path.descriptor if isinstance(path, Handed) else os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable(f"cannot open {path}: not a regular file")
    except Unreadable:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


@contextlib.contextmanager
def _readable(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as fault:
        raise Unreadable(f"cannot open {path}: {getattr(fault, 'strerror', None) or fault}") from None
