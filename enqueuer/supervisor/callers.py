"""The supervisor's links: who calls is found among its children, all others are refused. Part of the supervisor.

A caller that sends what is no frame, or says nothing, loses its link and nothing else happens.
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
"""Seconds in which a caller must have said who it is."""
LINK_GRACE = 10.0
"""Seconds in which a child whose link has ended must have ended, too. Then it is killed: no order would reach it."""


class Callers:
    """Ties each link to the child at its other end; `frame(child, frame)` gets what the child sends."""

    def __init__(self, loop: Loop, listener: Bound, nursery: Children, frame: Callable[[Child, frames.ToSupervisor], None]) -> None:
        self._loop = loop
        self._nursery = nursery
        self._frame = frame
        self._links: list[Link] = []
        listener.serve(loop, self._accepted)

    def abandon(self) -> None:
        """In a new child: let go of all links. Siblings that hold our ends would hide our death from each other."""
        for link in self._links:
            link.abandon()

    def reaped(self, child: Child) -> None:
        """Take what a dead child has sent, and forget its link and its pid."""
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
        """Its link has ended, and so it ends by itself; one that does not is killed."""
        self._forget(link)
        self._loop.after(LINK_GRACE, lambda: child.kill() if child in self._nursery.children else None)

    def _refuse(self, link: Link) -> None:
        link.close()
        self._forget(link)

    def _forget(self, link: Link) -> None:
        if link in self._links:
            self._links.remove(link)
