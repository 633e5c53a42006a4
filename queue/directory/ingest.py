"""Make the message file that filters see, Queue/<id>.msg, of a claimed drop.

It runs in a processor, so that a drop of 100 MB delays no other message. No filter gets the file before it is whole, and
complete() shows whether a death left it half written. If there is one already, which a filter may be reading, the new one is
Queue/<id>.tmp first.
"""

import contextlib
import itertools
import re
from collections.abc import Iterable, Iterator

import msgspec

from enqueuer.queue.directory import clientkey, names
from enqueuer.queue.directory.disk import CHUNK, DiskPort, Stamp
from enqueuer.queue.message import client as clients
from enqueuer.queue.message import envelope as envelopes
from enqueuer.queue.message import header as headers

__all__ = ["InvalidDrop", "MessageFile", "complete", "finished", "fits", "ingest", "kinds", "load", "queue_path", "whole", "whole_header"]

FIRST = 64 << 10
"""Bytes of the first read: most messages whole, and nearly every header."""


_FOREIGN = re.compile(rb"[PSA] [^\n\0]*\n(?:(?!O L v1 )[A-Za-z](?: [^\n\0]*)?\n)*\n")
"""An envelope without an O line of ours: each line is a letter and words. A PLACEHOLDER is not."""
BODY = 4 << 10
"""Bytes of the body that are part of a fingerprint."""


class InvalidDrop(Exception):
    """The drop can never become a message. The text is for its writer."""


class MessageFile(msgspec.Struct, frozen=True):
    """One message file in Queue/: its envelope, and the position of its parts."""

    id: int
    envelope: envelopes.Envelope
    head: int
    """Bytes above the message: envelope lines and empty line."""
    size: int
    """Bytes of the message, without envelope."""
    stamp: Stamp
    """The stamp of the file when the engine wrote it: it shows whether a helper rewrote the file."""
    mark: bytes = b""
    """The action after which a released message goes on (rules.mark); b"" = it was not released."""
    header: bytes = b""
    """The header, at most FIRST bytes of it."""
    hops: headers.Hops = headers.Hops()
    content: bytes = b""
    """The whole message, if it was ingested just now and has less than FIRST bytes: outputs need not read it again."""


def queue_path(id: int) -> str:
    return f"Queue/{id}.msg"


def ingest(disk: DiskPort, id: int, drop: str, at: str, domain: str) -> MessageFile:
    """Make Queue/<id>.msg of the drop at `drop`, which stays. Raises InvalidDrop, or OSError (no whole file is left).

    The file has the drop's number: from it a new queue manager knows whether the drop was changed since it was read.
    """
    was = disk.stamp(drop)
    number = disk.changes(drop)
    with contextlib.closing(disk.chunks(drop, first=FIRST)) as source:
        chunks = _at_most(source, was[1] if was else 0)
        head, rest = _split(chunks)
        try:
            header = headers.read(head)
        except headers.HeaderError as error:
            raise InvalidDrop(str(error)) from None
        dropper = disk.stranger(drop)
        envelope = envelopes.make(header.sender, header.recipients, at, domain, _client(disk, header, dropper), dropper)
        kept = b"".join(header.kept)
        start = kept + rest
        path = _write(disk, id, envelope, start, chunks)
    stamp = disk.mark(path, number)
    if disk.stamp(drop) != was:
        disk.unlink(path)
        raise InvalidDrop("it was changed while it was read: write it under another name, and rename it when it is complete")
    if path != queue_path(id):
        disk.rename(path, queue_path(id))
    length = len(envelope.above) + envelopes.O_LENGTH + len(envelope.below)
    size = stamp[1] - length
    content = start if size == len(start) < FIRST else b""
    return MessageFile(id, envelope, length, size, stamp, header=kept[:FIRST], hops=headers.hops(kept), content=content)


def _client(disk: DiskPort, header: headers.Header, dropper: int | None) -> clients.RemoteClient:
    """Return the client that `submit` wrote into the drop, if the drop is the engine's or root's and the field has the engine's key."""
    if not header.client or dropper not in (None, 0):
        return clients.NOBODY
    return clients.read(header.client, clientkey.read(disk), header.below)


def complete(disk: DiskPort, id: int) -> bool:
    """Return whether ingest() finished Queue/<id>.msg."""
    return finished(disk, queue_path(id))


def finished(disk: DiskPort, path: str, *, of_others: bool = False) -> bool:
    """Return whether the writer of a message file finished it: it is as long as its O line says, which is written last.

    `of_others`: a file without an O line of ours is complete, too, if its envelope is.
    """
    if (stamp := disk.stamp(path)) is None:
        return False
    with contextlib.closing(disk.chunks(path, first=FIRST)) as chunks:
        head = _head(next(chunks, b""))
    line = envelopes.parse_o(head)
    return of_others and _FOREIGN.fullmatch(head) is not None if line is None else stamp[1] == line.length + envelopes.O_LENGTH


def whole(disk: DiskPort, id: int) -> bool:
    """Return whether Queue/<id>.msg is whole."""
    return fits(disk, queue_path(id))


def fits(disk: DiskPort, path: str) -> bool:
    """Return whether a message file fits its O line, its digest included. A file without an O line of ours is whole if its envelope is."""
    with contextlib.closing(disk.chunks(path, first=FIRST)) as chunks:
        start = next(chunks, b"")
        line = envelopes.parse_o(_head(start))
        if line is None:
            return _FOREIGN.fullmatch(_head(start)) is not None
        digest = envelopes.Digest(start[: line.offset], start[line.offset + envelopes.O_LENGTH :])
        for chunk in chunks:
            digest.feed(chunk)
        return digest.line(line.mark) == envelopes.o_line(line.length, line.digest, line.mark)


def _head(start: bytes) -> bytes:
    """Return the envelope of a message file, or the begin of a long one. An O line in the message below it does not count."""
    end = envelopes.head_end(start)
    return start if end < 0 else start[:end]


def kinds(disk: DiskPort, message: MessageFile) -> tuple[bytes, bytes, bytes]:
    """Return the fingerprints of a message (header.kinds), of the part of its header that was kept."""
    body = b""
    if len(message.header) < FIRST:
        with contextlib.suppress(OSError), contextlib.closing(disk.chunks(queue_path(message.id), _end(message), BODY)) as chunks:
            body = next(chunks, b"").lstrip(b"\r\n")
    return headers.kinds(message.header, message.envelope.recipients, body)


def _end(message: MessageFile) -> int:
    """Return where the header ends in the message file."""
    return message.head + len(message.header)


def whole_header(disk: DiskPort, message: MessageFile) -> bytes:
    """Return the whole header of a message, at most MAX_HEADER bytes of it. Raises OSError."""
    data = message.header
    if len(data) < FIRST:
        return data
    end = -1
    with contextlib.closing(disk.chunks(queue_path(message.id), message.head + len(data), CHUNK)) as chunks:
        while (end := headers.header_end(data)) < 0 and len(data) <= headers.MAX_HEADER and (chunk := next(chunks, b"")):
            data += chunk
    return data[: headers.MAX_HEADER] if end < 0 else data[:end]


def load(disk: DiskPort, id: int, stamp: Stamp | None) -> MessageFile:
    """Read the envelope of an existing Queue/<id>.msg. `stamp` is that of the file when it was ingested, if known.

    Raises ValueError if the file is not a message file, FileNotFoundError if it is gone.
    """
    now = disk.stamp(queue_path(id))
    if now is None:
        raise FileNotFoundError(queue_path(id))
    head = b""
    chunks = disk.chunks(queue_path(id), first=FIRST)
    try:
        while (end := envelopes.head_end(head)) < 0:
            chunk = next(chunks, b"")
            if not chunk or len(head) > envelopes.MAX_HEAD:
                raise ValueError(f"{queue_path(id)}: no empty line after the envelope")
            head += chunk
        if headers.header_end(head[end:]) < 0:
            head += next(chunks, b"")  # behind a long envelope only a little of the header was read so far
    finally:
        chunks.close()
    line = envelopes.parse_o(head[:end])
    mark = line.mark if line is not None and line.mark != envelopes.NO_MARK else b""
    header = _header(head[end : end + FIRST])
    return MessageFile(id, envelopes.parse(head[:end]), end, now[1] - end, stamp or now, mark, header, headers.hops(header))


def _header(start: bytes) -> bytes:
    """Return the header as far as it has been read: hundreds of hops fit into it."""
    end = headers.header_end(start)
    return start if end < 0 else start[:end]


def _at_most(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Return the first `size` bytes: reading must end even if a writer makes the drop longer meanwhile."""
    for chunk in chunks:
        yield chunk[:size]
        size -= len(chunk)
        if size <= 0:
            break


def _split(chunks: Iterator[bytes]) -> tuple[bytes, bytes]:
    """Read until the header has ended; return the header, and what was read beyond it."""
    data = next(chunks, b"")
    while (end := headers.header_end(data)) < 0 and len(data) <= headers.MAX_HEADER:
        if not (chunk := next(chunks, b"")):
            end = len(data)  # a message without a body
            break
        data += chunk
    if end < 0 or end > headers.MAX_HEADER:
        raise InvalidDrop(f"the header has no end within {headers.MAX_HEADER >> 20} MiB: is this a mail message?")
    return data[:end], data[end:]


def _write(disk: DiskPort, id: int, envelope: envelopes.Envelope, start: bytes, rest: Iterator[bytes]) -> str:
    """Write envelope and message. If that takes several writes, the O line with their digest is written last."""
    above = envelope.above
    below = envelope.below
    while len(start) <= CHUNK and (chunk := next(rest, b"")):
        start += chunk
    digest = envelopes.Digest(above, below, start)
    if len(start) <= CHUNK:
        return _create(disk, id, (b"".join((above, digest.line(), below, start)),))
    path = _create(disk, id, itertools.chain((above + envelopes.PLACEHOLDER + below + start,), digest.through(rest)))
    disk.patch(path, len(above), digest.line())
    return path


def _create(disk: DiskPort, id: int, chunks: Iterable[bytes]) -> str:
    """Write the message file, or one beside it if it exists. There is no look-up first: a missing name takes longest to find."""
    path = queue_path(id)
    try:
        disk.create(path, chunks, new=True)
    except FileExistsError:
        path = "Queue/" + names.queue(id, "tmp")
        disk.create(path, chunks)
    return path
