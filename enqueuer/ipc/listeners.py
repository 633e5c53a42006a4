"""The engine's sockets in Run/: bind them at the start, and again if a cleaner has removed them. Part of the supervisor.

A child inherits the listener that it serves at its fork. It gets one that is bound later through a socket pair. So a
cleaner in Run/ does not force the restart of a process.
"""

import os
import socket
from collections.abc import Callable

from filterlink.wire.link import Accept, serve, serve_instead
from filterlink.wire.loop import Loop

__all__ = ["Bound", "Served"]


class Bound:
    """One listener and its path in Run/. `bind(path)` makes it. This process serves it, or a child does."""

    def __init__(self, path: str, bind: Callable[[str], socket.socket]) -> None:
        self.path = path
        self._bind = bind
        self.sock = bind(path)
        self._seen = _identity(path)
        self._here: tuple[Loop, Accept] | None = None
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._theirs.setblocking(False)

    def serve(self, loop: Loop, accept: Accept) -> None:
        """Serve it in this process."""
        self._here = loop, accept
        serve(loop, self.sock, accept)

    def lend(self) -> "Served":
        """Return what a child needs to serve the listener."""
        return Served(self.sock, self._theirs)

    def mend(self) -> bool:
        """Bind the listener again if its name is missing or belongs to another file. Return True if it was so. Raises OSError."""
        if _identity(self.path) == self._seen:
            return False
        old = self.sock
        self.sock = self._bind(self.path)
        self._seen = _identity(self.path)
        if self._here is not None:
            loop, accept = self._here
            serve_instead(loop, old, self.sock, accept)
        else:
            self._ours.setblocking(False)
            socket.send_fds(self._ours, [b"."], [self.sock.fileno()])
            old.close()
        return True

    def abandon(self, serving: "Served | None") -> None:
        """Close all of it in a child, except what that child serves."""
        self._ours.close()
        if serving is None or serving.sock is not self.sock:
            self.sock.close()
            self._theirs.close()

    def remove(self) -> None:
        """Remove the name of a listener: the engine has ended. Raises OSError."""
        os.unlink(self.path)


class Served:
    """A listener in the child that serves it."""

    def __init__(self, sock: socket.socket, moves: socket.socket) -> None:
        self.sock = sock
        self._moves = moves

    def serve(self, loop: Loop, accept: Accept) -> None:
        serve(loop, self.sock, accept)
        self.follow(loop, accept)

    def follow(self, loop: Loop, accept: Accept) -> None:
        """Serve this listener, and each one that the supervisor binds in its place."""

        def moved(_events: int) -> None:
            try:
                _, fds, _, _ = socket.recv_fds(self._moves, 16, 1, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            if not fds:  # the supervisor has ended, or no descriptor was free
                loop.forget(self._moves.fileno())
                return
            old = self.sock
            self.sock = socket.socket(fileno=fds[0])
            serve_instead(loop, old, self.sock, accept)

        loop.watch(self._moves.fileno(), moved)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
