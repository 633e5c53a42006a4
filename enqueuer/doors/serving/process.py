"""Run a door process: it serves all doors, scans the messages that MTAs and clients ask about, and answers. The MTA owns the messages.

What ends it: Exit or garbage from the supervisor; the end of its link to the supervisor; no descriptor for a new listener; any
exception in its loop (exit code 70, a traceback in the log). The supervisor starts another one. The open sessions end, and the MTA
refuses these messages for now.

What it only logs: garbage from a client, whose session it closes; a message file that cannot be written; a token file that cannot be
read, whose door then refuses all requests. If its link to filterlink ends, it connects again and repeats its open requests.
"""

import contextlib
import errno
import logging
import socket
import time

import msgspec

from enqueuer.config.doors import Door
from enqueuer.doors.asking.desk import ScanDesk
from enqueuer.doors.asking.opendoor import OpenDoor, SessionMaker
from enqueuer.doors.asking.scanlink import ScanLink
from enqueuer.doors.http.session import HttpSession
from enqueuer.doors.milter.session import MilterSession
from enqueuer.ipc import frames
from enqueuer.ipc.child import SUPERVISOR, Birth
from enqueuer.ipc.doorlisteners import LIMIT, SCAN, ListenerNames
from enqueuer.ipc.doortallies import DoorTallies, DoorTally
from enqueuer.ipc.scoreboard import MAX_SLOTS
from enqueuer.queue.directory import asked
from enqueuer.queue.message import trace
from filterlink.wire.link import Link
from filterlink.wire.loop import Loop

__all__ = ["DoorProcess", "run"]

log = logging.getLogger("DOOR")

SHOW = 0.25
"""Seconds between two publications of the tallies, and between two looks at sessions that should end."""
MAKERS: dict[str, SessionMaker] = {"milter": MilterSession, "http": HttpSession}
"""Kind of a door -> the class of its sessions."""


def run(birth: Birth) -> None:
    """Run a door process from start to end."""
    process = DoorProcess(birth)
    try:
        process.run()
    finally:
        process.close()


class DoorProcess:
    def __init__(self, birth: Birth) -> None:
        assert birth.doors is not None
        self.loop = Loop()
        self._birth = birth
        with contextlib.suppress(OSError):
            asked.wipe(birth.number)  # the files of a predecessor that was killed
        self._board = birth.board.doors[birth.slot]
        tallies = self._board.read()
        self._tallies = {each.name: msgspec.structs.replace(each, sessions=0, oldest=0.0) for each in tallies.tallies}
        self._link = ScanLink(self.loop, birth.hello)
        ids = asked.DoorIds(birth.number, tallies.last_id)
        self._desk = ScanDesk(self.loop, self._link, ids, trace.domain(socket.gethostname()))
        self._desk.tally = birth.board.rules.slot(MAX_SLOTS + birth.slot)
        self._desk.configure(birth.config)
        self._doors: dict[str, OpenDoor] = {}
        self._leaving: list[OpenDoor] = []
        self._listeners: dict[tuple[str, str], socket.socket] = {}
        self._draining = self._over = False
        self._channel = birth.doors
        self._channel.setblocking(False)
        self.loop.watch(self._channel.fileno(), lambda _: self._received_listeners())
        self._supervisor = Link(
            self.loop, birth.call(SUPERVISOR), frames.decode_from_supervisor, self._order, lambda _: self._end(), vital=True
        )
        self._arrange()
        self._supervisor.send(frames.encode(frames.InForce(birth.revision)))
        self._show()

    def run(self) -> None:
        while not self._over:
            self.loop.turn(self._birth.log.due)
            self._birth.log.flush_due()

    def close(self) -> None:
        """Close all sessions and late scans, and publish the last tallies."""
        for each in (*self._doors.values(), *self._leaving):
            each.close()
        self._desk.close()
        self._publish()

    def _end(self) -> None:
        self._over = True

    # Orders of the supervisor

    def _order(self, _link: Link, frame: frames.FromSupervisor) -> None:
        match frame:
            case frames.ConfigRevision(revision) if revision == self._birth.revision:
                self._desk.active()
            case frames.ConfigRevision(revision):
                self._birth.take(revision)
                self._desk.configure(self._birth.config)
                self._arrange()
                self._supervisor.send(frames.encode(frames.InForce(revision)))
            case frames.Drain():
                self._draining = True
                self._look()
            case frames.Exit():
                self._end()
            case _:
                pass

    def _received_listeners(self) -> None:
        """Take the listeners that the supervisor has bound. Each message has all of them."""
        try:
            data, fds, flags, _ = socket.recv_fds(self._channel, 1 << 16, LIMIT, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        if not data:  # the supervisor has ended
            self.loop.forget(self._channel.fileno())
            return
        if flags & socket.MSG_CTRUNC:  # a door would have a listener that no process serves
            raise OSError(errno.EMFILE, "this process has no descriptors left for the listeners")
        names = msgspec.msgpack.decode(data, type=ListenerNames)
        for each in self._listeners.values():
            each.close()
        self._listeners = {name: socket.socket(fileno=fd) for name, fd in zip(names, fds, strict=False)}
        self._arrange()

    # Doors

    def _arrange(self) -> None:
        """Open the doors of the configuration, give them their listeners, and let all other doors end."""
        wanted = {each.name: each for each in self._birth.config.doors} | {SCAN.name: SCAN}
        for name, door in list(self._doors.items()):
            if name not in wanted or (wanted[name].kind, wanted[name].listen) != (door.door.kind, door.door.listen):
                self._leaving.append(self._doors.pop(name))
        self._tallies = {name: each for name, each in self._tallies.items() if name in wanted}  # the page has room for one configuration
        if self._draining:
            return
        for name, settings in wanted.items():
            if name not in self._doors and settings.kind in MAKERS:
                tally = self._tallies.setdefault(name, DoorTally(name))
                self._doors[name] = OpenDoor(self._desk, settings, tally, MAKERS, self._not_ready)
            if name in self._doors:
                self._open(self._doors[name], name, settings)
        self._look()

    def _open(self, door: OpenDoor, name: str, settings: Door) -> None:
        door.door = settings
        door.set_token(settings.token_file)
        if (listener := self._listeners.pop((name, settings.listen), None)) is not None:
            door.serve(listener)

    def _not_ready(self) -> list[str]:
        """Return the enabled filters that cannot scan now."""
        states = {each.name: each for each in self._birth.board.filters()}
        enabled = [each.name for each in self._birth.config.filters if each.enabled]
        return [name for name in enabled if name not in states or states[name].state not in ("ready", "stalled")]

    # Time

    def _show(self) -> None:
        self._publish()
        self._look()
        self.loop.after(SHOW, self._show)

    def _publish(self) -> None:
        self._board.publish(DoorTallies(tuple(self._tallies.values()), self._desk.ids.last, time.monotonic()))

    def _look(self) -> None:
        """Close the sessions of doors that end, as soon as they have no message. End a draining process when it has no session."""
        self._leaving = [each for each in self._leaving if not each.leave()]
        open = sum(not each.leave() for each in self._doors.values()) if self._draining else 1
        if not open and not self._leaving:
            self._end()
