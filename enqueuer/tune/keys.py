"""Let the user stop a long measurement: q on the terminal, ^C, or SIGTERM. Signal handlers only set a flag."""

import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator

from enqueuer.tune.rig import Stop

__all__ = ["Keys", "keys"]

STOP = b"qQ"


class Keys(Stop):
    """Says whether q was pressed or a signal came."""

    def __init__(self, terminal: int | None) -> None:
        self._terminal = terminal
        self.noted = False
        self.signals = 0
        self.passes: Callable[[], None] = _nothing
        """Called again and again while time passes."""

    def note(self, _number: int, _frame: object) -> None:
        self.signals += 1

    def __call__(self, pause: float = 0.0) -> bool:
        """Wait `pause` seconds, or until there is a reason to stop."""
        until = time.monotonic() + pause
        self.passes()
        while not self.noted:
            left = max(0.0, until - time.monotonic())
            if self._terminal is None:
                time.sleep(min(left, 0.05))
            elif select.select([self._terminal], [], [], left)[0]:
                data = os.read(self._terminal, 64)
                self.noted = any(key in STOP for key in data)
                self._terminal = self._terminal if data else None  # it was closed: select would then return at once each time
            self.noted = self.noted or self.signals > 0
            if time.monotonic() >= until:
                break
        return self.noted


@contextlib.contextmanager
def keys() -> Iterator[Keys]:
    """Watch for q if stdin is a terminal, and for the signals in any case; restore everything afterwards."""
    terminal = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    found = Keys(terminal)
    before = {number: signal.signal(number, found.note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    mode = termios.tcgetattr(terminal) if terminal is not None else None
    try:
        if terminal is not None:
            tty.setcbreak(terminal, termios.TCSANOW)
        yield found
    finally:
        if terminal is not None and mode is not None:
            termios.tcsetattr(terminal, termios.TCSANOW, mode)
        for number, handler in before.items():
            signal.signal(number, handler)


def _nothing() -> None:
    pass
