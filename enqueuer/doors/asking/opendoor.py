"""One door in a door process: its listener, its sessions, and the services that they use."""

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

from enqueuer.config.doors import Door
from enqueuer.doors.admission import disk_full
from enqueuer.doors.asking.desk import AskedMessage, ScanDesk
from enqueuer.doors.asking.mail import AskedMail
from enqueuer.doors.asking.session import DoorSession
from enqueuer.ipc.doortallies import DoorTally
from enqueuer.queue.directory.asked import FOLDER
from filterlink.wire.link import serve
from filterlink.wire.loop import Loop

__all__ = ["MAX_TOKEN", "OpenDoor", "SessionMaker", "read_token"]

log = logging.getLogger("DOOR")

MAX_TOKEN = 4096
"""Bytes of a file with a token."""
SHARE_OF_A_PEER = 0.5
"""The share of a door's sessions that one other host may have. Programs of this machine may have all."""
FULL_FOR = 1.0
"""Seconds between two looks at the disk."""
SessionMaker = Callable[["OpenDoor", socket.socket, str, str], DoorSession]


def read_token(path: str) -> bytes:
    """Read the token of a door. Raises OSError, and ValueError for an empty or long file."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        token = os.read(fd, MAX_TOKEN + 1).strip()
    finally:
        os.close(fd)
    if not token or len(token) > MAX_TOKEN or len(token.split()) > 1:
        raise ValueError("write one word of at most 4096 bytes into it")
    return token


class OpenDoor:
    """The DoorHost of its sessions."""

    def __init__(
        self, desk: ScanDesk, door: Door, tally: DoorTally, makers: Mapping[str, SessionMaker], not_ready: Callable[[], list[str]]
    ) -> None:
        self.door = door
        self.token = b""
        self.tally = tally
        self.closing = False
        self._desk = desk
        self._makers = makers
        self._not_ready = not_ready
        self._listener: socket.socket | None = None
        self._sessions: dict[DoorSession, tuple[float, str]] = {}  # the oldest first
        self._peers: dict[str, int] = {}
        self._full = (0.0, "")

    def set_token(self, path: str) -> None:
        """Read the file with the token that clients must send; "" = none is needed. If it cannot be read, the door refuses all requests."""
        self.token = b""
        if path:
            try:
                self.token = read_token(path)
            except (OSError, ValueError) as error:
                self.token = os.urandom(32)
                log.error(
                    "door %s refuses all requests: token_file = %s: %s", self.door.name, path, getattr(error, "strerror", None) or error
                )

    # What sessions get (session.DoorHost)

    @property
    def loop(self) -> Loop:
        return self._desk.loop

    @property
    def max_size(self) -> int:
        return int(self._desk.config.spool.max_size)

    def begin(self, mail: AskedMail) -> AskedMessage:
        return self._desk.begin(lambda: self.door, self.tally, mail)

    def overloaded(self) -> str:
        now = time.monotonic()
        if now - self._full[0] > FULL_FOR:
            self._full = now, disk_full(self._desk.config.spool.min_free, FOLDER) or ""
        return self._full[1]

    def ended(self, session: DoorSession) -> None:
        if (found := self._sessions.pop(session, None)) is not None:
            _, peer = found
            self._peers[peer] -= 1
            if not self._peers[peer]:
                del self._peers[peer]
            self._show()

    def ready(self) -> list[str]:
        return self._not_ready()

    # What the door process does

    def serve(self, listener: socket.socket) -> None:
        """Serve a listener, and close the former one."""
        self.stop()
        self._listener = listener
        serve(self.loop, listener, self._accepted)

    def stop(self) -> None:
        """Accept no more connections. Open ones go on."""
        if self._listener is not None:
            self.loop.forget(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def leave(self) -> bool:
        """Accept no more connections, and close those without a message. Return whether all are closed."""
        self.closing = True
        self.stop()
        for session in [session for session in self._sessions if not session.busy]:
            session.close()
        return not self._sessions

    def close(self) -> None:
        """Close all connections."""
        self.stop()
        for session in list(self._sessions):
            session.close()

    def _accepted(self, sock: socket.socket) -> None:
        peer, host = _peer(sock)
        most = self.door.max_sessions
        if len(self._sessions) >= most:
            overload = "too many sessions, try again later"
        elif host and self._peers.get(peer, 0) >= max(1, int(most * SHARE_OF_A_PEER)):
            overload = "too many sessions from your address, try again later"
        else:
            overload = self.overloaded() and "no room for a message, try again later"
        if overload:
            self.tally.turned_away += 1
            self._desk.complaints.say(f"full {self.door.name}", f"door {self.door.name} refuses sessions: {self._full[1] or overload}")
        if len(self._sessions) >= 2 * most:  # refusals of clients that do not read them need an end, too
            sock.close()
            return
        session = self._makers[self.door.kind](self, sock, peer, overload)
        self._sessions[session] = time.monotonic(), peer
        self._peers[peer] = self._peers.get(peer, 0) + 1
        self._show()

    def _show(self) -> None:
        self.tally.sessions = len(self._sessions)
        self.tally.oldest = next(iter(self._sessions.values()))[0] if self._sessions else 0.0


def _peer(sock: socket.socket) -> tuple[str, bool]:
    """Return the address of a client ("" for a unix socket), and whether it is that of another host."""
    if sock.family == socket.AF_UNIX:
        return "", False
    try:
        address = str(sock.getpeername()[0])
    except OSError:
        return "unknown", True
    return address, not (address.startswith("127.") or address == "::1")
