"""What a session of a door and the door process know of each other."""

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
        """Take the next bytes of the message (header, empty line, body) with LF line ends. Never raises: a disk that is full is noted,
        and the decision says tempfail.
        """

    def submit(self, answer: Callable[[DoorDecision], None]) -> None:
        """The message is complete. `answer` is called once, maybe before this call returns, unless cancel() comes first."""

    def cancel(self) -> None:
        """The client has gone or has aborted the message: no answer is needed. May be called at any time, also twice."""


class DoorHost(Protocol):
    """What a session gets from its door."""

    @property
    def loop(self) -> Loop: ...

    @property
    def door(self) -> Door:
        """The settings in force now: they may change during a session."""
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
        """Return why no message can be taken now (full disk, no descriptors), "" if one can."""
        ...

    def ended(self, session: "DoorSession") -> None:
        """Note that a session has closed its socket. Each session calls it once."""

    def ready(self) -> list[str]:
        """Return the names of enabled filters that scan nothing now (for GET /ready)."""
        ...


class DoorSession(Protocol):
    """A connection. The door makes it with (host, sock, peer, overload): `peer` is the address of an inet client or "", `overload` says
    why this session must be refused at once ("" = it is served).
    """

    @property
    def busy(self) -> bool:
        """Return whether it is in the middle of a message."""
        ...

    def close(self) -> None:
        """Close it now, cancel its message, and call host.ended."""
