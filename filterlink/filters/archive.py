"""What an archive holds, and the archives in it, within limits. No file is touched, everything stays in memory.

An archive that claims more than the limits allow is a bomb to anybody who unpacks it; its members are flagged, and the
rest is not looked at. Members that cannot be read (encrypted, damaged, packed in an unusual way) give their names only.
"""

from collections.abc import Iterator

from filterlink.filters import containers, unpack, zips
from filterlink.filters.member import Budget, Member

__all__ = ["Member", "is_archive", "is_zip", "members"]

MAX_NESTING = 8
"""Archives in archives; a .tar.gz is two. People send three or four, quines and mazes have no end."""
_END = b"PK\x05\x06"
_TAIL = 22 + 65_535  # the end record and its longest comment


def is_zip(data: bytes) -> bool:
    return data.startswith(b"PK\x03\x04") or data.find(_END, max(0, len(data) - _TAIL)) >= 0


def is_archive(data: bytes) -> bool:
    """Whether members() can open it, by its content."""
    return is_zip(data) or bool(unpack.stream_kind(data) or unpack.library_format(data)) or containers.is_container(data)


def members(data: bytes, name: str = "", budget: Budget | None = None) -> Iterator[Member]:
    """Unpack the archive called `name` and those in it. Never raises.

    Flags: bomb, limit (too much in it), encrypted, broken, unopened (an archive of a kind that is not opened).
    `budget`: what is left of that of the archive in which this one was found.
    """
    for member in _walk(data, name, budget or Budget(len(data)), 1):
        yield member if member.flag or not unpack.unopened(member.data) else member._replace(flag="unopened")


def _walk(data: bytes, name: str, budget: Budget, depth: int) -> Iterator[Member]:
    for member in _open(data, name, budget):
        yield member
        if member.flag in ("bomb", "limit"):
            budget.over = True
        elif is_archive(member.data):
            for inner in _deeper(member, budget, depth):
                yield inner._replace(name=f"{member.name}/{inner.name}")
        if budget.over:
            return


def _deeper(member: Member, budget: Budget, depth: int) -> Iterator[Member]:
    if depth < MAX_NESTING:
        yield from _walk(member.data, member.name, budget, depth + 1)
    else:
        budget.over = True
        yield Member("", b"", "limit")


def _open(data: bytes, name: str, budget: Budget) -> Iterator[Member]:
    """Yield the members of this archive alone, by every format that it may be taken for."""
    if kind := unpack.stream_kind(data):
        yield from unpack.stream(data, kind, name, budget)
    if form := unpack.library_format(data):
        yield from unpack.library(data, form, budget)
    if is_zip(data):
        yield from _zip(data, budget)
    yield from containers.opened(data, name, budget)


def _zip(data: bytes, budget: Budget) -> Iterator[Member]:
    if data.count(zips.CENTRAL) > budget.members:  # counted before zipfile makes an object of each
        yield Member("", b"", "limit")
        return
    infos = zips.directory(data)
    if infos is None:
        yield Member("", b"", "broken")
    unusual = unpack.available() and any(info.compress_type not in zips.READABLE for info in infos or ())
    if unusual:
        yield from unpack.library(data, "zip", budget)
    yield from zips.members(data, infos or [], budget, unusual)
