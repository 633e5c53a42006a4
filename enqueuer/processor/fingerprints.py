"""Report what a processor knows about mail loops: whether a filter may have written a drop, and what stays the same in its copies."""

import contextlib
import os
import pwd
from collections.abc import Iterator, Sequence
from typing import TypeVar

from enqueuer.ipc import frames
from enqueuer.queue.directory import ingest
from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.store import drop_path
from filterlink.config.settings import Filter

__all__ = ["Fingerprints", "drop_of"]

Reported = TypeVar("Reported", frames.Outcome, frames.Deferred)


class Fingerprints:
    """The part of a processor that reports fingerprints."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._makers = frozenset[int]()

    def configure(self, filters: Sequence[Filter]) -> None:
        """Note the accounts as which helpers of these filters may write files."""
        self._makers = frozenset(_accounts(filters))

    def add(self, answer: Reported, job: frames.Job, message: ingest.MessageFile, asked: str) -> Reported:
        """Add fingerprints to an answer if a filter that was asked may have made the drop while it scanned another message."""
        if job.drop and asked and (created := self._made(job)):
            answer.kinds = ingest.kinds(self._disk, message)
            answer.judged_by = asked
            answer.created = created
        return answer

    def closed(self, job: frames.Job, message: ingest.MessageFile) -> str:
        """Return the filter that sends such messages in a loop; "" = none."""
        if not (self._made(job) if job.drop else job.own):
            return ""
        closed = dict(job.circles)
        return next((filter for kind in ingest.kinds(self._disk, message) if (filter := closed.get(kind, ""))), "")

    def _made(self, job: frames.Job) -> int:
        """Return when the drop was written, in nanoseconds since 1970; 0 if no filter works as its owner."""
        try:
            drop = os.stat(drop_path(drop_of(job)), follow_symlinks=False)
        except OSError:
            return 0
        return drop.st_mtime_ns if drop.st_uid in self._makers else 0


def drop_of(job: frames.Job) -> str:
    """Return the name of a job's drop, in the form in which the engine writes paths."""
    return job.drop.decode("utf-8", "surrogateescape")


def _accounts(filters: Sequence[Filter]) -> Iterator[int]:
    yield os.geteuid()
    for filter in filters:
        if filter.user:
            with contextlib.suppress(KeyError):
                yield pwd.getpwnam(filter.user).pw_uid
        if filter.new_privileges:
            yield 0
