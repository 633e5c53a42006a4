"""The multiplexer's process: clients on one side, filters and their helpers on the other, one epoll loop for all.

Here what mux and lifecycle decide meets links and processes. A client's end or a helper's fault is that one's alone.
"""

import logging
import socket
import time
from collections.abc import Callable, Sequence

import msgspec

from filterlink.external import ExternalFilter
from filterlink.frames import Ask, FilterState, Guilty, Hello, Kind, Park, Verdict, Wake, encode
from filterlink.link import Link, serve
from filterlink.loop import Loop
from filterlink.mux import Gate
from filterlink.settings import Filter

__all__ = ["Server"]

log = logging.getLogger("EXTFILTER")

TICK = 0.1
"""Seconds between two looks at what is overdue, while anything is."""
PUBLISH = 0.1
"""Seconds between two publications of the filters' states, while they change."""
STRANGER_AGAIN = 1.0
"""Seconds until a message asks again for a filter that is not configured here (yet)."""

_decode = msgspec.msgpack.Decoder(Hello | Ask).decode


class Server:
    """Serves the clients that connect to `listener`. `tell_manager` has who may ask again and who is
    to blame, `publish` how the filters are.

    `first_number` is where request numbers begin; another one for each multiplexer of an engine keeps a late answer to the
    one that died from being taken for an answer to its successor.
    """

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        filters: Sequence[Filter],
        tell_manager: Callable[[Wake | Guilty], None],
        publish: Callable[[list[FilterState]], None],
        first_number: int = 1,
    ) -> None:
        self._loop, self._listener, self._tell_manager, self._publish, self._first = loop, listener, tell_manager, publish, first_number
        self._publishing = self._closed = self._pressed = self._idle = False
        self._large_share = 0.5
        self._links: set[Link] = set()
        self._filters: dict[str, ExternalFilter] = {}
        self._leaving: list[ExternalFilter] = []
        """Removed or replaced, but not yet at their end. One that is replaced keeps its successor waiting."""
        self._unstarted: list[ExternalFilter] = [self._add(settings) for settings in filters]
        self._strangers: set[str] = set()  # names complained of
        self._then: Callable[[], None] | None = None
        self._timer = loop.after(0, lambda: None)
        serve(loop, listener, self._accepted)

    def start(self) -> None:
        """Start the helpers of all filters that are enabled."""
        self._start_those_free()
        self._tick()
        self._changed()

    def configure(self, filters: Sequence[Filter]) -> None:
        """Take other settings: only a filter that differs is touched, and it answers what it was asked before it ends."""
        self._strangers.clear()
        wanted = {settings.name: settings for settings in filters}
        for name, old in list(self._filters.items()):
            new = wanted.pop(name, None)
            if new == old.settings:
                continue
            self._leaving.append(old)
            del self._filters[name]
            if new is None or not new.enabled:
                old.evict()
            if new is not None:
                successor = self._add(new)
                successor.inherit(old)
                self._brief(successor)
                self._unstarted.append(successor)
        self._unstarted += [self._add(settings) for settings in wanted.values()]
        self._filters = {settings.name: self._filters[settings.name] for settings in filters}
        self._see_off()
        self._changed()

    def _add(self, settings: Filter) -> ExternalFilter:
        self._filters[settings.name] = added = ExternalFilter(self._loop, settings, self._tell_manager, self._changed, self._first)
        self._brief(added)
        return added

    def _brief(self, each: ExternalFilter) -> None:
        """Tell a filter's gate what holds for all of them."""
        if each.gate is not None:
            each.gate.pressed, each.gate.slots.large_share = self._pressed, self._large_share

    def _see_off(self) -> None:
        """Stop those that leave once they have answered, and start their successors once they have ended."""
        for old in self._leaving:
            if old.drained:
                old.evict()  # parked meanwhile, because its helper died once more
                old.stop()
        self._leaving = [old for old in self._leaving if not old.over]
        self._start_those_free()

    def _start_those_free(self) -> None:
        busy = {old.settings.name for old in self._leaving}
        waiting, self._unstarted = self._unstarted, []
        for each in waiting:
            if self._filters.get(each.settings.name) is not each:
                continue  # replaced in its turn before it began
            if each.settings.name in busy:
                self._unstarted.append(each)
            else:
                each.start()

    @property
    def _all(self) -> list[ExternalFilter]:
        return [*self._filters.values(), *self._leaving]

    def stop(self, then: Callable[[], None]) -> None:
        """Stop all helpers in steps, then call `then`. What is open is not answered: it is asked of the next multiplexer."""
        self._then = then
        for each in self._all:
            each.stop()
        self._check_stopped()

    def forget_parked(self) -> None:
        """Whoever hears the wakes is a new one and lets all messages ask again: the old parked ones are to be counted no more."""
        for gate in self._gates:
            gate.forget_parked()
        self._changed()

    def close(self) -> None:
        """Let go of the clients and of the listener (which stays open: it is not ours)."""
        self._closed = True
        self._loop.forget(self._listener.fileno())
        for link in self._links:
            link.close()

    def _accepted(self, sock: socket.socket) -> None:
        self._links.add(Link(self._loop, sock, _decode, self._asked, self._client_gone))

    def _asked(self, link: Link, frame: Hello | Ask) -> None:
        if isinstance(frame, Hello):
            link.peer = frame
        elif (found := self._filters.get(frame.filter)) is None or found.gate is None:
            self._unknown(link, frame)
        elif not found.stopping:
            found.gate.ask(time.monotonic(), link, frame)
            if self._idle:
                self._hurry()
            if not self._publishing:
                self._changed()

    def _unknown(self, link: Link, ask: Ask) -> None:
        """Asked under an edition of the configuration that is not ours, or no longer: the message is dispatched again soon."""
        if ask.filter not in self._strangers:
            self._strangers.add(ask.filter)
            log.warning('filter "%s" is asked for, but not configured or disabled here: its messages ask again', ask.filter)
        if not ask.park:
            link.send(encode(Verdict(ask.id, ask.n, ask.filter, Kind.UNAVAILABLE, f'filter "{ask.filter}" is not configured or disabled')))
            return
        link.send(encode(Park(ask.id, ask.n, ask.filter, "not configured here", True)))
        self._loop.after(STRANGER_AGAIN, lambda: self._tell_manager(Wake(ask.filter, 1, id=ask.id)))

    def _client_gone(self, link: Link) -> None:
        self._links.discard(link)
        for gate in self._gates:
            gate.client_gone(link)

    def _tick(self) -> None:
        """Look at the clock for all filters; an idle one costs nothing."""
        if self._closed:
            return
        now = time.monotonic()
        for each in self._all:
            each.tick(now)
        if self._leaving and self._then is None:
            self._see_off()
        busy = bool(self._leaving) or any(each.busy for each in self._all)
        self._idle, self._timer = not busy, self._loop.after(TICK if busy else 1.0, self._tick)
        if busy:
            self._changed()

    def _hurry(self) -> None:
        """Look at the clock soon, after it was looked at seldom: there is something again."""
        self._idle = False
        self._timer.cancel()
        self._timer = self._loop.after(TICK, self._tick)

    def _changed(self) -> None:
        if not self._publishing:
            self._publishing = True
            self._loop.after(PUBLISH, self._tell)

    def press(self, waiting: bool) -> None:
        """Whether other work waits for the processors that wait for filters."""
        self._pressed = waiting
        for each in self._all:
            self._brief(each)
        if waiting and self._idle:
            self._hurry()

    def left(self, id: int) -> None:
        """That message asks no more."""
        for gate in self._gates:
            gate.left(id)

    def share(self, large_share: float) -> None:
        """What part of each filter's slots large messages may take."""
        self._large_share = large_share
        for each in self._all:
            self._brief(each)

    @property
    def _gates(self) -> list[Gate]:
        return [each.gate for each in self._all if each.gate is not None]

    def _tell(self) -> None:
        self._publishing = False
        if not self._closed:
            self._publish([each.state() for each in self._filters.values()])
        self._check_stopped()

    def _check_stopped(self) -> None:
        if self._then is not None and all(each.over for each in self._all):
            then, self._then = self._then, None
            then()
