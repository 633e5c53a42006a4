"""Unpack an archive, and the archives in it, within limits. Everything stays in memory.

An archive that claims more than the limits allow is a bomb to any program that unpacks it. Its members are flagged, and the
rest is not read. Members that cannot be read (encrypted, damaged, packed in an unusual way) give their names only.
"""

from collections.abc import Iterator
from zipfile import ZipInfo

from filterlink.filters.content.archives import embedded, tars, unpack, zipheads, zips
from filterlink.filters.content.containers import containers
from filterlink.filters.content.limits.member import ENDS, Budget, Member, Union

__all__ = ["Member", "is_archive", "is_zip", "members"]

MAX_NESTING = 8
"""Archives in archives; a .tar.gz is two. Real mail has three or four, quines and mazes have no end."""
_TAIL = 22 + zipheads.MAX_COMMENT  # the end record and its longest comment


def is_zip(data: bytes) -> bool:
    """Return whether it is a zip: by its start, by the header of a member near the start, or by a directory at its end."""
    if data.startswith((zipheads.LOCAL, zipheads.END)) or zipheads.first_local(data, embedded.MAX_PREFIX) >= 0:
        return True
    return data.find(zipheads.END, max(0, len(data) - _TAIL)) >= 0 and data.find(zipheads.CENTRAL) >= 0


def is_archive(data: bytes) -> bool:
    """Return whether members() can open it, by its content. Formats that may begin anywhere have zero bytes; texts have none."""
    if unpack.stream_kind(data) or unpack.library_format(data) or containers.is_container(data):
        return True
    return b"\0" in data and (is_zip(data) or tars.is_tar(data) or embedded.is_in(data))


def members(data: bytes, name: str = "", budget: Budget | None = None) -> Iterator[Member]:
    """Unpack the archive called `name` and those in it. Never raises.

    Flags: bomb, limit (too much in it), encrypted, broken, unopened (an archive of a kind that is not supported), ambiguous
    (unpackers differ in whether, or how, they open this file). `budget`: the rest of the budget of the archive that contains
    this one.
    """
    for member in _walk(data, name, budget or Budget(len(data)), 1):
        if member.data and member.name.endswith("/"):  # not a folder
            member = member._replace(name=member.name.rstrip("/"))
        yield member if member.flag or not unpack.unopened(member.data) else member._replace(flag="unopened")


def _walk(data: bytes, name: str, budget: Budget, depth: int) -> Iterator[Member]:
    for member in _open(data, name, budget):
        yield member
        if member.flag in ENDS:
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
    """Yield the members of this archive only, in every format that it may have."""
    union = Union(budget)
    form = unpack.library_format(data)
    if kind := unpack.stream_kind(data):
        yield from union.first(unpack.stream(data, kind, name, budget))
    if form:
        yield from union.first(unpack.library(data, form, budget))
    if tars.is_tar(data):
        yield from union.further(tars.members(data, union.apart()), "ambiguous" if form else "")
    if is_zip(data):
        yield from _zip(data, budget)
    for member in union.further(embedded.members(data, union.apart())):
        if member.data or member.name != unpack.UNNAMED:
            yield member
    yield from containers.opened(data, name, budget)


def _zip(data: bytes, budget: Budget) -> Iterator[Member]:
    if data.count(zipheads.CENTRAL) > budget.members:  # counted before an object is made of each
        yield Member("", b"", "limit")
        return
    union = Union(budget)
    try:
        yield from union.first(zips.plain(data, budget))
        return
    except zips.NotPlain:
        infos = zips.directory(data)
    if infos is not None or data.startswith(zipheads.LOCAL):
        yield from _union(data, infos, budget, union)
        return
    for member in _accidents(data, union):  # a file of any kind, which may contain a header
        if member.data or member.flag in ("", *ENDS):
            yield member if member.flag in ENDS else member._replace(flag="")


def _accidents(data: bytes, union: Union) -> Iterator[Member]:
    unopened = False
    for member in union.further(zips.members(data, [], union.apart())):
        unopened = unopened or member.flag == "unopened"
        yield member
    if unopened and unpack.available():
        start = zipheads.first_local(data, len(data))
        yield from union.further(unpack.library(data, "zip_streamable", union.apart(), start=start))


def _union(data: bytes, infos: list[ZipInfo] | None, budget: Budget, union: Union) -> Iterator[Member]:
    """Yield the members of a zip that unpackers may read in different ways."""
    unopened = dict[str, Member]()
    if infos is None:
        yield Member("", b"", "broken")
    for member in zips.members(data, infos or [], budget):
        if member.flag == "unopened":
            unopened[member.name] = member
        else:
            yield from union.first(iter((member,)))
    start = max(0, zipheads.first_local(data, len(data)))
    for form, at in (("zip_seekable", 0), ("zip_streamable", start)) if unpack.available() else ():
        for member in union.further(unpack.library(data, form, union.apart(), start=at), "ambiguous"):
            if member.name in unopened and member.flag in ("", "ambiguous"):
                member = unopened.pop(member.name)._replace(data=member.data, flag="")
            if member.data or member.name not in unopened:
                yield member
    yield from unopened.values()
