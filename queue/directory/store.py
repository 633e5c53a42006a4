"""The store: what the queue manager does to a message's files, one call a step.

                      before            the call that changes it         after
    changed           drop              stat: as it was taken?           no: give_back, nothing of it is committed
    commit            <id>.msg          rename to <id>.<n>.done          decided: from here on it is only carried out
    finish            drop, staged      unlink drop, rename staged       published
    forget            <id>.<n>.done     unlink                           gone from the queue

    move              <id>.msg          rename to its place              decided, published and gone, all at once

The order of these calls, with the syncs between them, is settle.py's. changed() comes last before commit(), move() and
release_drop(): a writer that goes on after its drop was read has the whole of it scanned, and loses only what it writes
between that call and the unlink of its drop.
Everything staged was made durable before commit; a death after it is finished by whoever starts next (recovery.py).
Each call may be repeated. EEXIST never means done: an output counts as published when it is no longer staged.
"""

import errno
import os
import sys
from collections.abc import Iterable, Mapping

from enqueuer.queue.directory import names
from enqueuer.queue.directory.disk import DiskPort, Stamp
from enqueuer.queue.directory.ingest import queue_path
from enqueuer.queue.directory.sync import GroupSync, Sync
from enqueuer.queue.port import Unwiped

__all__ = ["Store", "drop_path"]


def drop_path(drop: str) -> str:
    return "Submitted/.taken/" + drop


class Store:
    """The files of all messages. One process at a time may hold one of these."""

    def __init__(self, disk: DiskPort, sync: Sync | None = None) -> None:
        """`sync`: how things are made durable; without it, in groups."""
        self.disk = disk
        self.sync = sync or GroupSync(disk)

    def changed(self, drop: str | None, taken: Stamp | None) -> bool:
        """Whether the drop is another than it was when it was taken. One that is not there any more has nothing left to lose."""
        now = self.disk.stamp(drop_path(drop)) if drop is not None else None
        return now is not None and now != taken

    def give_back(self, id: int, drop: str) -> bytes | None:
        """The drop goes back to its folder, to be taken again; what was made of it goes first. Its name there; None: it has gone."""
        self.wipe({id: sys.maxsize})
        self.undo_ingest(id)
        found = names.parse_taken(os.fsencode(drop))
        back = found.name if found else os.fsencode(drop)
        for name in (back, os.fsencode(drop)):  # its own name may have been used again: both stay
            try:
                self.disk.rename_new(drop_path(drop), "Submitted/" + os.fsdecode(name))
            except FileExistsError:
                continue
            except FileNotFoundError:
                return None
            return name
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), drop)

    def commit(self, id: int, n: int) -> None:
        """THE COMMIT POINT. Before this rename the message is undecided, after it its outcome is carried out."""
        self.disk.rename(queue_path(id), "Queue/" + names.queue(id, "done", n))

    def finish(self, id: int, n: int, drop: str | None, places: Iterable[str]) -> None:
        """Carry out what dispatch `n` decided: the drop goes, its outputs come to where they are for."""
        if drop is not None:
            self.disk.unlink(drop_path(drop))
        for place in sorted(places, reverse=True):  # a reason (quarantine-why) before its message
            self.publish(id, n, place)

    def move(self, id: int, place: str) -> None:
        """The message file itself is the one output: its rename is the commit, the publication and the end.

        Its drop has gone before: until this rename a durable message file stands for itself, that is a message to be scanned.
        """
        self.disk.rename(queue_path(id), names.final(id, place))

    def publish(self, id: int, n: int, place: str) -> None:
        """Rename one staged output to its place; nothing when that has been done."""
        try:
            self.disk.rename("Staged/" + names.staged(id, n, place), names.final(id, place))
        except FileNotFoundError:
            if self.disk.stamp("Staged/" + names.staged(id, n, place)) is not None:
                raise  # it is the folder that is missing

    def forget(self, id: int, n: int) -> None:
        """The message has left: its last name in Queue/ goes."""
        self.disk.unlink("Queue/" + names.queue(id, "done", n))

    def wipe(self, upto: Mapping[int, int]) -> None:
        """Unlink what these messages (id -> dispatch) had staged, up to and with that dispatch. One listing serves all of them.

        Each name is tried for itself. Raises Unwiped at the end where some stay, and OSError where there is no listing.
        """
        failed: dict[int, OSError] = {}
        for name in self.disk.names("Staged"):
            found = names.parse_staged(name)
            if found and found.n <= upto.get(found.id, 0):
                try:
                    self.disk.unlink("Staged/" + name)
                except OSError as error:
                    failed[found.id] = error
        if failed:
            raise Unwiped(next(iter(failed.values())), set(failed))

    def release_drop(self, drop: str) -> None:
        """The message file is durable and stands for itself: the drop may go (a deferred message would cost the disk twice)."""
        self.disk.unlink(drop_path(drop))

    def undo_ingest(self, id: int) -> None:
        """Remove what was made of a drop that is to be refused."""
        self.disk.unlink(queue_path(id))
        self.disk.unlink("Queue/" + names.queue(id, "tmp"))
