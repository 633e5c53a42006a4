"""Split an mbox into its messages. Pure: lines are its argument.

A message begins at a line `From ...` with a time and a year, at the start of the file or after an empty line, as all
writers make it. `>From ` in a text loses one `>`: this is the quoting of mboxrd, and mboxo cannot be distinguished from it.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["Piece", "is_separator", "split"]

_SEPARATOR = re.compile(rb"From (?=.*\b\d\d?:\d\d)(?=.*\b(?:19|20)\d\d\b)")
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
_EMPTY = (b"\n", b"\r\n")


class Piece(NamedTuple):
    """One message: its bytes, or none if there are more than wanted; and its size in the file."""

    data: bytes
    size: int


def is_separator(line: bytes) -> bool:
    """Return whether a message may begin at this line; a header begins with `From:` instead."""
    return _SEPARATOR.match(line) is not None


def split(lines: Iterable[bytes], most: int) -> Iterator[Piece]:
    """Yield the messages, of at most `most` bytes each. A line may come in pieces. What is above the first message is skipped."""
    kept: list[bytes] = []
    size = 0
    began = False
    before = b"\n"
    for line in lines:
        if before in _EMPTY and is_separator(line):
            if began:
                yield _piece(kept, size, most)
            kept = []
            size = 0
            began = True
            before = line  # not an empty line: the first line of a header is no separator
            continue
        if began:
            size += len(line)
            if size <= most:
                kept.append(line)
        before = line if before.endswith(b"\n") else before + line[-1:]
    if began:
        yield _piece(kept, size, most)


def _piece(kept: list[bytes], size: int, most: int) -> Piece:
    if size > most:
        return Piece(b"", size)
    if kept and kept[-1] in _EMPTY:
        kept.pop()  # the empty line between two messages belongs to the mbox
    return Piece(_QUOTED.sub(rb"\1", b"".join(kept)), size)
