"""The filter for ClamAV's daemon: it sends each message to clamd as a file descriptor, or in pieces over TCP.

Sessions are kept and reused, with one message at a time in each. While a clamd starts, restarts or loads signatures,
messages wait. What clamd cannot scan is deferred by default, and never passes unscanned.
"""

import contextlib
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from filterlink.filters.runtime import check
from filterlink.filters.runtime.complain import complain
from filterlink.filters.runtime.finding import Policy, ScannerFinding
from filterlink.filters.runtime.handover import RECEIVED, Handover
from filterlink.filters.runtime.runtime import Verdict, rejected, say, serve_threads
from filterlink.filters.servers.clamdwire import END_OF_STREAM, BadClamdReply, Replies, chunk, command, finding, takes_no_descriptor
from filterlink.filters.servers.service import Address, Away, ServerGroup, TooLate, Unavailable, fault_text, left
from filterlink.filters.servers.watch import ServerWatch

__all__ = ["ClamdFilter", "ClamdSession", "ClamdSettings", "run"]

MAX_IDLE = 15.0
"""Seconds for which a session is kept for the next message. clamd closes it after 30 (IdleTimeout)."""
MAX_DEATHS = 3
"""A message waits after clamd has closed the connection this often during its scan: the message may kill clamd, or clamd is down behind
a proxy.
"""
AWAY = "not there: "
LOOK_EVERY = 10.0
"""Seconds between two checks of each clamd's version, for the log."""


class Faulty(Unavailable):
    """clamd answered that it has a fault of its own."""


class ClamdConnectionLost(Unavailable):
    """The connection ended while clamd scanned."""


class ClamdSettings(NamedTuple):
    """What the filter does with clamd's answer, and how long it waits."""

    policy: Policy = Policy()
    wait: float = 60.0
    timeout: float = 110.0


def run(addresses: Sequence[Address], settings: ClamdSettings, threads: int) -> int:
    """Run the helper program; return the exit code."""
    if not addresses:
        print("enqueuer filter clamd: no server: name one with --socket or --host", file=sys.stderr)
        return os.EX_USAGE
    if not check.only():
        threading.Thread(target=_watch, args=(addresses,), daemon=True).start()
    filter = ClamdFilter(addresses, settings)
    filter.watch.begin()
    return serve_threads("clamd", filter.judge, threads)


class ClamdFilter:
    """Scans messages with one of several clamds. For many threads."""

    def __init__(self, addresses: Sequence[Address], settings: ClamdSettings) -> None:
        self.watch = ServerWatch(addresses, _ping)
        self._service = ServerGroup(addresses, settings.wait, self.watch)
        self._settings = settings
        self._idle: dict[Address, list[ClamdSession]] = {address: [] for address in addresses}
        self._no_descriptors: set[Address] = set()
        """Sockets that do not pass descriptors on, such as a proxy's: they get the message itself."""

    def judge(self, path: str) -> Verdict:
        end = time.monotonic() + self._settings.timeout
        deaths: list[Address] = []
        with Handover(path, RECEIVED) as message:
            try:
                found = self._service.use(lambda address: self._scan(address, message, end, deaths), self._settings.timeout)
            except Away as fault:
                return rejected(f"no clamd answers: {fault}")
        return self._settings.policy.verdict(found, "clamd")

    def close(self) -> None:
        for sessions in self._idle.values():
            while sessions:
                sessions.pop().close()

    def _scan(self, address: Address, message: Handover, end: float, deaths: list[Address]) -> ScannerFinding:
        """Scan in an idle session; in a new one if there is none, or if it turns out to be dead."""
        while session := self._kept(address):
            with contextlib.suppress(OSError, Unavailable):
                return self._scan_in(session, message, end)
        try:
            return self._scan_anew(address, message, end)
        except (ClamdConnectionLost, Faulty) as fault:
            deaths.append(address)
            if len(deaths) < MAX_DEATHS:
                raise
            text = str(fault) if isinstance(fault, Faulty) else f"the connection ended {MAX_DEATHS} times during its scan"
            return ScannerFinding(fault=text)

    def _scan_anew(self, address: Address, message: Handover, end: float) -> ScannerFinding:
        try:
            return self._scan_in(ClamdSession(address), message, end)
        except Faulty as fault:
            if address.port or address in self._no_descriptors or not takes_no_descriptor(str(fault)):
                raise
        complain(f"clamd at {address}: its socket takes no file descriptors, so the messages themselves are sent")
        self._no_descriptors.add(address)
        return self._scan_in(ClamdSession(address), message, end)

    def _scan_in(self, session: "ClamdSession", message: Handover, end: float) -> ScannerFinding:
        try:
            found = session.scan(message, end, stream=bool(session.address.port) or session.address in self._no_descriptors)
        except BaseException:
            session.close()
            raise
        if found.trouble:
            session.close()  # clamd ends the session after most errors
        else:
            self._idle[session.address].append(session)
        return found

    def _kept(self, address: Address) -> "ClamdSession | None":
        """Return the session that was used last, if it is still usable."""
        with contextlib.suppress(IndexError):
            while session := self._idle[address].pop():
                if session.good():
                    return session
                session.close()
        return None


class ClamdSession:
    """A connection to one clamd. Every error is an OSError or Unavailable; after one it must be closed."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._sock = address.connect(5.0)
        self._end = time.monotonic() + 5.0
        self._replies = Replies()
        self._count = 0
        self._used = time.monotonic()
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            self._sock.sendall(command("IDSESSION"))
            undo.pop_all()

    def close(self) -> None:
        self._sock.close()

    def good(self) -> bool:
        """Return whether it may be used again: it was not idle for long, and clamd has not closed it."""
        return time.monotonic() - self._used < MAX_IDLE and not self._readable()

    def ask(self, name: str, end: float) -> str:
        """Return the reply to a command without data."""
        self._end = end
        self._send(name)
        return self._reply()

    def scan(self, message: Handover, end: float, *, stream: bool) -> ScannerFinding:
        """Scan a message until `end`. Raises Faulty if clamd cannot scan anything."""
        self._end = end
        if stream:
            self._stream(message)
        else:
            self._pass_on(message.descriptor())
        found = finding(self._reply())
        self._used = time.monotonic()
        if found.fault:
            raise Faulty(found.fault)
        return found

    def _pass_on(self, descriptor: int) -> None:
        self._send("FILDES")
        socket.send_fds(self._sock, [b"\0"], [descriptor])

    def _stream(self, message: Handover) -> None:
        """Send the message until clamd stops reading: if it is too large, clamd answers early and closes the connection."""
        self._send("INSTREAM")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in message.pieces():
                if self._readable():
                    return
                self._write(chunk(piece))
            self._write(END_OF_STREAM)

    def _send(self, name: str) -> None:
        self._count += 1
        self._write(command(name))

    def _write(self, data: bytes) -> None:
        self._sock.settimeout(left(self._end))
        self._sock.sendall(data)

    def _reply(self) -> str:
        """Read the reply to the last command."""
        while True:
            while (reply := self._replies.take()) is not None:
                if reply[0] in (0, self._count):
                    return reply[1]
            data = self._receive()
            try:
                self._replies.feed(data)
            except BadClamdReply as fault:
                raise Unavailable(str(fault)) from None
            if not data:
                raise ClamdConnectionLost("the connection was closed")

    def _receive(self) -> bytes:
        """Read more bytes; b"" at the end. A reset is reported only once, and before bytes that came ahead of it."""
        try:
            self._sock.settimeout(left(self._end))
            with contextlib.suppress(ConnectionResetError):
                return self._sock.recv(65536)
            return self._sock.recv(65536)
        except ConnectionResetError:
            return b""
        except TimeoutError:
            raise TooLate("no answer in time") from None

    def _readable(self) -> bool:
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(0))


def _watch(addresses: Sequence[Address]) -> None:
    """Log the signatures of each clamd when they change, and a clamd that is unavailable."""
    known: dict[Address, str] = {}
    while True:
        for address in addresses:
            text = _version(address)
            before = known.get(address, "")
            if before != text:
                known[address] = text
                outage = text.startswith(AWAY) or before.startswith(AWAY)  # the start or the end of an outage: each log must have it
                (complain if outage else say)(f"clamd at {address}: {text}")
        time.sleep(LOOK_EVERY)


def _version(address: Address) -> str:
    try:
        with contextlib.closing(ClamdSession(address)) as session:
            return session.ask("VERSION", time.monotonic() + LOOK_EVERY)
    except (OSError, Unavailable) as fault:
        return AWAY + fault_text(fault)


def _ping(address: Address, end: float) -> None:
    """Probe a clamd (ServerWatch)."""
    with contextlib.closing(ClamdSession(address)) as session:
        if (said := session.ask("PING", end)) != "PONG":
            raise Unavailable(f"answers PING with {said:.80}")
