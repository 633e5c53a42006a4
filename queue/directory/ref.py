"""The content of a message's opaque `ref`: the name of its drop in .taken/, and the state of the drop when it was taken. Pure."""

from typing import NamedTuple

__all__ = ["Taken", "ref_of", "taken_of"]


class Taken(NamedTuple):
    """A claimed drop."""

    drop: str
    """Its name in .taken/."""
    stamp: tuple[int, int]
    """Its modification time and size when it was taken: it is committed only if it still has them."""


def ref_of(drop: str, stamp: tuple[int, int]) -> bytes:
    return b"%d %d %b" % (*stamp, drop.encode("utf-8", "surrogateescape"))


def taken_of(ref: bytes) -> Taken | None:
    """Read a `ref`. None: there is no drop. Raises ValueError if the directory did not make `ref`."""
    if not ref:
        return None
    time, size, drop = ref.split(b" ", 2)
    return Taken(drop.decode("utf-8", "surrogateescape"), (int(time), int(size)))
