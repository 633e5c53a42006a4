"""The multiplexer's process: clients on one side, filters and their helpers on the other, one epoll loop for all.

Here what mux and lifecycle decide meets links and processes. A client's end or a helper's fault is that one's alone.
"""

import itertools
import logging
import math
import socket
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from filterlink.frames import MAX_TEXT, Ask, FilterState, Hello, Kind, Park, StateWord, Verdict, Wake, encode
from filterlink.keeper import Keeper
from filterlink.link import Link, serve
from filterlink.loop import Loop
from filterlink.mux import Gate, Request
from filterlink.protocol import Reply
from filterlink.settings import LEVELS, Filter

__all__ = ["Server"]

TICK = 0.1
"""Seconds between two looks at what is overdue, while anything is."""
PUBLISH = 0.1
"""Seconds between two publications of the filters' states, while they change."""
LAST_NUMBER = (1 << 31) - 1
"""Helpers in C keep request numbers in an int."""

_decode = msgspec.msgpack.Decoder(Hello | Ask).decode


def _numbers(first: int) -> Iterator[int]:
    """Request numbers, never the same again while we live: some gateways answer a dead helper's requests to the next one."""
    rounds = itertools.chain([range(first, LAST_NUMBER)], itertools.repeat(range(1, LAST_NUMBER)))
    return itertools.chain.from_iterable(rounds)


class Server:
    """Serves the clients that connect to `listener`. `wake` is told who may ask again, `publish` how the filters are.

    `first_number` is where request numbers begin; another one for each multiplexer of an engine keeps a late answer to the
    one that died from being taken for an answer to its successor.
    """

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        filters: Sequence[Filter],
        wake: Callable[[Wake], None],
        publish: Callable[[list[FilterState]], None],
        first_number: int = 1,
    ) -> None:
        self._loop, self._listener, self._publish = loop, listener, publish
        self._publishing = self._closed = False
        self._links: set[Link] = set()
        self._filters = [_Filter(loop, settings, wake, self._changed, first_number) for settings in filters]
        self._by_name = {each.settings.name: each for each in self._filters}
        self._then: Callable[[], None] | None = None
        serve(loop, listener, self._accepted)

    def start(self) -> None:
        """Start the helpers of all filters that are enabled."""
        for each in self._filters:
            each.start()
        self._tick()
        self._changed()

    def stop(self, then: Callable[[], None]) -> None:
        """Stop all helpers in steps, then call `then`. What is open is not answered: it is asked of the next multiplexer."""
        self._then = then
        for each in self._filters:
            each.stop()
        self._check_stopped()

    def forget_parked(self) -> None:
        """Whoever hears the wakes is a new one and lets all messages ask again: the old parked ones are to be counted no more."""
        for each in self._filters:
            if each.gate is not None:
                each.gate.forget_parked()
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
        elif (found := self._by_name.get(frame.filter)) is None or found.gate is None:
            text = f'filter "{frame.filter}" is {"disabled" if found else "not configured"}'
            link.send(encode(Verdict(frame.id, frame.n, frame.filter, Kind.UNAVAILABLE, text)))
        elif not found.stopping:
            found.gate.ask(time.monotonic(), link, frame)
            self._changed()

    def _client_gone(self, link: Link) -> None:
        self._links.discard(link)
        for each in self._filters:
            if each.gate is not None:
                each.gate.client_gone(link)

    def _tick(self) -> None:
        """Look at the clock for all filters; an idle one costs nothing."""
        if self._closed:
            return
        now = time.monotonic()
        for each in self._filters:
            if each.gate is not None and not each.stopping:
                each.gate.tick(now)
        busy = any(each.busy for each in self._filters)
        self._loop.after(TICK if busy else 1.0, self._tick)
        if busy:
            self._changed()

    def _changed(self) -> None:
        if not self._publishing:
            self._publishing = True
            self._loop.after(PUBLISH, self._tell)

    def _tell(self) -> None:
        self._publishing = False
        if not self._closed:
            self._publish([each.state() for each in self._filters])
        self._check_stopped()

    def _check_stopped(self) -> None:
        if self._then is not None and all(each.over for each in self._filters):
            then, self._then = self._then, None
            then()


class _Filter:
    """One filter: its gate, its helpers' keepers, and the talk between them. Port of the one, owner of the others."""

    def __init__(self, loop: Loop, settings: Filter, wake: Callable[[Wake], None], changed: Callable[[], None], first: int) -> None:
        self.settings = settings
        self.stopping = False
        self.gate: Gate | None = None
        self._loop, self._wake, self._changed, self._first = loop, wake, changed, first
        self._log = logging.getLogger(f"EXTFILTER({settings.name})")
        self._log.setLevel(LEVELS[settings.log_level])
        self._keepers: list[Keeper] = []
        self._gone = 0

    def start(self) -> None:
        if not self.settings.enabled:
            return
        numbers = _numbers(self._first)
        self.gate = Gate(self.settings, self, numbers, time.monotonic(), self._reason)
        for index in range(self.settings.instances):
            self._keepers.append(Keeper(self._loop, self.settings, index, numbers, self._log, self))

    def stop(self) -> None:
        self.stopping = True
        for keeper in self._keepers:
            keeper.stop()

    @property
    def over(self) -> bool:
        """No helper runs, and none will."""
        return self._gone == len(self._keepers)

    @property
    def busy(self) -> bool:
        """The clock matters: something is open, parked, or on its way."""
        gate = self.gate
        return gate is not None and (gate.in_flight > 0 or gate.parked > 0 or not gate.is_ready)

    def state(self) -> FilterState:
        """How the filter is, for the status document."""
        gate, now = self.gate, time.monotonic()
        if gate is None:
            return FilterState(self.settings.name, "disabled")
        errors = [keeper.last_error for keeper in self._keepers if keeper.last_error]
        pids = tuple(keeper.pid for keeper in self._keepers if keeper.pid)
        restarts = sum(max(0, keeper.life.starts - 1) for keeper in self._keepers)
        times = sorted(gate.durations)
        word = self._word(gate, now)
        return FilterState(
            self.settings.name,
            word,
            pids,
            gate.in_flight,
            gate.parked,
            gate.answered,
            restarts,
            errors[-1] if errors else None,
            round(times[len(times) // 2], 6) if times else None,
            round(times[math.ceil(len(times) * 0.99) - 1], 6) if times else None,
        )

    def _word(self, gate: Gate, now: float) -> StateWord:
        if gate.is_ready:
            return "stalled" if gate.stalled(now) else "ready"
        if gate.dead or not any(keeper.startable for keeper in self._keepers):
            return "failed"
        return "restarting" if any(keeper.was_ready for keeper in self._keepers) else "starting"

    def _reason(self) -> str:
        return next((keeper.last_error for keeper in self._keepers if keeper.last_error), "it is being started")

    # what the gate wants done (mux.Port)

    def send(self, unit: int, number: int, message: int) -> None:
        self._keepers[unit].send(number, f"Queue/{message}.msg")

    def verdict(self, request: Request, kind: Kind, text: str, fields: tuple[bytes, ...], charge: bool = False) -> None:
        if sum(map(len, fields)) > MAX_TEXT:
            self._log.warning("message %d: the fields of several ADDHEADERs are more than %d bytes together: refused", request.id, MAX_TEXT)
            fields = ()
        request.client.send(encode(Verdict(request.id, request.n, self.settings.name, kind, text[:MAX_TEXT], fields, charge)))
        if kind in (Kind.TIMEOUT, Kind.UNAVAILABLE):
            self._log.warning("message %d: %s", request.id, text)

    def park(self, request: Request, reason: str) -> None:
        request.client.send(encode(Park(request.id, request.n, self.settings.name, reason)))

    def wake(self, count: int) -> None:
        self._wake(Wake(self.settings.name, count))

    def restart(self, unit: int, reason: str) -> None:
        self._keepers[unit].restart(reason)

    # what the helpers' keepers tell (keeper.Owner)

    def helper_ready(self, index: int) -> None:
        self._told().ready(time.monotonic(), index)
        self._changed()

    def helper_reply(self, index: int, reply: Reply) -> bool:
        self._changed()
        return self._told().reply(time.monotonic(), index, reply.number, reply.kind, reply.text, reply.fields)

    def helper_written(self, index: int, number: int) -> None:
        self._told().written(time.monotonic(), index, number)

    def helper_leaving(self, index: int) -> None:
        self._told().leaving(time.monotonic(), index)
        self._changed()

    def helper_gone(self, index: int, over: bool, planned: bool) -> None:
        self._gone += over
        if not self.stopping:  # at the end nobody must hear that the filter is away, and hold mail for it
            self._told().gone(time.monotonic(), index, over, planned)
        self._changed()

    def _told(self) -> Gate:
        assert self.gate is not None  # made before the first keeper
        return self.gate
