"""What a door answers about a message: the verdict table as data. Pure."""

from typing import Literal

import msgspec

from enqueuer.log.facts import Verdicts

__all__ = ["Action", "DoorDecision"]

Action = Literal["accept", "reject", "tempfail", "discard", "quarantine"]
"""What the MTA does: it takes the message, refuses it for good (5xx), refuses it for now (4xx), takes it and drops it, or holds it."""


class DoorDecision(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one message."""

    id: int
    """The id in Asked/ and in the log."""
    action: Action
    disposition: str
    """The engine's word: enqueued, rejected, deferred, discarded or quarantined."""
    status: str = ""
    """Of reject and tempfail: the SMTP code and the enhanced one, "550 5.7.1"."""
    text: str = ""
    """The reason, for the sender of a refused message and for the reason of a quarantine. It may have several lines, and any characters."""
    fields: tuple[bytes, ...] = ()
    """Header fields to add on top of the header, newest first, without line ends; folds are LF and a blank or tab. For accept and
    quarantine only.
    """
    recipients: tuple[bytes, ...] = ()
    """Recipients to add."""
    verdicts: Verdicts
    """What the filters answered, and the seconds of each."""
    trail: tuple[str, ...] = ()
    """The rules and filters that the message went through, a line each."""
    retry_after: int = 0
    """Of tempfail: seconds after which a client should try again; 0 = unknown."""
