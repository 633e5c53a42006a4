"""The interfaces between a session of a door and the door process."""

from collections.abc import Callable
from typing import Protocol

from enqueuer.config.doors import Door
from enqueuer.doors.asking.decision import DoorDecision
from enqueuer.doors.asking.mail import AskedMail
from filterlink.wire.loop import Loop

__all__ = ["AskedMessagePort", "DoorHost", "DoorSession"]


class AskedMessagePort(Protocol):
    """One message on its way in. The session writes it, and submits or cancels it."""

    id: int

    def write(self, data: bytes) -> None:
        """Take the next bytes of the message (header, empty line, body) with LF line ends. Never raises: after a fault of the disk,
        on_failure of the door decides.
        """

    def submit(self, answer: Callable[[DoorDecision], None], lacks: Callable[[DoorDecision], str] | None = None) -> None:
        """Complete the message. `answer` is called once, maybe before this call returns, unless cancel() comes first.

        `lacks`: returns what the client cannot do of a decision, in words. None: the client carries out nothing, and gets each
        recipient's outcome.
        """

    def cancel(self) -> None:
        """Cancel the message: the client has left or has aborted it. May be called at any time, also twice."""


class DoorHost(Protocol):
    """The services of a door for its sessions."""

    @property
    def loop(self) -> Loop: ...

    @property
    def door(self) -> Door:
        """The active settings. They may change during a session."""
        ...

    @property
    def token(self) -> bytes:
        """The token that clients must send; b"" = none is needed."""
        ...

    @property
    def max_size(self) -> int:
        """Bytes of the largest message that is taken ([spool] max_size)."""
        ...

    def begin(self, mail: AskedMail) -> AskedMessagePort:
        """Begin a message. Never raises."""
        ...

    def overloaded(self) -> str:
        """Return why the door can take no message now (full disk); "" if it can."""
        ...

    def ended(self, session: "DoorSession") -> None:
        """Note that a session has closed its socket. Each session calls it once."""

    def ready(self) -> list[str]:
        """Return the names of enabled filters that cannot scan now (for GET /ready)."""
        ...


class DoorSession(Protocol):
    """A connection. The door makes it with (host, sock, peer, overload). `peer` is the address of an inet client, or "". `overload` is
    the reason to refuse this session at once; "" = serve it.
    """

    @property
    def busy(self) -> bool:
        """Return whether it is in the middle of a message."""
        ...

    def close(self) -> None:
        """Close it now, cancel its message, and call host.ended."""
