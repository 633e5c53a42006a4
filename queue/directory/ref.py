"""What a message's opaque `ref` says to the directory: the name of its drop in .taken/, and how the drop was when it was taken. Pure."""

from typing import NamedTuple

__all__ = ["Taken", "ref_of", "taken_of"]


class Taken(NamedTuple):
    """A claimed drop."""

    drop: str
    """Its name in .taken/."""
    stamp: tuple[int, int]
    """Its modification time and size when it was taken: only that is committed."""


def ref_of(drop: str, stamp: tuple[int, int]) -> bytes:
    return b"%d %d %b" % (*stamp, drop.encode("utf-8", "surrogateescape"))


def taken_of(ref: bytes) -> Taken | None:
    """None: there is no drop. Raises ValueError where `ref` is none of ours."""
    if not ref:
        return None
    time, size, drop = ref.split(b" ", 2)
    return Taken(drop.decode("utf-8", "surrogateescape"), (int(time), int(size)))
