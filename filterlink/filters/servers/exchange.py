"""How a message goes to a server that judges it, with a limit to the time that it may take.

Exchange is one question, one answer, one connection: spamd's way and rspamd's.
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
from filterlink.filters.servers.service import Address, Away, ServerGroup, Unavailable, fault_text, left

__all__ = ["USUAL", "ConnectionLost", "Exchange", "Failover", "Terms", "Unscannable", "settled"]

T = TypeVar("T")
MAX_DEATHS = 3
"""A message waits after servers broke off this many times while they had it. It may kill them, or they are down behind a proxy."""

Pieces = Callable[[], Iterable[bytes]]
"""Gives the message from its begin, each time that it is called."""


class Unscannable(Exception):
    """A server says that it cannot judge this message. A connection that ends says nothing of the message."""


class ConnectionLost(Unavailable):
    """The connection ended before the answer was there."""


class Terms(NamedTuple):
    """For how long a server is waited for, and what becomes of messages that it does not judge."""

    wait: float = 60.0
    """Seconds for which messages wait in an outage."""
    timeout: float = 110.0
    """Seconds for one message."""
    unscannable: str = "defer"
    """A key of UNSCANNABLE."""
    max_size: int = 0
    """Bytes; a larger message passes without being judged. 0: each is judged."""


USUAL = Terms()


def settled(name: str, terms: Terms, message: Handover, ask: Callable[[], Verdict]) -> Verdict:
    """What becomes of a message: `ask` says it, or raises Away or Unscannable. `name`: the server's."""
    if 0 < terms.max_size < message.size:
        return ok()
    try:
        return ask()
    except Away as fault:
        return rejected(f"no {name} answers: {fault}")
    except Unscannable as fault:
        return UNSCANNABLE[terms.unscannable](f"{name} cannot judge this message: {fault}")


class Failover:
    """Has one of several servers do something, and the log told what is wrong with each. For many threads."""

    def __init__(self, name: str, addresses: Sequence[Address], wait: float, timeout: float) -> None:
        """A message waits up to `wait` seconds for a server that is away, and takes `timeout` seconds all in all.

        `name`: the servers', for the log.
        """
        self._name = name
        self._timeout = timeout
        self._service = ServerGroup(addresses, wait)
        self._troubles: dict[Address, str] = {}

    def make(self, attempt: Callable[[Address, float], T]) -> T:
        """Call attempt(address, when it has to end), which raises OSError or Unavailable where another should be asked.

        Raises Away, also after MAX_DEATHS times BrokenOff.
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
        """Tell the log what is wrong with a server, when that changes."""
        if trouble != self._troubles.get(address, ""):
            self._troubles[address] = trouble
            complain(f"{self._name} at {address}: {trouble or 'answers again'}")


class Exchange:
    """Asks one of several servers. For many threads."""

    def __init__(self, name: str, addresses: Sequence[Address], terms: Terms, half_close: bool) -> None:
        """As Attempts; `half_close`: the server is told the end of the message by the end of what we write."""
        self._attempts = Failover(name, addresses, terms.wait, terms.timeout)
        self._name = name
        self._terms = terms
        self._half_close = half_close

    def judge(self, head: bytes, message: Handover, judge: Callable[[ServerAnswer], Verdict]) -> Verdict:
        """The verdict of one of them, or what the terms say where there is none."""
        return settled(self._name, self._terms, message, lambda: self.ask(head, message.pieces, judge))

    def ask(self, head: bytes, message: Pieces, judge: Callable[[ServerAnswer], Verdict]) -> Verdict:
        """Send both, and judge by the answer; `judge` raises Unavailable where another server should be asked.

        Raises Away and Unscannable.
        """
        return self._attempts.make(lambda address, end: judge(self._converse(address, head, message, end)))

    def _converse(self, address: Address, head: bytes, message: Pieces, end: float) -> ServerAnswer:
        with address.connect(left(end)) as sock:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # what is wrong stands in the answer
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
