"""The servers that a filter asks: addresses, failover from one to the next, and how long to wait while all are unavailable.

A scanner that restarts or loads new signatures makes mail wait, but no message fails. A message waits up to `wait` seconds
of one outage, counted from its start. Later in a long outage messages are deferred at once.
"""

import contextlib
import math
import re
import socket
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

__all__ = ["Address", "Away", "ServerGroup", "TooLate", "Unavailable", "left", "parse"]

T = TypeVar("T")
CONNECT = 5.0
"""Seconds to connect in; on one machine or in one network it takes milliseconds."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
SHUNNED = 10.0
"""Seconds for which a server that failed is asked last. One that drops packets would cost each message CONNECT seconds."""
_HOST = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>\d{1,5}))?")


class Unavailable(Exception):
    """This server cannot answer now. Another one might, or the same one a little later."""


class TooLate(Unavailable):
    """This server has not answered in time."""


class Away(Exception):
    """No server was available for as long as a message may wait. The text has what is wrong with each."""


class Address(NamedTuple):
    """A Unix socket (port 0), or a host and its port."""

    host: str
    port: int = 0

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host

    def connect(self, timeout: float) -> socket.socket:
        """Connect; the socket keeps this time-out. Raises OSError."""
        if self.port:
            sock = socket.create_connection((self.host, self.port), CONNECT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            sock = socket.socket(socket.AF_UNIX)
            with contextlib.ExitStack() as undo:
                undo.callback(sock.close)
                sock.settimeout(CONNECT)
                sock.connect(self.host)
                undo.pop_all()
        sock.settimeout(timeout)
        return sock


def parse(sockets: Sequence[str], hosts: Sequence[str], port: int) -> list[Address]:
    """Read --socket PATH and --host HOST[:PORT] options. Raises ValueError."""
    found = [Address(path) for path in sockets]
    for text in hosts:
        match = _HOST.fullmatch(text)
        if not match or not 0 < int(match["port"] or port) < 65536:
            raise ValueError(f"--host {text}: write HOST, HOST:PORT or [IPV6]:PORT")
        found.append(Address(match["six"] or match["host"], int(match["port"] or port)))
    return found


class WatchPort(Protocol):
    """What a group of servers needs to know of their watch (watch.py)."""

    def work(self) -> contextlib.AbstractContextManager[None]: ...
    def answered(self) -> None: ...
    def failed(self) -> None: ...
    def pause(self, seconds: float) -> None: ...


class Unwatched:
    """Servers without a watch."""

    def work(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def answered(self) -> None:
        pass

    def failed(self) -> None:
        pass

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)


class ServerGroup:
    """Servers that do the same work. For many threads."""

    def __init__(self, addresses: Sequence[Address], wait: float, watch: WatchPort | None = None) -> None:
        """`wait`: seconds for which a message may wait in an outage. `watch`: is informed of each answer, and says when an outage ends."""
        self._addresses = addresses
        self._wait = wait
        self._watch = watch or Unwatched()
        self._failed: dict[Address, float] = {}
        self._down_since: float | None = None

    def use(self, attempt: Callable[[Address], T], within: float = math.inf) -> T:
        """Let one of the servers do a task: attempt(address) raises Unavailable or OSError if that server cannot.

        No attempt begins after `within` seconds. Raises Away.
        """
        with self._watch.work():
            return self._use(attempt, time.monotonic() + within)

    def _use(self, attempt: Callable[[Address], T], end: float) -> T:
        pause = FIRST_PAUSE
        while True:
            faults: list[str] = []
            for address in self._in_order():
                if faults and time.monotonic() >= end:
                    break
                try:
                    done = attempt(address)
                except (OSError, Unavailable) as fault:
                    self._failed[address] = time.monotonic()
                    faults.append(f"{address}: {fault_text(fault)}")
                else:
                    self._failed.pop(address, None)
                    self._down_since = None
                    self._watch.answered()
                    return done
            self._watch.failed()
            left = min(self._patience(), end - time.monotonic())
            if left <= 0:
                raise Away("; ".join(faults))
            self._watch.pause(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _in_order(self) -> list[Address]:
        """Return the addresses in their order, but those that have just failed at the end."""
        now = time.monotonic()
        return sorted(self._addresses, key=lambda address: now - self._failed.get(address, -SHUNNED) < SHUNNED)

    def _patience(self) -> float:
        """Return for how many seconds a message may still wait in this outage."""
        now = time.monotonic()
        if self._down_since is None:
            self._down_since = now
        return self._down_since + self._wait - now


def left(end: float) -> float:
    """Return the seconds until `end` (time.monotonic()), as the time-out of the next call on a socket.

    Raises TooLate after `end`: the limit applies to the whole answer, even if single bytes of it keep coming.
    """
    seconds = end - time.monotonic()
    if seconds <= 0:
        raise TooLate("no answer in time")
    return seconds


def fault_text(fault: Exception) -> str:
    """Describe an error without its system number."""
    return str(getattr(fault, "strerror", None) or fault or type(fault).__name__)
