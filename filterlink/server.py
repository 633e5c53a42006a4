"""Serve the multiplexer: clients on one side, filters and their helpers on the other, one epoll loop for all.

This module connects the decisions of mux and lifecycle with links and processes. The end of a client and the fault of a helper
affect only that client or helper. enqueuer/scan/host.py says what ends the process and what is only logged.
"""

import logging
import socket
from collections.abc import Callable, Iterator, Sequence

import msgspec

from filterlink.config.settings import Filter
from filterlink.dispatch.mux import Gate
from filterlink.external import ExternalFilter, numbers_from
from filterlink.process import orphans
from filterlink.rollover import Rollover
from filterlink.wire.frames import (
    Abandon,
    AnswerKind,
    Ask,
    FilterAnswer,
    FilterState,
    Guilty,
    Hello,
    Park,
    Renewed,
    VerdictFrame,
    Wake,
    encode,
)
from filterlink.wire.link import Link, serve
from filterlink.wire.loop import Loop

__all__ = ["MultiplexerServer"]

log = logging.getLogger("EXTFILTER")

TICK = 0.1
"""Seconds between two checks for overdue requests, while any filter is busy."""
PUBLISH = 0.1
"""Seconds between two publications of the filters' states, while they change."""
MOST_STRANGERS = 100
"""Names of unknown filters that are logged until the next configuration."""
STRANGER_AGAIN = 1.0
"""Seconds until a message asks again for a filter that is not configured here (yet)."""

DOOR_BURST = 32
"""Frames of a door that are read in one turn. A door has many requests in flight: this halves the CPU of a request."""

_decode = msgspec.msgpack.Decoder(Hello | Ask | Abandon).decode


class MultiplexerServer:
    """Serve the clients that connect to `listener`.

    `tell_manager` gets the messages that may ask again, the guilty messages, and the filters with new settings. `publish` gets the
    states of the filters. `first_number`: the first request number. Each multiplexer of an engine has another one, so that a late
    answer to a dead multiplexer does not count as an answer to its successor.
    """

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        filters: Sequence[Filter],
        tell_manager: Callable[[Wake | Guilty | Renewed], None],
        publish: Callable[[list[FilterState]], None],
        first_number: int = 1,
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._tell_manager = tell_manager
        self._publish = publish
        self._first = first_number
        self._publishing = self._closed = self._backpressure = self._idle = self._stopping = False
        self._large_share = 0.5
        self._links: set[Link] = set()
        self._succession = Rollover(self._make, lambda name: tell_manager(Renewed(name)))
        self._in_force: Callable[[], None] | None = None
        self._orphans: set[str] = set()  # names complained of
        self._then: Callable[[], None] | None = None
        self._timer = loop.after(0, lambda: None)
        self._settings = filters
        serve(loop, listener, self.accept)

    def start(self) -> None:
        """Start the helpers of all filters that are enabled."""
        self._succession.configure(self._loop.now(), self._settings)
        self._tick()
        self._changed()

    def configure(self, filters: Sequence[Filter], in_force: Callable[[], None] = lambda: None) -> None:
        """Take new settings, and call `in_force` when no filter scans by the old ones any more. The next call replaces this one."""
        if self._stopping:
            return
        self._orphans.clear()
        self._in_force = in_force
        self._succession.configure(self._loop.now(), filters)
        self._tell_in_force()
        self._hurry()
        self._changed()

    def _tell_in_force(self) -> None:
        """Call `in_force` once every filter scans by its newest settings."""
        if self._succession.done and self._in_force is not None:
            told = self._in_force
            self._in_force = None
            told()

    def _make(self, settings: Filter, numbers: Iterator[int] | None) -> ExternalFilter:
        made = ExternalFilter(self._loop, settings, self._tell_manager, self._changed, numbers or numbers_from(self._first))
        self._brief(made)
        return made

    def _brief(self, each: ExternalFilter) -> None:
        """Give a filter's gate the values that are common to all filters."""
        if each.gate is not None:
            each.gate.backpressure = self._backpressure
            each.gate.slots.large_share = self._large_share

    @property
    def _all(self) -> list[ExternalFilter]:
        return self._succession.all

    def stop(self, then: Callable[[], None]) -> None:
        """Stop all helpers in steps, then call `then`. Open requests get no answer: clients repeat them at the next multiplexer."""
        self._then = then
        self._stopping = True
        for each in self._all:
            each.stop()
        self._check_stopped()

    def forget_parked(self) -> None:
        """Forget the parked messages: the queue manager is a new process, and has all messages ask again."""
        for gate in self._gates:
            gate.forget_parked()
        self._changed()

    def close(self) -> None:
        """Close the links to the clients, and stop watching the listener, which stays open: the caller owns it."""
        self._closed = True
        self._loop.forget(self._listener.fileno())
        for link in self._links:
            link.close()

    def accept(self, sock: socket.socket) -> None:
        """Serve a client that has connected."""
        self._links.add(Link(self._loop, sock, _decode, self._asked, self._client_gone))

    def _asked(self, link: Link, frame: Hello | Ask | Abandon) -> None:
        if isinstance(frame, Hello):
            link.peer = frame
            link.burst = DOOR_BURST if frame.role == "door" else 1
        elif isinstance(frame, Abandon):
            for gate in self._gates:
                gate.abandon(self._loop.now(), link, frame.id)
            self._changed()
        elif (found := self._succession.judging.get(frame.filter)) is None or found.gate is None:
            self._unknown(link, frame)
        elif not found.stopping:
            found.gate.ask(self._loop.now(), link, frame)
            if self._idle:
                self._hurry()
            if not self._publishing:
                self._changed()

    def _unknown(self, link: Link, ask: Ask) -> None:
        """Answer a request under another revision of the configuration than ours: the message is dispatched again soon.

        A door walks its rules again by itself.
        """
        if ask.filter not in self._orphans and len(self._orphans) < MOST_STRANGERS:
            self._orphans.add(ask.filter)
            log.warning(
                'the configuration in use does not have filter "%s", or disables it: its messages are dispatched again',
                ask.filter,
            )
        if not (ask.park or ask.asked):
            link.send(
                encode(
                    VerdictFrame(
                        ask.id,
                        ask.n,
                        ask.filter,
                        FilterAnswer(AnswerKind.UNAVAILABLE, f'filter "{ask.filter}" is not configured or disabled'),
                    )
                )
            )
            return
        link.send(encode(Park(ask.id, ask.n, ask.filter, "not configured here", True)))
        if not ask.asked:
            self._loop.after(STRANGER_AGAIN, lambda: self._tell_manager(Wake(ask.filter, 1, id=ask.id)))

    def _client_gone(self, link: Link) -> None:
        self._links.discard(link)
        for gate in self._gates:
            gate.client_gone(link)

    def _tick(self) -> None:
        """Do what is due for all filters. While all are idle, this runs once a second."""
        if self._closed:
            return
        orphans.reap()
        now = self._loop.now()
        for each in self._all:
            each.tick(now)
        if self._succession.going_on and not self._stopping:
            self._succession.look(now)
            self._tell_in_force()
        busy = self._succession.going_on or any(each.busy for each in self._all)
        self._idle = not busy
        self._timer = self._loop.after(TICK if busy else 1.0, self._tick)
        if busy:
            self._changed()

    def _hurry(self) -> None:
        """Run the next tick soon: the filters were idle, and there is work again."""
        self._idle = False
        self._timer.cancel()
        self._timer = self._loop.after(TICK, self._tick)

    def _changed(self) -> None:
        if not self._publishing:
            self._publishing = True
            self._loop.after(PUBLISH, self._tell)

    def press(self, waiting: bool) -> None:
        """Note whether other work waits for the processors that wait for filters (backpressure)."""
        self._backpressure = waiting
        for each in self._all:
            self._brief(each)
        if waiting and self._idle:
            self._hurry()

    def left(self, id: int) -> None:
        """Note that this message asks no more."""
        for gate in self._gates:
            gate.left(id)

    def share(self, large_share: float) -> None:
        """Set the share of each filter's slots that large messages may take."""
        self._large_share = large_share
        for each in self._all:
            self._brief(each)

    @property
    def _gates(self) -> list[Gate]:
        return [each.gate for each in self._all if each.gate is not None]

    def _tell(self) -> None:
        self._publishing = False
        if not self._closed:
            self._publish(self._succession.states())
        self._check_stopped()

    def _check_stopped(self) -> None:
        if self._then is not None and all(each.over for each in self._all):
            then = self._then
            self._then = None
            then()
