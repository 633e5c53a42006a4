"""The filter for milters (OpenDKIM, clamav-milter and others): it talks to a milter as an MTA would.

Each message has its own connection. A message that cannot be scanned is deferred by default, and never passes unscanned.
"""

import contextlib
import functools
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from filterlink.filters.runtime.complain import complain
from filterlink.filters.runtime.envelope import read_envelope
from filterlink.filters.runtime.handover import Handover
from filterlink.filters.runtime.runtime import Verdict, error, serve_threads
from filterlink.filters.servers import milterwire
from filterlink.filters.servers.exchange import USUAL, ConnectionLost, Failover, Terms, settled
from filterlink.filters.servers.milterwire import BadPacket, MilterMessage, MilterOutcome, Packets
from filterlink.filters.servers.service import Address, TooLate, Unavailable, left
from filterlink.filters.servers.watch import QUIET, ServerWatch

__all__ = ["CHOICES", "MilterFilter", "MilterSettings", "run"]

CHOICES = ("ignore", "error")


class MilterSettings(NamedTuple):
    """What to do with requests that the helper protocol cannot express."""

    changes: str = "ignore"
    """If the milter wants to change existing content: go on without the change, or refuse the message."""
    quarantine: str = "error"


DEFAULTS = MilterSettings()


def run(addresses: Sequence[Address], settings: MilterSettings, terms: Terms, threads: int) -> int:
    """Run the helper program; return the exit code."""
    filter = MilterFilter(addresses, settings, terms)
    filter.watch.begin()
    return serve_threads("milter", filter.judge, threads)


class MilterFilter:
    """Scans messages with one of several milters that do the same. For many threads."""

    def __init__(self, addresses: Sequence[Address], settings: MilterSettings = DEFAULTS, terms: Terms = USUAL) -> None:
        self.watch = ServerWatch(addresses, _probe, QUIET)
        self._attempts = Failover("milter", addresses, terms.wait, terms.timeout, self.watch)
        self._settings = settings
        self._terms = terms
        self._told: set[str] = set()

    def judge(self, path: str) -> Verdict:
        with Handover(path) as message:
            ask = functools.partial(self._attempts.make, lambda address, end: self._tell(address, end, message, Path(path).stem))
            return settled("milter", self._terms, message, ask)

    def _tell(self, address: Address, end: float, message: Handover, number: str) -> Verdict:
        mail = MilterMessage(number, read_envelope(message.envelope()), *milterwire.split(message.pieces()))
        try:
            with address.connect(left(end)) as sock:
                found = _Dialogue(sock, end).hold(mail)
                with contextlib.suppress(OSError):
                    sock.sendall(milterwire.QUIT)
                return self._decided(found)
        except BadPacket as fault:
            raise Unavailable(str(fault)) from None
        except (BrokenPipeError, ConnectionResetError):
            raise ConnectionLost("the milter closed the connection") from None
        except TimeoutError:
            raise TooLate("no answer in time") from None

    def _decided(self, found: Verdict | MilterOutcome) -> Verdict:
        if isinstance(found, Verdict):
            return found
        if found.quarantine is not None:
            self._complain("quarantines a message")
            if self._settings.quarantine == "error":
                return error(f"quarantined by the milter: {found.quarantine}")
        for what in sorted(found.undone):
            self._complain(what)
            if self._settings.changes == "error":
                return error(f"the milter {what}, which this filter cannot do")
        return found.verdict()

    def _complain(self, what: str) -> None:
        """Log once what this filter cannot do."""
        if what not in self._told:
            self._told.add(what)
            complain(f"milter: it {what}, which this filter cannot do")


def _probe(address: Address, end: float) -> None:
    """Offer a milter our protocol, and leave."""
    try:
        with address.connect(left(end)) as sock:
            _Dialogue(sock, end).greet()
            with contextlib.suppress(OSError):
                sock.sendall(milterwire.QUIT)
    except BadPacket as fault:
        raise Unavailable(str(fault)) from None


class _Dialogue:
    """One message on one connection."""

    def __init__(self, sock: socket.socket, end: float) -> None:
        self._sock = sock
        self._end = end
        self._packets = Packets()

    def hold(self, mail: MilterMessage) -> Verdict | MilterOutcome:
        """Send it all until there is a verdict; return the MilterOutcome if the message may go on. Raises OSError, BadPacket,
        ConnectionLost.
        """
        wanted = self.greet()
        outcome = MilterOutcome()
        for command in milterwire.commands(wanted, mail):
            if outcome.skip and command.letter == b"B":
                continue
            self._send(command.packet)
            if command.answered and (found := self._answer(outcome)):
                return found
        return outcome

    def greet(self) -> milterwire.Wanted:
        """Offer our protocol; return what the milter wants. Raises OSError, BadPacket, ConnectionLost."""
        self._send(milterwire.OFFER)
        return milterwire.read_offer(*self._packet())

    def _answer(self, outcome: MilterOutcome) -> Verdict | MilterOutcome | None:
        """Read until the last command is answered; None to go on."""
        while True:
            letter, data = self._packet()
            if letter == b"a":
                return outcome
            if verdict := milterwire.final(letter, data):
                return verdict
            if outcome.take(letter, data):
                return None

    def _packet(self) -> tuple[bytes, bytes]:
        while (found := self._packets.take()) is None:
            self._sock.settimeout(left(self._end))
            data = self._sock.recv(65536)
            if not data:
                raise ConnectionLost("the connection ended before the answer was there")
            self._packets.feed(data)
        return found

    def _send(self, packet: bytes) -> None:
        self._sock.settimeout(left(self._end))
        self._sock.sendall(packet)
