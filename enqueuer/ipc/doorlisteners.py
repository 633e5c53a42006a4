"""Bind the listeners of doors, and send their descriptors to each door process. Part of the supervisor.

A door process gets all listeners at its start, and all of them again after each change. So a change of the doors needs no new process,
and connections that wait in a backlog survive.
"""

import contextlib
import errno
import grp
import os
import socket
import stat
from collections.abc import Sequence

import msgspec

from enqueuer.config.doors import MAX_DOORS, SCAN_DOOR, Door, ListenAddress

__all__ = ["LIMIT", "SCAN", "SCAN_SOCKET", "DoorListeners", "ListenerError", "ListenerNames"]

SCAN_SOCKET = "Run/scan.sock"
LIMIT = MAX_DOORS + 1
"""Descriptors of one message."""
BACKLOG = 1024
ListenerNames = tuple[tuple[str, str], ...]
"""The name and the address of each door, in the order of the descriptors."""
SCAN = Door(name=SCAN_DOOR, kind="http", listen=ListenAddress(f"unix:{SCAN_SOCKET}"), mode="0600")


class ListenerError(Exception):
    """A door cannot listen. The text names the door and the cure."""

    def __init__(self, text: str, *, passes: bool) -> None:
        """`passes`: the cause may end by itself, so a later try may work."""
        super().__init__(text)
        self.passes = passes


class _DoorListener:
    """One bound socket."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.sock = _bind(door)
        self.seen = _identity(door.listen.path)

    def lost(self) -> bool:
        """Return whether the path of a unix socket is missing or belongs to another file."""
        return bool(self.door.listen.path) and _identity(self.door.listen.path) != self.seen

    def close(self, *, remove: bool) -> None:
        if remove and self.door.listen.path and not self.lost():
            with contextlib.suppress(OSError):
                os.unlink(self.door.listen.path)
        self.sock.close()


class DoorListeners:
    """The listeners of all doors. A change is made whole or not at all: prepare() binds, commit() closes those that are not needed."""

    def __init__(self, doors: Sequence[Door]) -> None:
        """Raises ListenerError."""
        self._bound: dict[tuple[str, str, str, str], _DoorListener] = {}
        self._channels: dict[int, socket.socket] = {}
        self.prepare(doors)
        self.commit(doors)

    def prepare(self, doors: Sequence[Door]) -> None:
        """Bind what is not bound yet. Raises ListenerError; then nothing has changed."""
        before = self._bound.copy()
        names = [(each, each.door) for each in before.values()]
        try:
            for door in (*doors, SCAN):
                if _key(door) in self._bound:
                    continue
                if (old := next((each for each in self._bound.values() if each.door.listen == door.listen), None)) is not None:
                    self._rename(old, door)
                else:
                    self._bound[_key(door)] = _DoorListener(door)
        except ListenerError:
            for made in [each for each in self._bound.values() if each not in before.values()]:
                made.close(remove=True)
            self._bound = before
            for each, door in names:
                if each.door is not door:
                    each.door = door
                    with contextlib.suppress(ListenerError):
                        _give(door)
            raise

    def commit(self, doors: Sequence[Door]) -> None:
        """Close the listeners that these doors do not need, and send the others to the door processes."""
        wanted = {_key(door): door for door in (*doors, SCAN)}
        for key in [key for key in self._bound if key not in wanted]:
            self._bound.pop(key).close(remove=True)
        self._send_all()

    def mend(self) -> list[str]:
        """Bind unix sockets again whose names another program removed; return their paths. Raises ListenerError."""
        mended: list[str] = []
        failed: ListenerError | None = None
        for each in [each for each in self._bound.values() if each.lost()]:
            old = each.sock
            try:
                each.sock = _bind(each.door)
            except ListenerError as error:
                failed = error
                continue
            each.seen = _identity(each.door.listen.path)
            old.close()
            mended.append(each.door.listen.path)
        if mended:
            self._send_all()
        if failed is not None:
            raise failed
        return mended

    def channel(self, generation: int) -> socket.socket:
        """Return a door process's end of a new channel that brings the listeners. Close it after the fork; call forget() when the process
        has ended.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._channels[generation] = ours
        self._send(ours)
        return theirs

    def forget(self, generation: int) -> None:
        """Forget a door process that has ended."""
        if (channel := self._channels.pop(generation, None)) is not None:
            channel.close()

    def abandon(self) -> None:
        """Close all in a child process. A door process gets its listeners on its channel."""
        for each in self._bound.values():
            each.sock.close()
        for channel in self._channels.values():
            channel.close()

    def close(self) -> None:
        """Close all, and remove the paths of unix sockets: the engine ends."""
        for each in self._bound.values():
            each.close(remove=True)
        for channel in self._channels.values():
            channel.close()

    def _rename(self, old: _DoorListener, door: Door) -> None:
        """Keep the socket of an address whose door has another name, mode or group now. Raises ListenerError."""
        self._bound = {(_key(door) if each is old else key): each for key, each in self._bound.items()}
        old.door = door
        _give(door)

    def _send_all(self) -> None:
        for channel in self._channels.values():
            self._send(channel)

    def _send(self, channel: socket.socket) -> None:
        names = tuple((each.door.name, str(each.door.listen)) for each in self._bound.values())
        with contextlib.suppress(OSError):  # the process has ended, or is about to be replaced
            socket.send_fds(channel, [msgspec.msgpack.encode(names)], [each.sock.fileno() for each in self._bound.values()])


def _key(door: Door) -> tuple[str, str, str, str]:
    return door.name, str(door.listen), door.mode, door.group


def _bind(door: Door) -> socket.socket:
    """Bind and listen. Raises ListenerError."""
    listen = door.listen
    family = socket.AF_UNIX if listen.path else socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        if listen.path:
            _bind_path(sock, door)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((listen.host, listen.port))
        sock.listen(BACKLOG)
    except ListenerError:
        sock.close()
        raise
    except OSError as error:
        sock.close()
        raise _error(door, error) from None
    sock.setblocking(False)
    return sock


def _bind_path(sock: socket.socket, door: Door) -> None:
    """Bind a unix socket. Replace a dead one that an ended engine left, but no other file and no socket on which a program listens."""
    path = door.listen.path
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "a file that is no socket has this name", path)
        if path != SCAN_SOCKET and _answers(path):
            raise OSError(errno.EADDRINUSE, "in use", path)
        os.unlink(path)
    before = os.umask(0o177)
    try:
        sock.bind(path)
    finally:
        os.umask(before)
    _give(door)


def _give(door: Door) -> None:
    """Set group and mode of a unix socket. Raises ListenerError."""
    if not door.listen.path:
        return
    try:
        if door.group:
            os.chown(door.listen.path, -1, int(door.group) if door.group.isdecimal() else grp.getgrnam(door.group).gr_gid)
        os.chmod(door.listen.path, int(door.mode, 8))
    except (OSError, KeyError) as error:
        raise _error(door, error) from None


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            sock.connect(path)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True


def _error(door: Door, error: OSError | KeyError) -> ListenerError:
    where = f'door "{door.name}": listen = "{door.listen}"'
    if isinstance(error, KeyError):
        return ListenerError(
            f'door "{door.name}": there is no group {door.group}: make it with: groupadd --system {door.group}', passes=False
        )
    if error.errno == errno.EADDRINUSE:
        return ListenerError(f"{where}: another program listens there: stop it, or choose another address", passes=True)
    if error.errno == errno.EADDRNOTAVAIL:
        return ListenerError(f"{where}: this machine does not have that address", passes=True)
    if error.errno == errno.ENOENT:
        return ListenerError(f"{where}: the folder does not exist: make it, and let the engine's account write into it", passes=False)
    if error.errno in (errno.EACCES, errno.EPERM):
        cure = (
            "let the engine's account write into the folder, and be a member of the group" if door.listen.path else "use a port over 1023"
        )
        return ListenerError(f"{where}: {error.strerror}: {cure}", passes=False)
    return ListenerError(f"{where}: {error.strerror}", passes=False)


def _identity(path: str) -> tuple[int, int] | None:
    if not path:
        return None
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
