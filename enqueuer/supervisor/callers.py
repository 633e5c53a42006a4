"""The supervisor's links: find the child at the other end of each, and refuse all other callers. Part of the supervisor.

A caller that sends no valid frame, or nothing at all, loses its link. Nothing else happens.
"""

import socket
from collections.abc import Callable

from enqueuer.ipc import frames
from enqueuer.ipc.listeners import Bound
from enqueuer.supervisor.children import Child, Children
from filterlink.wire.link import Link
from filterlink.wire.loop import Loop

__all__ = ["Callers"]

HELLO_WITHIN = 5.0
"""Seconds within which a caller must send its Hello."""
LINK_GRACE = 10.0
"""Seconds within which a child must end after its link has ended. Then it is killed, because no frame can reach it."""


class Callers:
    """Ties each link to the child at its other end. What the child sends goes to `frame(child, frame)`."""

    def __init__(self, loop: Loop, listener: Bound, nursery: Children, frame: Callable[[Child, frames.ToSupervisor], None]) -> None:
        self._loop = loop
        self._nursery = nursery
        self._frame = frame
        self._links: list[Link] = []
        listener.serve(loop, self._accepted)

    def abandon(self) -> None:
        """Close all links in a new child. Otherwise siblings that hold our ends would hide our death from each other."""
        for link in self._links:
            link.abandon()

    def reaped(self, child: Child) -> None:
        """Read what a dead child has sent, then forget its link and its pid."""
        child.birth.board.born(child.role, child.birth.slot, 0)
        if child.link is not None:
            child.link.read_to_end()
            self._refuse(child.link)

    def _accepted(self, sock: socket.socket) -> None:
        link = Link(self._loop, sock, frames.decode_to_supervisor, self._first, self._forget)
        self._links.append(link)
        self._loop.after(HELLO_WITHIN, lambda: self._expect_hello(link))

    def _expect_hello(self, link: Link) -> None:
        if link.peer is None:
            self._refuse(link)

    def _first(self, link: Link, hello: frames.ToSupervisor) -> None:
        generation = hello.generation if isinstance(hello, frames.Hello) else 0
        waited_for = (child for child in self._nursery.children if child.birth.generation == generation and child.link is None)
        if (child := next(waited_for, None)) is None or link.caller != child.pid:
            self._refuse(link)
            return
        link.peer = child.title
        link.handle(lambda _, frame: self._frame(child, frame), lambda _: self._cut_off(child, link))
        child.greeted(link)

    def _cut_off(self, child: Child, link: Link) -> None:
        """Expect a child whose link has ended to end by itself; kill it if it does not."""
        self._forget(link)
        self._loop.after(LINK_GRACE, lambda: child.kill() if child in self._nursery.children else None)

    def _refuse(self, link: Link) -> None:
        link.close()
        self._forget(link)

    def _forget(self, link: Link) -> None:
        if link in self._links:
            self._links.remove(link)
