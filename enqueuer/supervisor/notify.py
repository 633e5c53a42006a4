"""sd_notify: what systemd is told, one datagram a message, to the socket that it names in the environment."""

import contextlib
import os
import socket
from typing import Self

__all__ = ["Notifier"]


class Notifier:
    """Never blocks and never fails: a manager that does not listen is no reason to stop the mail."""

    def __init__(self, address: str, watchdog: float | None) -> None:
        """`watchdog`: seconds within which it wants to hear WATCHDOG=1; None: it does not ask for it."""
        self.watchdog = watchdog
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @classmethod
    def from_environment(cls) -> Self | None:
        """None where nobody is to be told. The variables go: helpers are not to speak for us."""
        address = os.environ.pop("NOTIFY_SOCKET", "")
        every = os.environ.pop("WATCHDOG_USEC", "")
        pid = os.environ.pop("WATCHDOG_PID", "")
        ours = every.isdigit() and int(every) > 0 and pid in ("", str(os.getpid()))
        return cls(address, int(every) / 1e6 if ours else None) if address[:1] in ("/", "@") else None

    def say(self, *lines: str) -> None:
        """The socket is made anew each time: none has to be closed in every child."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto("\n".join(lines).encode(), socket.MSG_DONTWAIT, self._address)
