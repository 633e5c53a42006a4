"""An mbox as the messages in it. Pure: lines are its argument.

A message begins at a line `From ...` that stands first or after an empty line and names a time and a year, as those of all
writers do. `>From ` in a text loses one `>`: the quoting of mboxrd, which mboxo's cannot be told from.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["Piece", "is_separator", "split"]

_SEPARATOR = re.compile(rb"From (?=.*\b\d\d?:\d\d)(?=.*\b(?:19|20)\d\d\b)")
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
_EMPTY = (b"\n", b"\r\n")


class Piece(NamedTuple):
    """One message: its bytes, or none where it has more than were wanted; and how many it has in the file."""

    data: bytes
    size: int


def is_separator(line: bytes) -> bool:
    """Say whether a message may begin at this line; a header begins with `From:` instead."""
    return _SEPARATOR.match(line) is not None


def split(lines: Iterable[bytes], most: int) -> Iterator[Piece]:
    """Yield the messages, of at most `most` bytes each; a line may come in pieces. What stands above the first one is none."""
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
            before = line  # not an empty line: the header's first line is no separator
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
        kept.pop()  # the empty line between two messages is the file's
    return Piece(_QUOTED.sub(rb"\1", b"".join(kept)), size)
