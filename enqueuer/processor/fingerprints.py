"""Report what a processor knows about mail loops: whether a filter may have written a drop, and what stays the same in its copies."""

import contextlib
import os
import pwd
from collections.abc import Iterator, Sequence
from typing import TypeVar

from enqueuer.ipc import frames
from enqueuer.queue.directory.ingest import MessageFile
from enqueuer.queue.port import Workspace
from filterlink.config.settings import Filter

__all__ = ["Fingerprints"]

Reported = TypeVar("Reported", frames.Outcome, frames.Deferred)


class Fingerprints:
    """The part of a processor that reports fingerprints."""

    def __init__(self, workspace: Workspace[MessageFile]) -> None:
        self._workspace = workspace
        self._makers = frozenset[int]()

    def configure(self, filters: Sequence[Filter]) -> None:
        """Note the accounts as which helpers of these filters may write files."""
        self._makers = frozenset(_accounts(filters))

    def add(self, answer: Reported, job: frames.Job, message: MessageFile, asked: str) -> Reported:
        """Add fingerprints to an answer if a filter that was asked may have made the drop while it scanned another message."""
        if job.ref and asked and (created := self._made(job)):
            answer.judged_by = asked
            answer.created = created
            answer.kinds = self._workspace.kinds(message)
        return answer

    def closed(self, job: frames.Job, message: MessageFile) -> str:
        """Return the filter that sends such messages in a loop; "" = none."""
        if not (self._made(job) if job.ref else job.own):
            return ""
        closed = dict(job.loops)
        return next((filter for kind in self._workspace.kinds(message) if (filter := closed.get(kind, ""))), "")

    def _made(self, job: frames.Job) -> int:
        """Return when the drop was written, in nanoseconds since 1970; 0 if no filter works as its owner."""
        source = self._workspace.source(job.ref)
        return source.written if source is not None and source.owner in self._makers else 0


def _accounts(filters: Sequence[Filter]) -> Iterator[int]:
    yield os.geteuid()
    for filter in filters:
        if filter.user:
            with contextlib.suppress(KeyError):
                yield pwd.getpwnam(filter.user).pw_uid
        if filter.new_privileges:
            yield 0
