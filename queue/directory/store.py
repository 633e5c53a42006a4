"""The store: the calls of the queue manager that change a message's files, one call a step.

                      before            the call that changes it         after
    changed           drop              stat: as it was taken?           no: give_back, nothing of it is committed
    commit            <id>.msg          rename to <id>.<n>.done          decided: from here on it is only carried out
    finish            drop, staged      unlink drop, rename staged       published
    forget            <id>.<n>.done     unlink                           gone from the queue

    move              <id>.msg          rename to its place              decided, published and gone, all at once

settle.py has the order of these calls, with the syncs between them. changed() comes last before commit(), move() and
release_drop(). If a writer goes on after its drop was read, all that it wrote before changed() is scanned. It loses only what it writes
between changed() and the unlink of its drop. All staged files were made durable before commit. After a death, the next process
finishes what was committed (recovery.py). Each call may be repeated. EEXIST never means done: an output counts as published when
it is no longer staged.
"""

import errno
import os
import sys
from collections.abc import Iterable, Mapping

from enqueuer.queue.directory import names
from enqueuer.queue.directory.disk import DiskPort, Stamp
from enqueuer.queue.directory.ingest import queue_path
from enqueuer.queue.directory.layout import TAKEN
from enqueuer.queue.directory.sync import GroupSync, Sync
from enqueuer.queue.port import Unwiped

__all__ = ["Store", "drop_path"]


def drop_path(drop: str) -> str:
    return f"{TAKEN}/{drop}"


class Store:
    """The files of all messages. One process at a time has one of these."""

    def __init__(self, disk: DiskPort, sync: Sync | None = None) -> None:
        """`sync`: how things are made durable; by default in groups."""
        self.disk = disk
        self.sync = sync or GroupSync(disk)

    def changed(self, drop: str | None, taken: Stamp | None) -> bool:
        """Return whether the drop was changed after it was taken. A drop that has gone has nothing left to lose."""
        now = self.disk.stamp(drop_path(drop)) if drop is not None else None
        return now is not None and now != taken

    def give_back(self, id: int, drop: str) -> bytes | None:
        """Give the drop back to its folder, to be taken again; what was made of it goes first. Return its name there; None: it has gone."""
        self.wipe({id: sys.maxsize})
        self.undo_ingest(id)
        found = names.parse_taken(os.fsencode(drop))
        back = found.name if found else os.fsencode(drop)
        for name in (back, os.fsencode(drop)):  # its own name may be in use again: both files stay
            try:
                self.disk.rename_new(drop_path(drop), "Submitted/" + os.fsdecode(name))
            except FileExistsError:
                continue
            except FileNotFoundError:
                return None
            return name
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), drop)

    def commit(self, id: int, n: int) -> None:
        """Rename <id>.msg to <id>.<n>.done: THE COMMIT POINT. Before it the message is undecided, after it its outcome is carried out."""
        self.disk.rename(queue_path(id), "Queue/" + names.queue(id, "done", n))

    def finish(self, id: int, n: int, drop: str | None, places: Iterable[str]) -> None:
        """Carry out the decision of dispatch `n`: unlink the drop, rename the outputs to their places.

        A reason (quarantine-why) comes before its message, and module queues come last: recovery knows the disposition by what is left.
        """
        if drop is not None:
            self.disk.unlink(drop_path(drop))
        for place in sorted(places, reverse=True):
            self.publish(id, n, place)

    def move(self, id: int, place: str) -> None:
        """Move the message file, which is the only output: its rename is the commit, the publication and the end.

        Its drop has gone before. Until this rename the message file is durable and needs no drop: it is a message to be scanned.
        """
        self.disk.rename(queue_path(id), names.final(id, place))

    def publish(self, id: int, n: int, place: str) -> None:
        """Rename one staged output to its place. If that has been done, do nothing."""
        try:
            self.disk.rename("Staged/" + names.staged(id, n, place), names.final(id, place))
        except FileNotFoundError:
            if self.disk.stamp("Staged/" + names.staged(id, n, place)) is not None:
                raise  # the folder is missing

    def forget(self, id: int, n: int) -> None:
        """Remove the last name of a message in Queue/: the message has left."""
        self.disk.unlink("Queue/" + names.queue(id, "done", n))

    def wipe(self, upto: Mapping[int, int]) -> None:
        """Unlink the staged files of these messages (id -> dispatch), up to and with that dispatch. One listing serves all of them.

        Each name is tried separately. Raises Unwiped at the end if some stay, and OSError if the folder cannot be listed.
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
        """Unlink the drop of a durable message file, which needs no drop (a deferred message would need its space twice)."""
        self.disk.unlink(drop_path(drop))

    def undo_ingest(self, id: int) -> None:
        """Remove what was made of a drop that will be refused."""
        self.disk.unlink(queue_path(id))
        self.disk.unlink("Queue/" + names.queue(id, "tmp"))
