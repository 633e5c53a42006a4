"""Send a message to a server that scans it, within a time limit.

An Exchange is one question, one answer, one connection: so spamd and rspamd work.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from filterlink.filters.runtime.complain import complain
from filterlink.filters.runtime.handover import Handover
from filterlink.filters.runtime.verdict import UNSCANNABLE, Verdict, ok, rejected
from filterlink.filters.servers.answer import BadAnswer, ServerAnswer
from filterlink.filters.servers.service import Address, Away, ServerGroup, Unavailable, WatchPort, fault_text, left
from filterlink.filters.servers.watch import ServerWatch

__all__ = ["USUAL", "ConnectionLost", "Exchange", "Failover", "Ping", "Terms", "Unscannable", "settled"]

T = TypeVar("T")
MAX_DEATHS = 3
"""A message waits after servers have closed the connection this often while they had it. It may kill them, or they are down behind a
proxy.
"""

Pieces = Callable[[], Iterable[bytes]]
"""Yields the message from its start, at each call."""


class Unscannable(Exception):
    """A server answers that it cannot scan this message. The end of a connection proves nothing about the message."""


class ConnectionLost(Unavailable):
    """The connection ended before the answer."""


class Terms(NamedTuple):
    """How long to wait for a server, and what happens to messages that it does not scan."""

    wait: float = 60.0
    """Seconds for which messages wait in an outage."""
    timeout: float = 110.0
    """Seconds for one message."""
    unscannable: str = "defer"
    """A key of UNSCANNABLE."""
    max_size: int = 0
    """Bytes; a larger message passes without a scan. 0: all are scanned."""


USUAL = Terms()


def settled(name: str, terms: Terms, message: Handover, ask: Callable[[], Verdict]) -> Verdict:
    """Return the verdict on a message. `ask` returns it, or raises Away or Unscannable. `name`: the server's."""
    if 0 < terms.max_size < message.size:
        return ok()
    try:
        return ask()
    except Away as fault:
        return rejected(f"no {name} answers: {fault}")
    except Unscannable as fault:
        return UNSCANNABLE[terms.unscannable](f"{name} cannot scan this message: {fault}")


class Ping(NamedTuple):
    """The cheapest request that a kind of server answers."""

    request: bytes
    codes: tuple[int, ...]
    """The codes of a good answer."""
    every: float
    """See ServerWatch."""


class Failover:
    """Lets one of several servers do a task, and logs what is wrong with each. For many threads."""

    def __init__(self, name: str, addresses: Sequence[Address], wait: float, timeout: float, watch: WatchPort | None = None) -> None:
        """`wait`: seconds for which a message may wait in an outage. `timeout`: seconds for a message in total.

        `name`: that of the servers, for the log.
        """
        self._name = name
        self._timeout = timeout
        self._service = ServerGroup(addresses, wait, watch)
        self._troubles: dict[Address, str] = {}

    def make(self, attempt: Callable[[Address, float], T]) -> T:
        """Call attempt(address, end time). It raises OSError or Unavailable if another server should be asked.

        Raises Away, also after MAX_DEATHS lost connections.
        """
        end = time.monotonic() + self._timeout
        deaths: list[Address] = []

        def one(address: Address) -> T:
            try:
                found = attempt(address, end)
            except (OSError, Unavailable) as fault:
                self._tell(address, fault_text(fault))
                if isinstance(fault, ConnectionLost):
                    deaths.append(address)
                    if len(deaths) == MAX_DEATHS:
                        raise Away(f"{MAX_DEATHS} times: {fault}") from None
                raise
            self._tell(address, "")
            return found

        return self._service.use(one, self._timeout)

    def _tell(self, address: Address, trouble: str) -> None:
        """Log what is wrong with a server, when that changes."""
        if trouble != self._troubles.get(address, ""):
            self._troubles[address] = trouble
            complain(f"{self._name} at {address}: {trouble or 'answers again'}")


class Exchange:
    """Asks one of several servers. For many threads."""

    def __init__(self, name: str, addresses: Sequence[Address], terms: Terms, half_close: bool, ping: "Ping") -> None:
        """As Failover. `half_close`: the end of what we write marks the end of the message."""
        self._ping = ping
        self.watch = ServerWatch(addresses, self._probe, ping.every)
        self._attempts = Failover(name, addresses, terms.wait, terms.timeout, self.watch)
        self._name = name
        self._terms = terms
        self._half_close = half_close

    def judge(self, head: bytes, message: Handover, judge: Callable[[ServerAnswer], Verdict]) -> Verdict:
        """Return the verdict of one of the servers, or the one of the terms if there is none."""
        return settled(self._name, self._terms, message, lambda: self.ask(head, message.pieces, judge))

    def ask(self, head: bytes, message: Pieces, judge: Callable[[ServerAnswer], Verdict]) -> Verdict:
        """Send `head` and the message; let `judge` make the verdict of the answer. It raises Unavailable if another server should be
        asked.

        Raises Away and Unscannable.
        """
        return self._attempts.make(lambda address, end: judge(self._converse(address, head, message, end)))

    def _probe(self, address: Address, end: float) -> None:
        answer = self._converse(address, self._ping.request, lambda: (), end)
        if answer.code not in self._ping.codes:
            raise Unavailable(f"answers {self._ping.request.split()[0].decode()} with {answer.code} {answer.text:.80}")

    def _converse(self, address: Address, head: bytes, message: Pieces, end: float) -> ServerAnswer:
        with address.connect(left(end)) as sock:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the answer has the error
                _send(sock, head, message, end)
                if self._half_close:
                    sock.shutdown(socket.SHUT_WR)
            return _receive(sock, end)


def _send(sock: socket.socket, head: bytes, message: Pieces, end: float) -> None:
    sock.settimeout(left(end))
    sock.sendall(head)
    for piece in message():
        sock.settimeout(left(end))
        sock.sendall(piece)


def _receive(sock: socket.socket, end: float) -> ServerAnswer:
    answer = ServerAnswer()
    try:
        while not answer.complete:
            sock.settimeout(left(end))
            data = sock.recv(65536)
            if not data:
                answer.end()
                break
            answer.feed(data)
    except ConnectionResetError:
        raise ConnectionLost("the connection was reset") from None
    except BadAnswer as fault:
        raise ConnectionLost(str(fault)) from None
    return answer
