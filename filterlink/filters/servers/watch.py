"""Watch the servers of a filter, and report to the engine when none of them answers, and when one does again.

A probe asks a server something cheap, such as PING. Only the probes decide: if a message gets no answer, the message itself may be the
cause. A report is an information line of the helper protocol, `* UNAVAILABLE "text"` or `* AVAILABLE` (docs/helper-protocol.md). Other
engines only log it.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from filterlink.filters.runtime import check
from filterlink.filters.runtime.runtime import say
from filterlink.filters.runtime.verdict import quote
from filterlink.filters.servers.service import Address, TooLate, fault_text

__all__ = ["IDLE", "QUIET", "ServerWatch"]

AGAIN = 0.5
"""Seconds between two rounds of probes while no server answers."""
IDLE = 1.0
"""Seconds without an answer about a message after which the servers are probed."""
QUIET = 10.0
"""The same for servers that write a line into their log for each connection."""
WITHIN = 5.0
"""Seconds for the answer to a probe. A server that scans large messages may be slow."""
FIRST_WITHIN = 1.0
"""Seconds that the start of the helper waits for the first round."""
MAX_TEXT = 400
"""Characters of a report."""

Probe = Callable[[Address, float], object]
"""Asks one server, until a deadline (time.monotonic()). It raises OSError, Unavailable or TooLate if that server cannot answer."""


class ServerWatch:
    """Knows whether a server answers. For many threads. Without begin() it probes nothing, and reports nothing."""

    def __init__(self, addresses: Sequence[Address], probe: Probe, every: float = IDLE, report: Callable[[str], None] = say) -> None:
        """`every`: IDLE or QUIET. `report`: sends an information line."""
        self._addresses = addresses
        self._probe = probe
        self._every = every
        self._report = report
        self._changed = threading.Condition()
        self._trouble = ""
        self._doubted = False
        self._answered = self._began = 0.0
        self._working = 0

    def begin(self) -> None:
        """Probe from now on, in a thread. Wait a moment for the first result: the engine gets it before the helper is ready."""
        if check.only():
            return
        first = threading.Event()
        threading.Thread(target=self._run, args=(first,), daemon=True).start()
        first.wait(FIRST_WITHIN)

    @contextlib.contextmanager
    def work(self) -> Iterator[None]:
        """Note that servers are asked about a message. During that time, a slow answer to a probe means that they are busy."""
        with self._changed:
            self._working += 1
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1

    def answered(self) -> None:
        """Note that a server has answered about a message."""
        self._answered = time.monotonic()
        if self._trouble:
            self._note("")

    def failed(self) -> None:
        """Note that no server could answer about a message. The next probe is made at once."""
        with self._changed:
            self._doubted = True
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait, but end at once when a server answers again."""
        if not self._trouble:
            time.sleep(seconds)
            return
        with self._changed:
            self._changed.wait_for(lambda: not self._trouble, seconds)

    def _run(self, first: threading.Event) -> None:
        while True:
            self._note(self.ask())
            first.set()
            while (rest := self._due(time.monotonic())) > 0:
                with self._changed:
                    if self._changed.wait_for(lambda: self._doubted and not self._trouble, rest):
                        break

    def _due(self, now: float) -> float:
        """Return the seconds until the next round."""
        return (self._began + AGAIN if self._trouble else max(self._began, self._answered) + self._every) - now

    def ask(self) -> str:
        """Ask the servers until one answers. Return what is wrong with each of them; "" if one answers."""
        self._began = time.monotonic()
        self._doubted = False
        faults = []
        for address in self._addresses:
            try:
                self._probe(address, time.monotonic() + WITHIN)
            except (TimeoutError, TooLate):
                if self._working:
                    return self._trouble
                faults.append(f"{address}: no answer within {WITHIN:.0f} s")
            except Exception as fault:  # noqa: BLE001 - the watch must go on, whatever a server sends or a resolver raises
                faults.append(f"{address}: {fault_text(fault)}")
            else:
                return ""
        return "; ".join(faults)

    def _note(self, trouble: str) -> None:
        with self._changed:
            before = self._trouble
            self._trouble = trouble
            if bool(before) is not bool(trouble):
                with contextlib.suppress(OSError):  # the engine has ended: the main thread finds that out
                    self._report(f"UNAVAILABLE {quote(trouble, MAX_TEXT).decode()}" if trouble else "AVAILABLE")
                self._changed.notify_all()
