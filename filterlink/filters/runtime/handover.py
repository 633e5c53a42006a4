"""Give a message to a scanner: its bytes without our envelope lines, as a file or in pieces.

RECEIVED comes before it if a scanner must detect by itself that this is mail. ClamAV does so by the first bytes. A
message that begins with a field which it does not list (X-Foo:, or the envelope of a queue file) is plain text to it,
and it opens no attachment. With a "From " line, as clamav-milter sends it, it would split the message as a mailbox.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import IO

from filterlink.filters.runtime.lines import MAX_LINE
from filterlink.filters.runtime.runtime import Unreadable, open_at_message

__all__ = ["RECEIVED", "Handover"]

RECEIVED = b"Received: by enqueuer\n"
ORPHAN = b"X-Enqueuer-Orphan: the message begins with the next line\n"
"""It separates a field from a message that begins with a blank, as in the engine's outputs."""
IN_MEMORY = 8 << 20
"""Bytes; larger copies are nameless files in the temporary folder: sixteen messages at the same time may be 250 MB each."""
PIECE = 256 << 10


class Handover:
    """One message on its way to a scanner. A context manager, which removes the copy at its end."""

    def __init__(self, path: str, before: bytes = b"") -> None:
        """Open the queue file. Raises Unreadable."""
        self._path = path
        self._before = before
        self._file = open_at_message(path)
        self._start = self._file.tell()
        told = os.fstat(self._file.fileno())
        self.size = len(before) + max(0, told.st_size - self._start)
        self.time = told.st_mtime
        self._copy: IO[bytes] | None = None

    def __enter__(self) -> "Handover":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._copy:
            self._copy.close()

    def put_before(self, field: bytes) -> None:
        """Put a field with LF before what is there, in the line ends of the message: a reader may take the first line as an example.

        A message that begins with a blank must not continue the field.
        """
        with self._told():
            self._file.seek(self._start)
            first = self._file.readline(MAX_LINE)
        field += ORPHAN if field and first[:1] in (b" ", b"\t") and not self._before else b""
        field = field.replace(b"\n", b"\r\n") if first.endswith(b"\r\n") else field
        self._before = field + self._before
        self.size += len(field)

    def envelope(self) -> list[bytes]:
        """Return the lines above the message. Raises Unreadable."""
        with self._told():
            self._file.seek(0)
            return [line for line in self._file.read(self._start).splitlines() if line]

    def descriptor(self) -> int:
        """Return a file that has the message alone, made at the first call. Raises Unreadable."""
        if self._copy is None:
            with self._told():
                self._copy = _nameless(self.size)
                self._fill(self._copy.fileno())
        return self._copy.fileno()

    def write(self, target: str) -> None:
        """Write the message into a new file that only we may read. Raises Unreadable."""
        with self._told():
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                self._fill(descriptor)
            finally:
                os.close(descriptor)

    def pieces(self) -> Iterator[bytes]:
        """Yield the message from its start. Raises Unreadable."""
        if self._before:
            yield self._before
        self._file.seek(self._start)
        while True:
            with self._told():
                piece = self._file.read(PIECE)
            if not piece:
                return
            yield piece

    def _fill(self, target: int) -> None:
        os.write(target, self._before)
        at = self._start
        while sent := os.sendfile(target, self._file.fileno(), at, 1 << 30):
            at += sent

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            raise Unreadable(f"cannot copy {self._path}: {fault.strerror or fault}") from None


def _nameless(size: int) -> IO[bytes]:
    if size <= IN_MEMORY:
        return os.fdopen(os.memfd_create("message"), "w+b")
    return tempfile.TemporaryFile()
