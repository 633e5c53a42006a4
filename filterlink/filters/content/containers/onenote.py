"""Find the files attached to a OneNote page (.one, MS-ONESTORE). Pure, and linear in its size."""

from collections.abc import Iterator
from uuid import UUID

from filterlink.filters.content.limits.member import Budget, Member

__all__ = ["is_onenote", "opened"]

_FILE = UUID("7B5C52E4-D88C-4DA7-AEB1-5378D02996D3").bytes_le
_ATTACHED = UUID("BDE316E7-2665-4511-A4C4-8D4D0B7A9EAC").bytes_le
_HEAD = 36
"""Bytes before a file: the mark, its length, and what is not used."""


def is_onenote(data: bytes) -> bool:
    return data.startswith(_FILE)


def opened(data: bytes, _name: str, budget: Budget) -> Iterator[Member]:
    """Yield each attached file. Its name is elsewhere in the page, without a reference."""
    at = data.find(_ATTACHED)
    while at >= 0:
        length = int.from_bytes(data[at + 16 : at + 24], "little")
        content = data[at + _HEAD : at + _HEAD + length]
        flag = budget.count() or budget.read(len(content)) or budget.take(len(content))
        yield Member("attachment", b"" if flag else content, flag or ("broken" if len(content) < length else ""))
        at = data.find(_ATTACHED, at + _HEAD)
