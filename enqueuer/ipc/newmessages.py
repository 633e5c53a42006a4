"""The frames about new messages, which come into being with the outcome of another one. Pure."""

from typing import Literal

from filterlink.wire.frames import Frame, VerdictFrame

__all__ = ["Born", "IdsGiven", "IdsWanted"]


class IdsWanted(Frame):
    """P -> Q: the outcome of this message needs ids for new messages."""

    id: int
    n: int
    count: int


class IdsGiven(Frame):
    """Q -> P: the new ids. None: the disk refuses to reserve them."""

    ids: tuple[int, ...]


class Born(Frame):
    """A new message that is staged together with the outcome of another one, and comes into being by the same commit."""

    id: int
    size: int
    """Bytes without the envelope."""
    sender: bytes
    about: str
    """What it is, for the line in the log: `rest of [id]`, `reply of rule "x" to [id]`."""
    state: Literal["waiting", "deferred", "on_hold"] = "waiting"
    filter: str = ""
    """Of a deferred one: the filter that deferred it."""
    reason: str = ""
    until: float = 0.0
    """Of one on hold: seconds since 1970, 0 = until it is released."""
    verdicts: tuple[VerdictFrame, ...] = ()
    """What filters answered about the first message: they are not asked again."""
