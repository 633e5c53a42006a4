"""The local files of one processor: the message file that filters read, and the parts from which it is made."""

import os

from enqueuer.queue.directory import ingest
from enqueuer.queue.directory.disk import DiskPort, Stamp
from enqueuer.queue.directory.ref import taken_of
from enqueuer.queue.directory.store import drop_path
from enqueuer.queue.port import Source

__all__ = ["DirectoryWorkspace"]


class DirectoryWorkspace:
    """port.Workspace in the base directory, which is the current directory."""

    def __init__(self, disk: DiskPort) -> None:
        self._disk = disk

    def lease(self, id: int, ref: bytes, at: str, domain: str) -> ingest.MessageFile:
        if (taken := taken_of(ref)) is None:
            raise ValueError(f"message {id} has no source")
        return ingest.ingest(self._disk, id, drop_path(taken.drop), at, domain)

    def load(self, id: int, stamp: Stamp | None) -> ingest.MessageFile:
        return ingest.load(self._disk, id, stamp)

    def kinds(self, message: ingest.MessageFile) -> tuple[bytes, bytes, bytes]:
        return ingest.kinds(self._disk, message)

    def header(self, message: ingest.MessageFile) -> bytes:
        return ingest.whole_header(self._disk, message)

    def source(self, ref: bytes) -> Source | None:
        if (taken := taken_of(ref)) is None:
            return None
        try:
            found = os.stat(drop_path(taken.drop), follow_symlinks=False)
        except OSError:
            return None
        return Source(found.st_uid, found.st_mtime_ns)
