"""Hand a copy of a message to the queue, for some of its recipients: a drop in Submitted/, durable before the door answers.

A thread writes it, because a sync takes long on a busy disk. The door process has one loop for all its sessions.
"""

import concurrent.futures
import contextlib
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Sequence

import msgspec

from enqueuer.config.doors import SCAN_DOOR, Door
from enqueuer.policy.outcome import Remembered, Ruling
from enqueuer.queue.directory import clientkey
from enqueuer.queue.directory.asked import path_of
from enqueuer.queue.directory.disk import write_all
from enqueuer.queue.message import client, envelope, header, session
from enqueuer.system.remembered import RememberedLists
from filterlink.log.complaints import Complaints
from filterlink.wire.loop import Loop

__all__ = ["CopyForQueue", "CopyWriter", "write"]

FOLDER = "Submitted"
_ENVELOPE = re.compile(rb"^(?:return-path|envelope-[a-z]+)[ \t]*+:[^\n]*+(?:\n[ \t][^\n]*+)*+(?:\n|\Z)", re.IGNORECASE | re.MULTILINE)
THREADS = 4
_lines = Complaints(logging.getLogger("DOOR"))


class CopyForQueue(msgspec.Struct, frozen=True):
    """A copy of Asked/<id>.msg."""

    id: int
    sender: bytes
    recipients: tuple[bytes, ...]
    client: client.RemoteClient
    suffix: str
    """A suffix that the drop folder takes."""


class CopyWriter:
    """Writes copies and lists in threads, and calls back in the loop."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._pool = concurrent.futures.ThreadPoolExecutor(THREADS, thread_name_prefix="handover")
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._open: dict[concurrent.futures.Future[None], Callable[[str], None]] = {}
        loop.watch(self._woken, self._finish)

    def give(self, copy: CopyForQueue, done: Callable[[str], None]) -> None:
        """Write a copy. `done` gets "" when it is durable, or the reason why there is none."""
        self._start(lambda: write(copy), lambda fault: done(fault and f"the queue cannot take a copy: {fault}"))

    def remember(self, door: Door, ruling: Ruling) -> None:
        """Add senders to lists, as rules say. `enqueuer scan` changes no list."""
        found = [each for outcome in ruling.outcomes for each in outcome.remembered]
        if found and door.name != SCAN_DOOR:
            self._start(lambda: _add(found), _complain)

    def _start(self, work: Callable[[], None], done: Callable[[str], None]) -> None:
        future = self._pool.submit(work)
        self._open[future] = done
        future.add_done_callback(lambda _: os.eventfd_write(self._woken, 1))

    def close(self) -> None:
        """Wait until all copies are written. Their messages get no answer any more."""
        self._pool.shutdown()
        self._loop.forget(self._woken)
        os.close(self._woken)

    def _finish(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._woken)
        for future in [each for each in self._open if each.done()]:
            done = self._open.pop(future)
            error = future.exception()
            done("" if error is None else str(getattr(error, "strerror", None) or error))


def _complain(fault: str) -> None:
    if fault:
        _lines.say("list", f"a rule cannot add to its list: {fault}")


def _add(found: Sequence[Remembered]) -> None:
    lists = RememberedLists()
    for each in found:
        lists.add(each.list, each.address, time.time())


def write(copy: CopyForQueue) -> None:
    """Write the drop, and make it durable. Raises OSError and ValueError: then there is none, or its name is not durable."""
    name = f"{FOLDER}/{time.time_ns()}-{copy.id}-{secrets.token_hex(8)}"
    source = os.open(path_of(copy.id), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        head, at = _head(source, copy)
        _fill(f"{name}.tmp", head, source, at)
        os.rename(f"{name}.tmp", f"{name}{copy.suffix}")
    finally:
        os.close(source)
    folder = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _fill(path: str, head: bytes, source: int, at: int) -> None:
    """Write a file that has `head` and the rest of the source, and sync it. After an error there is none."""
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        write_all(target, head)
        while sent := os.sendfile(target, source, at, 1 << 30):
            at += sent
        os.fsync(target)
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(target)


def _head(source: int, copy: CopyForQueue) -> tuple[bytes, int]:
    """Return the header of the drop, and where the rest of the message begins in the source. Raises ValueError."""
    start = os.pread(source, envelope.MAX_HEAD + header.MAX_HEADER, 0)
    begin = envelope.head_end(start)
    message = start[begin:]
    end = header.header_end(message)
    below = message if end < 0 else message[:end]
    fields = [b"Return-Path: <%b>\n" % _same(copy.sender), *(b"Envelope-To: <%b>\n" % _same(each) for each in copy.recipients)]
    ours = b"".join(fields) + _ENVELOPE.sub(b"", below)
    handed = frozenset(copy.recipients)
    others = (each for each in envelope.parse(start[:begin]).recipients if each not in handed)
    known = msgspec.structs.replace(copy.client, session=_session(start[:begin]) + session.others(others))
    signed = b"" if known == client.NOBODY else client.field(known, clientkey.make(), ours) + b"\n"
    return signed + ours, begin + len(below)


def _session(head: bytes) -> bytes:
    """Return the words about the session, so that the rules see in the queue what they saw at the door."""
    line = next((line for line in head.split(b"\n") if line[:2] == b"A "), b"")
    return b"".join(b" " + word for word in line.split()[2:] if not word.startswith((b"name=", b"helo=")))


def _same(address: bytes) -> bytes:
    """Return the address if the drop folder reads the same one."""
    if address and [address] != list(header.addresses(b"<%b>" % address)):
        raise ValueError(f"the drop folder does not know addresses like {address[:100]!r}")
    return address
