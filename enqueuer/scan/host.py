"""The filterlink process: connect filterlink, which does not know the engine, to the engine's links.

What ends it: Exit or garbage from the supervisor; the end of its link to the supervisor; any exception in its loop (exit code
70, a traceback in the log). The supervisor starts another one, and the open scans are asked for again.

What it only logs: a helper that cannot be started (that filter has failed); garbage from a client, whose link it closes. If its
link to the queue manager ends, it connects again.
"""

import logging

from enqueuer.ipc import frames
from enqueuer.ipc.child import MANAGER, SUPERVISOR, Birth
from enqueuer.ipc.scoreboard import HEARTBEAT
from filterlink.server import MultiplexerServer
from filterlink.wire.link import Link
from filterlink.wire.loop import Loop

__all__ = ["run"]

log = logging.getLogger("ENQUEUER")

NUMBERS = 1_000_000
"""The distance between the first request numbers of two multiplexers: the gateway of an old helper may answer the new multiplexer."""


def run(birth: Birth) -> None:
    """Run the filterlink process from start to end."""
    FilterHost(birth).loop.run()


class FilterHost:
    def __init__(self, birth: Birth) -> None:
        self.loop = Loop()
        self._birth = birth
        self._manager = self._call_manager()
        assert birth.listener is not None
        self._server = MultiplexerServer(
            self.loop,
            birth.listener.sock,
            birth.config.filters,
            tell_manager=lambda frame: self._manager.send(frames.encode(frame)),
            publish=birth.board.publish_filters,
            first_number=birth.generation % 2000 * NUMBERS + 1,
        )
        self._server.share(birth.config.enqueuer.lanes.large_share)
        birth.listener.follow(self.loop, self._server.accept)
        self._server.start()
        self._supervisor = Link(
            self.loop, birth.call(SUPERVISOR), frames.decode_from_supervisor, self._order, lambda _: self._stop(), vital=True
        )
        self._supervisor.send(frames.encode(frames.InForce(birth.revision)))
        self._turned()

    def _turned(self) -> None:
        self._birth.board.filterlink_turned()
        self.loop.after(HEARTBEAT, self._turned)

    def _call_manager(self) -> Link:
        """Connect to the queue manager, which wakes parked messages over this link. The Hello alone wakes all of them."""
        return Link(
            self.loop, self._birth.call(MANAGER), frames.decode_to_filterlink, lambda _, frame: self._told(frame), self._lost_manager
        )

    def _lost_manager(self, _link: Link) -> None:
        self._server.press(False)
        self._server.forget_parked()  # the next queue manager dispatches all of them again
        self._manager = self._call_manager()

    def _told(self, frame: frames.ToFilterlink) -> None:
        match frame:
            case frames.Backpressure(waiting):
                self._server.press(waiting)
            case frames.Left(id):
                self._server.left(id)

    def _order(self, _link: Link, frame: frames.FromSupervisor) -> None:
        match frame:
            case frames.ConfigRevision(revision):
                self._birth.take(revision)
                self._server.share(self._birth.config.enqueuer.lanes.large_share)
                self._server.configure(self._birth.config.filters, lambda: self._in_force(revision))
            case frames.Exit():
                self._stop()
            case _:
                pass

    def _in_force(self, revision: int) -> None:
        self._supervisor.send(frames.encode(frames.InForce(revision)))

    def _stop(self) -> None:
        """Stop the helpers step by step, then end."""
        self._server.stop(self.loop.stop)
