"""The watcher: tells the queue manager to look at the drop folder. Hints only; a scan finds everything without it.

Watchdog's threads live in this process and nowhere else, so that the supervisor can always fork.
"""

import contextlib
import logging
import os
import select

from watchdog.events import FileClosedEvent, FileCreatedEvent, FileMovedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

from enqueuer import frames
from enqueuer.child import MANAGER, SUPERVISOR, Birth, Ended
from filterlink.link import Channel

__all__ = ["Watcher", "run"]

log = logging.getLogger("SPOOL")

FOLDER = "Submitted"
PAUSE_MS = 5
"""Between two hints: a burst of events is one look."""
CHECK_MS = 2000
"""How often it is checked that the folder watched is still the one of that name."""


def run(birth: Birth) -> None:
    """The life of the watcher's process."""
    # a claim renames out of the folder; watchdog would hold every later event back 0.5 s for the other half of that rename
    InotifyMoveEventGrouper.delay = 0.005
    with contextlib.suppress(Ended):
        Watcher(birth).run()


class _Hint(FileSystemEventHandler):
    """Only sets a flag: an exception here would end watchdog's thread for good."""

    def __init__(self, flag: int, suffixes: tuple[str, ...]) -> None:
        self._flag, self.suffixes = flag, suffixes

    def on_any_event(self, event: FileSystemEvent) -> None:
        name = os.fsdecode(event.dest_path or event.src_path)
        if name.endswith(self.suffixes):
            os.eventfd_write(self._flag, 1)


class _Overflow(logging.Filter):
    """Watchdog tells of lost events only by a warning in its log."""

    def __init__(self, flag: int) -> None:
        super().__init__()
        self._flag = flag

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 (the base class names it)
        os.eventfd_write(self._flag, 1)
        return True


class Watcher:
    def __init__(self, birth: Birth) -> None:
        self._birth = birth
        self._supervisor = Channel(birth.call(SUPERVISOR))
        self._flag = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        logging.getLogger("watchdog.observers.inotify_c").addFilter(_Overflow(self._flag))
        self._events = _Hint(self._flag, birth.config.spool.suffixes)
        self._observer: BaseObserver | None = None
        self._inode = 0
        self._watch()
        self._manager = Channel(birth.call(MANAGER))  # its hello makes the queue manager look, now that events are seen

    def run(self) -> None:
        while True:
            self._hear(CHECK_MS)
            self._watch()
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._flag)
                self._hint()

    def _hint(self) -> None:
        self._manager.send(frames.encode(frames.Look()))
        poll = select.poll()
        poll.register(self._supervisor.fileno(), select.POLLIN)
        poll.poll(PAUSE_MS)

    def _hear(self, milliseconds: int) -> None:
        """Wait for an event, or for what the others say. Raises Ended when the supervisor says so or has gone."""
        poll = select.poll()
        for fd in (self._flag, self._supervisor.fileno(), self._manager.fileno()):
            poll.register(fd, select.POLLIN)
        ready = dict(poll.poll(milliseconds))
        if self._manager.fileno() in ready:
            self._manager.close()  # it says nothing, so this is its end: its successor serves the same listener
            self._manager = Channel(self._birth.call(MANAGER))
        if self._supervisor.fileno() in ready:
            self._obey(self._supervisor.receive())

    def _obey(self, data: bytes) -> None:
        match frames.decode_from_supervisor(data) if data else frames.Exit():
            case frames.Config(edition):
                self._birth.take(edition)
                self._events.suffixes = self._birth.config.spool.suffixes
                self._supervisor.send(frames.encode(frames.InForce(edition)))
            case _:
                raise Ended

    def _watch(self) -> None:
        """Watch the folder that has the name now: one that was removed and made again is another."""
        try:
            inode = os.stat(FOLDER).st_ino
        except FileNotFoundError:
            return
        if inode == self._inode:
            return
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
        self._inode = inode
        self._observer = self._start()
        os.eventfd_write(self._flag, 1)

    def _start(self) -> BaseObserver | None:
        observer = Observer()
        kinds: list[type[FileSystemEvent]] = [FileCreatedEvent, FileMovedEvent, FileClosedEvent]  # Created: renamed into the folder
        try:
            observer.schedule(self._events, FOLDER, event_filter=kinds)
            observer.start()
        except OSError as error:
            rescan = self._birth.config.spool.rescan
            log.warning("the drop folder cannot be watched (%s): it is looked at each %.0f s only", error, rescan)
            return None
        return observer
