"""Note the supervisor's signals in handlers, and act on them in its loop."""

import contextlib
import signal
import socket
import time
from collections.abc import Callable

from filterlink.wire.loop import Loop

__all__ = ["Signals"]

CAUGHT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Signals:
    """Calls `act(number, twice)` for each signal. `twice`: it came again before it could be acted on.

    A handler only notes the number, which arrives through a pipe.
    """

    def __init__(self, loop: Loop, act: Callable[[int, bool], None]) -> None:
        self._act = act
        self._arrived: dict[int, float] = {}
        """Signals not acted on yet, and when each came: a full pipe may lose one."""
        self._ends = socket.socketpair()
        for end in self._ends:
            end.setblocking(False)
        signal.set_wakeup_fd(self._ends[1].fileno())
        for number in CAUGHT:
            signal.signal(number, lambda number, _: self._arrived.setdefault(number, time.monotonic()) and None)
        loop.watch(self._ends[0].fileno(), lambda _: self._received())

    def act_on_lost(self, seconds: float) -> None:
        """Act on signals that came more than `seconds` ago."""
        self._act_on(bytes(number for number, when in self._arrived.items() if time.monotonic() - when > seconds))

    def abandon(self) -> None:
        """Stop handling signals in a new child: they are meant for the supervisor."""
        for end in self._ends:
            end.close()

    def _received(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._act_on(self._ends[0].recv(4096))

    def _act_on(self, numbers: bytes) -> None:
        for number in dict.fromkeys(numbers):
            self._arrived.pop(number, None)
            self._act(number, numbers.count(number) > 1)
