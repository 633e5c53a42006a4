"""Asked/: the messages that MTAs ask about at doors. An MTA owns each of them. So the engine does not sync, recover or deliver them.

A file has the form of a queue file, because helpers open the path that they get. The door removes it when it has decided. The engine
empties the folder at each start. The folder may be a filesystem in memory. A new door process removes the files of its predecessor.
"""

import contextlib
import hashlib
import os
import re

from enqueuer.queue.directory.disk import write_all
from enqueuer.queue.message.envelope import O_LENGTH, PLACEHOLDER, Digest, Envelope
from enqueuer.queue.message.header import MAX_HEADER, header_end

__all__ = ["FIRST_DIGIT", "FOLDER", "AskedFile", "DoorIds", "path_of", "wipe"]

FOLDER = "Asked"
GATHERED = 48 << 10
"""Bytes of a message that are kept in memory. A longer one goes to its file piece by piece."""
READ = 1 << 20
FIRST_DIGIT = 10**17
"""The ids of a door have one digit more than those of the queue: the number of its process. So no id of a door is one of the queue."""
_NAME = re.compile(r"[1-8][0-9]{17}\.msg")
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def path_of(id: int) -> str:
    return f"{FOLDER}/{id}.msg"


class DoorIds:
    """Gives the ids of one door process: its number, then microseconds since 1970. It gives none twice."""

    def __init__(self, number: int, last: int = 0) -> None:
        """`number`: 1 to 8. `last`: the last id that an earlier process with this number gave, if known."""
        self._base = number * FIRST_DIGIT
        self.last = last

    def take(self, microseconds: int) -> int:
        self.last = max(self.last + 1, self._base + microseconds)
        return self.last


def wipe(number: int | None = None) -> int:
    """Remove the files of all doors, or of the door process with this number. Return how many. Raises OSError if one cannot be removed."""
    count = 0
    for name in os.listdir(FOLDER):
        if _NAME.fullmatch(name) and name.startswith(str(number or "")):
            os.unlink(f"{FOLDER}/{name}")
            count += 1
    return count


class AskedFile:
    """The file of one message that an MTA asks about: gathers its bytes, and writes them."""

    def __init__(self, id: int, envelope: Envelope, above: bytes) -> None:
        """`above`: a field with its line end, on top of the message. Only filters see it; the MTA's message does not have it."""
        self.id = id
        self.size = 0
        """Bytes of the message so far, without `above`."""
        self.begin = b""
        """The start of the message, set when it is finished or long. Most headers fit into it."""
        self._header: bytes | None = None
        self._head = envelope.above
        self._below = envelope.below + above
        self._pieces: list[bytes] = []
        self._fd = -1
        self._digest: Digest | None = None
        self._content: hashlib._Hash | None = None

    def write(self, data: bytes) -> None:
        """Take the next bytes of the message. Raises OSError."""
        self.size += len(data)
        if self._fd < 0:
            self._pieces.append(data)
            if self.size > GATHERED:
                self._spill()
        else:
            self._append(data)

    def finish(self) -> None:
        """Complete the file, with its O line last. Raises OSError."""
        if self._fd < 0:
            message = b"".join(self._pieces)
            self._pieces = [message]
            self.begin = message
            digest = Digest(self._head, self._below, message)
            fd = os.open(path_of(self.id), _CREATE, 0o640)
            try:
                write_all(fd, b"".join((self._head, digest.line(), self._below, message)))
            finally:
                os.close(fd)
            return
        assert self._digest is not None
        os.pwrite(self._fd, self._digest.line(), len(self._head))
        self._close()

    def release(self) -> None:
        """Drop the bytes in memory: the file has them. A header that is whole stays."""
        if self._header is None and (header_end(self.begin) >= 0 or len(self.begin) == self.size):
            self._header = self.header_begin
        self._pieces = []
        self.begin = b""

    @property
    def header_begin(self) -> bytes:
        """Return the header, without the empty line; of a long one its begin. Valid until release()."""
        end = header_end(self.begin)
        return self.begin if end < 0 else self.begin[:end]

    def header(self) -> bytes:
        """Return the header of a finished message, at most MAX_HEADER bytes of it. Raises OSError."""
        if self._header is None:
            self._header = self._read_header()
        return self._header

    def _read_header(self) -> bytes:
        fd = os.open(path_of(self.id), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            data = os.pread(fd, MAX_HEADER, len(self._head) + O_LENGTH + len(self._below))
        finally:
            os.close(fd)
        end = header_end(data)
        return data if end < 0 else data[:end]

    def content(self) -> bytes:
        """Return the SHA-256 of the message without `above`. Raises OSError."""
        if self._content is None:
            self._content = hashlib.sha256()
            if self._pieces:
                self._content.update(b"".join(self._pieces))
            else:
                self._read_into(self._content)
        return self._content.digest()

    def remove(self) -> None:
        """Remove the file, complete or not."""
        self._close()
        self._pieces = []
        with contextlib.suppress(OSError):
            os.unlink(path_of(self.id))

    def _spill(self) -> None:
        message = b"".join(self._pieces)
        self._pieces = []
        self.begin = message[:GATHERED]
        self._fd = os.open(path_of(self.id), _CREATE, 0o640)
        self._digest = Digest(self._head, self._below)
        self._content = hashlib.sha256()
        write_all(self._fd, self._head + PLACEHOLDER + self._below)
        self._append(message)

    def _append(self, data: bytes) -> None:
        assert self._digest is not None
        assert self._content is not None
        self._digest.feed(data)
        self._content.update(data)
        write_all(self._fd, data)

    def _read_into(self, digest: "hashlib._Hash") -> None:
        fd = os.open(path_of(self.id), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            at = len(self._head) + O_LENGTH + len(self._below)
            while data := os.pread(fd, READ, at):
                digest.update(data)
                at += len(data)
        finally:
            os.close(fd)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
