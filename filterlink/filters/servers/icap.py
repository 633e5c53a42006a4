"""The filter for ICAP servers (c-icap and the gateways of scanner makers): it sends each message as a RESPMOD.

Each message has its own connection, which is read while it is written: a server may answer early, or send back what it
gets. Each server's options are renewed from time to time. A message that cannot be scanned is deferred by default, and never
passes unscanned.
"""

import contextlib
import select
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from filterlink.filters.runtime.envelope import read_envelope
from filterlink.filters.runtime.finding import Policy, ScannerFinding
from filterlink.filters.runtime.handover import RECEIVED, Handover
from filterlink.filters.runtime.runtime import Verdict, rejected, serve_threads
from filterlink.filters.servers import icapwire
from filterlink.filters.servers.exchange import ConnectionLost, Failover
from filterlink.filters.servers.icapwire import BadIcapReply, IcapReply, Options, Pieces, Question
from filterlink.filters.servers.service import Address, Away, TooLate, Unavailable, left
from filterlink.filters.servers.watch import QUIET, ServerWatch

__all__ = ["IcapFilter", "IcapSettings", "run"]


class IcapSettings(NamedTuple):
    """Which service to ask, and what to do with its answer."""

    service: str
    policy: Policy = Policy()
    wait: float = 60.0
    timeout: float = 110.0


def run(addresses: Sequence[Address], settings: IcapSettings, threads: int) -> int:
    """Run the helper program; return the exit code."""
    filter = IcapFilter(addresses, settings)
    filter.watch.begin()
    return serve_threads("icap", filter.judge, threads)


class IcapFilter:
    """Scans messages with one of several ICAP servers. For many threads."""

    def __init__(self, addresses: Sequence[Address], settings: IcapSettings) -> None:
        self.watch = ServerWatch(addresses, self._probe, QUIET)
        self._attempts = Failover("ICAP server", addresses, settings.wait, settings.timeout, self.watch)
        self._settings = settings
        self._known: dict[Address, tuple[float, Options]] = {}
        """The options of each server, and until when they are valid."""

    def judge(self, path: str) -> Verdict:
        with Handover(path, RECEIVED) as message:
            peer = read_envelope(message.envelope()).peer
            try:
                found = self._attempts.make(lambda address, end: self._ask(address, end, message, f"{Path(path).stem}.eml", peer))
            except Away as fault:
                return rejected(f"no ICAP server answers: {fault}")
        return self._settings.policy.verdict(found, "the ICAP server")

    def _ask(self, address: Address, end: float, message: Handover, name: str, peer: str) -> ScannerFinding:
        try:
            wanted = self._options(address, end)
            question = Question(_authority(address), self._settings.service, message.size, name, peer)
            pieces = Pieces(message.pieces())
            return icapwire.finding(_respmod(address, end, question, pieces, wanted), pieces.digest)
        except BadIcapReply as fault:
            self._known.pop(address, None)
            raise Unavailable(str(fault)) from None

    def _options(self, address: Address, end: float) -> Options:
        until, wanted = self._known.get(address, (0.0, Options()))
        return wanted if time.monotonic() < until else self._renewed(address, end)

    def _renewed(self, address: Address, end: float) -> Options:
        """Ask a server for its options."""
        reply = IcapReply()
        with _connected(address, end) as sock:
            _converse(sock, iter([icapwire.options(_authority(address), self._settings.service)]), reply, end)
        wanted = icapwire.read_options(reply)
        self._known[address] = time.monotonic() + wanted.ttl, wanted
        return wanted

    def _probe(self, address: Address, end: float) -> None:
        try:
            self._renewed(address, end)
        except BadIcapReply as fault:
            raise Unavailable(str(fault)) from None


def _authority(address: Address) -> str:
    return f"[{address.host}]:{address.port}" if ":" in address.host else str(address)


@contextlib.contextmanager
def _connected(address: Address, end: float) -> Iterator[socket.socket]:
    with address.connect(left(end)) as sock:
        sock.setblocking(False)
        yield sock


def _respmod(address: Address, end: float, question: Question, message: Pieces, wanted: Options) -> IcapReply:
    with _connected(address, end) as sock:
        reply = IcapReply()
        _converse(sock, _begin(question, message, wanted), reply, end)
        if reply.code == 100:
            beyond = bytes(reply.rest)
            reply = IcapReply()
            reply.feed(beyond)
            _converse(sock, question.rest(message), reply, end)
        return reply


def _begin(question: Question, message: Pieces, wanted: Options) -> Iterator[bytes]:
    yield question.head(wanted)
    yield from question.preview(message, wanted)


def _converse(sock: socket.socket, pieces: Iterator[bytes], reply: IcapReply, end: float) -> None:
    """Send and read until the reply is complete, even if not all was sent. Raises OSError, Unavailable, BadIcapReply."""
    unsent = memoryview(b"")
    poll = select.poll()
    while not reply.complete:
        unsent = unsent or memoryview(next(pieces, b""))
        poll.register(sock, select.POLLIN | (select.POLLOUT if unsent else 0))
        ready = poll.poll(left(end) * 1000)
        if not ready:
            raise TooLate("no answer in time")
        if ready[0][1] & ~select.POLLOUT:
            reply.feed(_receive(sock))
            continue
        try:
            unsent = unsent[sock.send(unsent) :]
        except (BrokenPipeError, ConnectionResetError):  # the answer has the error
            unsent = memoryview(b"")
            pieces = iter(())


def _receive(sock: socket.socket) -> bytes:
    try:
        data = sock.recv(65536)
    except ConnectionResetError:
        data = b""
    if not data:
        raise ConnectionLost("the connection ended before the answer was there")
    return data
