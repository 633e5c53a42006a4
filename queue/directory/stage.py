"""Stage outputs: complete files that do not count yet, Staged/<id>.<n>.<place>.

This is the last step of a processor. The queue manager publishes them after the commit, and wipes those that it does not publish.
"""

import contextlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from enqueuer.queue.directory import names
from enqueuer.queue.directory.disk import CHUNK, DiskPort
from enqueuer.queue.directory.ingest import FIRST, MessageFile, queue_path
from enqueuer.queue.message import envelope as envelopes
from enqueuer.queue.message.printable import printable_json

__all__ = ["MAX_COPIES", "modules_of", "places_of", "stage_file", "stage_itself", "stage_new", "stage_why", "unchanged"]

MAX_COPIES = 1000
"""Separate copies that one message may have, each a file. A filter may ask for a hundred."""

ORPHAN = b"X-Enqueuer-Orphan: the message begins with the next line"
"""Separates added fields from a message that begins with a blank, whose first line would otherwise continue the last field."""


def modules_of(recipients: Sequence[bytes], module_of: Callable[[bytes], str]) -> dict[str, frozenset[bytes]]:
    """Return the recipients of each module."""
    found: dict[str, set[bytes]] = {}
    for recipient in recipients:
        found.setdefault(module_of(recipient), set()).add(recipient)
    return {module: frozenset(theirs) for module, theirs in found.items()}


def places_of(copies: Iterable[bytes], module_of: Callable[[bytes], str], taken: Iterable[str]) -> dict[str, bytes]:
    """Choose a place for each recipient's separate copy: the next of its module. `taken`: the modules that have one file."""
    counts = dict.fromkeys(taken, 1)
    found = dict[str, bytes]()
    for recipient in list(dict.fromkeys(copies))[:MAX_COPIES]:
        module = module_of(recipient)
        counts[module] = counts.get(module, 0) + 1
        found[names.nth(module, counts[module])] = recipient
    return found


def stage_file(
    disk: DiskPort,
    message: MessageFile,
    n: int,
    place: str,
    recipients: frozenset[bytes] | None,
    fields: Iterable[bytes],
    envelope: envelopes.Envelope | None = None,
    insert: tuple[int, bytes] | None = None,
) -> None:
    """Stage the message for one place with these recipients (None = all), and with `fields` on top of its header.

    `envelope` replaces the message's: it has recipients that filters added. `insert`: bytes to insert at this offset of the message.

    If nothing differs from the queue file, the output is a second name of it (a hard link), not a copy.
    """
    target = "Staged/" + names.staged(message.id, n, place)
    whole = envelope or message.envelope
    if not insert and unchanged(disk, message, recipients, fields, whole):
        disk.link(queue_path(message.id), target)
        return
    everybody = recipients is None or len(recipients) == len(whole.recipients)
    _copy(disk, message, target, whole if everybody or recipients is None else whole.only(recipients), fields, insert)


def stage_new(disk: DiskPort, id: int, n: int, place: str, envelope: envelopes.Envelope, pieces: Iterable[bytes]) -> int:
    """Stage a new message (`place`: names.parse_new) with the outcome of message `id`; return its size without the envelope.

    `pieces` are the bytes of the message. At most a chunk and a piece of them are in memory.
    """
    target = "Staged/" + names.staged(id, n, place)
    rest = iter(pieces)
    start = envelope.below
    while len(start) <= CHUNK and (piece := next(rest, None)) is not None:
        start += piece
    digest = envelopes.Digest(envelope.above, start)
    if len(start) <= CHUNK:
        disk.create(target, (b"".join((envelope.above, digest.line(), start)),))
    else:
        disk.create(target, itertools.chain((envelope.above + envelopes.PLACEHOLDER + start,), digest.through(rest)))
        disk.patch(target, len(envelope.above), digest.line())
    return digest.length - len(envelope.above) - len(envelope.below)


def unchanged(
    disk: DiskPort, message: MessageFile, recipients: frozenset[bytes] | None, fields: Iterable[bytes], envelope: envelopes.Envelope
) -> bool:
    """Return whether the output for these recipients is the queue file, byte for byte, as the engine wrote it."""
    if fields or envelope != message.envelope or not (recipients is None or len(recipients) == len(envelope.recipients)):
        return False
    return disk.stamp(queue_path(message.id)) == message.stamp


def stage_itself(disk: DiskPort, id: int, n: int, place: str, why: Mapping[str, object]) -> tuple[str, ...]:
    """Stage the message file as it is, with a reason, for a place; return both places."""
    stage_why(disk, id, n, place, why)
    disk.link(queue_path(id), "Staged/" + names.staged(id, n, place))
    return place, place + "-why"


def stage_why(disk: DiskPort, id: int, n: int, place: str, why: Mapping[str, object]) -> None:
    """Stage the .why file for a message in Quarantine, Hold or Bad."""
    text = printable_json(json.dumps(why, indent=1, ensure_ascii=False)).encode("utf-8", "replace") + b"\n"
    disk.create("Staged/" + names.staged(id, n, place + "-why"), (text,))


def _copy(
    disk: DiskPort,
    message: MessageFile,
    target: str,
    envelope: envelopes.Envelope,
    fields: Iterable[bytes],
    insert: tuple[int, bytes] | None = None,
) -> None:
    """Write the output. If the message fits into one write, so does the output; else its O line is written last."""
    above = envelope.above
    path = queue_path(message.id)
    if message.content and disk.stamp(path) == message.stamp:
        disk.create(target, (_in_one(envelope, fields, message.content, insert),))
        return
    with contextlib.closing(disk.chunks(path, offset=message.head, first=FIRST)) as body:
        first = next(body, b"")
        if len(first) < FIRST:
            disk.create(target, (_in_one(envelope, fields, first, insert),))
            return
        rest = _inserted(itertools.chain((first,), body), insert)
        start = b"".join((envelope.below, _on_top(fields, first), next(rest)))
        digest = envelopes.Digest(above, start)
        disk.create(target, itertools.chain((above + envelopes.PLACEHOLDER + start,), digest.through(rest)))
    disk.patch(target, len(above), digest.line())


def _in_one(envelope: envelopes.Envelope, fields: Iterable[bytes], message: bytes, insert: tuple[int, bytes] | None) -> bytes:
    """Return the whole file of a small message."""
    start = b"".join((envelope.below, _on_top(fields, message), *_inserted((message,), insert)))
    return b"".join((envelope.above, envelopes.Digest(envelope.above, start).line(), start))


def _inserted(chunks: Iterable[bytes], insert: tuple[int, bytes] | None) -> Iterator[bytes]:
    """Return the message with some bytes inserted at an offset; at its end if it is shorter."""
    if insert is None:
        yield from chunks
        return
    left, text = insert
    for chunk in chunks:
        if text and left <= len(chunk):
            yield chunk[:left] + text + chunk[left:]
            text = b""
        else:
            yield chunk
            left -= len(chunk)
    if text:
        yield text


def _on_top(fields: Iterable[bytes], message: bytes) -> bytes:
    """Return the fields as lines with the message's own line end, LF or CRLF as in its first line."""
    first_line, newline, _ = message.partition(b"\n")
    end = b"\r\n" if newline and first_line.endswith(b"\r") else b"\n"
    if fields and message[:1] in (b" ", b"\t"):
        fields = (*fields, ORPHAN)
    return b"".join(field.replace(b"\n", end) + end for field in fields)
