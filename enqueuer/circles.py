"""Messages that a filter discards and submits anew by itself, for ever: found by what stays the same in them. Pure.

What `submit` and other servers pass on carries its stations (queue/header.py). A helper that writes files into the drop
folder leaves no trace: but each copy comes while it works on the one before, which it then discards, and both have one
Message-ID and one set of recipients (what a helper changes, a signature or a subject, is not looked at). So that is what
is counted: an unbroken row, each made while the one before is judged and after the one before that. Copies that somebody
else drops come all at once, or each when he likes: their row breaks.

Times are nanoseconds since 1970, as what says when a copy was made is the time of its file. Files are stamped by a clock
that ticks each 1 to 10 ms; what is to be before a stamp is read from that clock too (`tick`), or it would seem to be later.
"""

from collections import OrderedDict

import msgspec

__all__ = ["LEAST", "Circles"]

LEAST = 30
"""A row up to this length may be chance: one message dropped 2000 times, at any pace, made rows of 23 at the most."""
MOST_KNOWN = 4096
"""Rows watched at once, the ones seen longest ago are forgotten first: each discard begins one."""
MOST_CLOSED = 100
"""Circles that are closed at once: each JOB names them."""
FORGET = 3600 * 10**9
"""A circle that was not seen for so long is open again."""


class Row(msgspec.Struct):
    """Messages of one kind, discarded one after the other."""

    length: int
    before: int
    """When the last but one was decided."""
    began: int
    """When the last one went to a processor first."""
    decided: int
    tick: int
    """The same by the clock of files."""


class Circles:
    """Part of the queue manager. A key stands for Message-ID and recipients."""

    def __init__(self) -> None:
        self.most = 50
        """max_hops: a longer row is a circle, where it is longer than LEAST too."""
        self._rows: OrderedDict[bytes, Row] = OrderedDict()
        self._closed: OrderedDict[bytes, tuple[str, int]] = OrderedDict()

    def discarded(self, key: bytes, filter: str, created: int, began: int, tick: int, now: int) -> bool:
        """A filter discarded a message of this kind, whose file was `created`, and which went to a processor at `began`.

        `tick` and `began` are of the clock of files. True: from now on such messages go in circles.
        """
        row = self._rows.pop(key, None)
        if row is not None and max(row.began, row.before) <= created <= row.decided:
            length, before = row.length + 1, row.tick
        else:
            length = before = 1
        self._rows[key] = Row(length, before, began, now, tick)
        if len(self._rows) > MOST_KNOWN:
            self._rows.popitem(last=False)
        if length <= max(self.most, LEAST):
            return False
        self._closed[key] = (filter, now)
        if len(self._closed) > MOST_CLOSED:
            self._closed.popitem(last=False)
        return True

    def closed(self, now: int) -> tuple[tuple[bytes, str], ...]:
        """What no filter may be asked any more, and the filter that sends it around."""
        if not self._closed:
            return ()
        for key in [key for key, (_, since) in self._closed.items() if now - since > FORGET]:
            del self._closed[key]
        return tuple((key, filter) for key, (filter, _) in self._closed.items())

    def forget(self) -> None:
        """Somebody has looked after it: all begin anew."""
        self._rows.clear()
        self._closed.clear()
