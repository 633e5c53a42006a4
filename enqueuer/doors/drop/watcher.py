"""The watcher: tell the queue manager when to look at the drop folder. It gives hints only; a rescan finds every drop without it.

Where the folder cannot be watched (the account has no inotify instance or watch left), it sends a hint each second and
tries again. It follows the name: if the folder was made again, mounted over or linked elsewhere, the new one is watched
within a second.

Watchdog's thread runs in this process only, so that the supervisor can always fork. Its inotify layer is used directly:
the layers above pair the two halves of a rename, which takes 85 us an event and does not help a hint.

What ends it: Exit or garbage from the supervisor; the end of its link to the supervisor; any exception (exit code 70, a
traceback in the log). The supervisor starts another one, whose Hello makes the queue manager look.

What it only logs: a folder that cannot be watched; a thread of watchdog's that has died, which it starts again.
"""

import contextlib
import logging
import os
import select
import time

from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyEvent, InotifyFD, Mask, WatchDescriptor

from enqueuer.ipc import frames
from enqueuer.ipc.child import MANAGER, SUPERVISOR, Birth, EngineEnded
from filterlink.wire.link import Channel

__all__ = ["Watcher", "run"]

log = logging.getLogger("SPOOL")

FOLDER = "Submitted"
PAUSE = 0.001
"""Seconds between two reads of events: a burst of events is one hint."""
EVENTS = Mask(InotifyConstants.IN_CREATE | InotifyConstants.IN_MOVED_TO | InotifyConstants.IN_CLOSE_WRITE)
"""Events that bring a file in or complete it. Renames out of the folder are the engine's own claims, and need no hint."""
CHECK_MS = 1000
"""Milliseconds between two checks that the watched folder still has that name, and between two hints while it cannot be watched."""


def run(birth: Birth) -> None:
    """Run the watcher process from start to end."""
    with contextlib.suppress(EngineEnded):
        Watcher(birth).run()


class _Hints:
    """What watchdog calls. Each method only sets a flag, because an exception here would end watchdog's thread."""

    def __init__(self, flag: int, suffixes: tuple[str, ...]) -> None:
        self._flag = flag
        self.lost = False
        """The watched folder has gone. The next one may have the same inode."""
        self.foreign = False
        """A file came whose name is not that of a drop. The next check sends a hint: the status names such files."""
        self.take(suffixes)

    def take(self, suffixes: tuple[str, ...]) -> None:
        self._suffixes = tuple(map(os.fsencode, suffixes))

    def on_event(self, event: InotifyEvent) -> None:
        if event.name.endswith(self._suffixes):
            os.eventfd_write(self._flag, 1)
        elif not event.name.endswith(b".tmp"):
            self.foreign = True

    def on_queue_overflow(self) -> None:
        os.eventfd_write(self._flag, 1)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:  # noqa: ARG002 (as watchdog calls it)
        """Note that the watched folder has gone. A folder that has the name now is another one."""
        self.lost = True
        os.eventfd_write(self._flag, 1)


class _Events(InotifyFD):
    """Reads all events that wait, then those of the next PAUSE: a wake-up for each event would cost more than it is worth."""

    _read = False

    def read_events(self, **size: int) -> list[InotifyEvent]:
        if self._read:
            time.sleep(PAUSE)
        self._read = True
        return super().read_events(**size)

    def discard(self) -> None:
        """Close an object whose thread was never started."""
        self._is_reading = False
        self.close()


class Watcher:
    def __init__(self, birth: Birth) -> None:
        self._birth = birth
        self._supervisor = Channel(birth.call(SUPERVISOR))
        self._flag = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._hints = _Hints(self._flag, birth.config.spool.suffixes)
        self._events: _Events | None = None
        self._watched: tuple[int, int] | None = None
        self._told = False
        """The log already says that the folder cannot be watched."""
        self._watch()
        self._hinted()
        self._manager = Channel(birth.call(MANAGER))  # the Hello makes the queue manager look, now that events are seen

    def run(self) -> None:
        while True:
            self._hear(CHECK_MS)
            self._watch()
            if self._hinted() or self._events is None or self._hints.foreign:
                self._hints.foreign = False
                self._manager.send(frames.encode(frames.SpoolChanged()))

    def _hinted(self) -> bool:
        """Return whether something happened since the last call."""
        try:
            os.eventfd_read(self._flag)
        except BlockingIOError:
            return False
        return True

    def _hear(self, milliseconds: int) -> None:
        """Wait for an event or for a frame of the other processes. Raises EngineEnded when the supervisor orders it or has gone."""
        poll = select.poll()
        for fd in (self._flag, self._supervisor.fileno(), self._manager.fileno()):
            poll.register(fd, select.POLLIN)
        ready = dict(poll.poll(milliseconds))
        if self._manager.fileno() in ready:
            self._manager.close()  # the queue manager sends nothing here, so this is its end; the next one serves the same listener
            self._manager = Channel(self._birth.call(MANAGER))
        if self._supervisor.fileno() in ready:
            self._obey(self._supervisor.receive())

    def _obey(self, data: bytes) -> None:
        match frames.decode_from_supervisor(data) if data else frames.Exit():
            case frames.ConfigRevision(revision):
                self._birth.take(revision)
                self._hints.take(self._birth.config.spool.suffixes)
                self._supervisor.send(frames.encode(frames.InForce(revision)))
            case _:
                raise EngineEnded

    def _watch(self) -> None:
        """Watch the folder that has the name now: it may have been removed and made again."""
        try:
            found = os.stat(FOLDER)
        except OSError:  # gone, or not readable now: the queue manager logs it
            return
        dead = self._events is not None and not self._events.is_alive()
        if self._events is not None and (found.st_dev, found.st_ino) == self._watched and not dead and not self._hints.lost:
            return
        if dead:
            log.error("the thread that reads the events of the drop folder has died; it is started again")
        if self._events is not None:
            self._events.stop()
            self._events.join()
        self._hints.lost = False
        self._events = self._start()
        self._watched = (found.st_dev, found.st_ino)
        os.eventfd_write(self._flag, 1)

    def _start(self) -> _Events | None:
        events = None
        try:
            events = _Events()
            events.add_callback(os.fsencode(FOLDER), EVENTS, self._hints, CallbackId(0))
            events.start()
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
            if events is not None:
                events.discard()
            if not self._told:
                log.warning("the drop folder cannot be watched (%s); the engine looks at it every %.0f s", error, CHECK_MS / 1000)
            self._told = True
            return None
        if self._told:
            log.warning("the drop folder is watched again")
        self._told = False
        return events
