"""Report the engine's state to systemd (sd_notify): one datagram a message, to the socket that the environment names."""

import contextlib
import os
import socket
from typing import Self

__all__ = ["Notifier"]


class Notifier:
    """Sends the reports. It never blocks and never fails: a service manager that does not listen must not stop the mail."""

    def __init__(self, address: str, watchdog: float | None) -> None:
        """Send to `address`. `watchdog`: seconds within which the service manager expects WATCHDOG=1; None: it does not."""
        self.watchdog = watchdog
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @classmethod
    def from_environment(cls) -> Self | None:
        """Return None if no service manager wants reports. Remove the variables: helpers must not report in our name."""
        address = os.environ.pop("NOTIFY_SOCKET", "")
        every = os.environ.pop("WATCHDOG_USEC", "")
        pid = os.environ.pop("WATCHDOG_PID", "")
        ours = every.isdigit() and int(every) > 0 and pid in ("", str(os.getpid()))
        return cls(address, int(every) / 1e6 if ours else None) if address[:1] in ("/", "@") else None

    def say(self, *lines: str) -> None:
        """Send these lines as one datagram. Each call makes its own socket, so that no child has to close one."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto("\n".join(lines).encode(), socket.MSG_DONTWAIT, self._address)
