"""Messages that a filter submits anew by itself, for ever: found by what stays the same in them. Pure.

What `submit` and other servers pass on carries its hops (queue/message/header.py). A helper that writes files into the drop
folder leaves no trace: but each copy comes while it works on the one before, and both have one Message-ID and one set of
recipients (what a helper changes, a signature or a subject, is not looked at). So that is what is counted: an unbroken
row, each made while the one before is judged and after the one before that. Copies that somebody else drops come all at
once, or each when he likes: their row breaks. A row of those that a filter stopped (DISCARD, ERROR) may also have one
Message-ID and other recipients each time, or one sender and the same recipients, but has to be longer.

Of what is stopped all is told here; of what is enqueued one in frames.LOOP_SAMPLE, and all while a kind that came often is watched.

Times are nanoseconds since 1970, as what says when a copy was made is the time of its file. Files are stamped by a clock
that ticks each 1 to 10 ms; what is to be before a stamp is read from that clock too (`tick`), or it would seem to be later.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

__all__ = ["LEAST", "SURE", "LoopDetector"]

LEAST = 30
"""A row up to this length may be chance: one message dropped 2000 times, at any pace, made rows of 23 at the most."""
SURE = 100
"""Where less stays the same, or others than a broken filter may be concerned, a row is longer than this."""
SET_BACK = 8
"""So much shorter is such a row where it breaks: processors overtake each other. By chance rows come to 25 so."""
OFTEN = 8
"""A kind of which so many were told is watched."""
WATCHED = 1000
"""So many of a watched kind that make no loop are enough: from then on as many must be told before it is watched again."""
MOST_KNOWN = 4096
"""Rows and counts at once, the ones seen longest ago are forgotten first: each message that is told begins some."""
MOST_CLOSED = 100
"""LoopDetector that are closed, and kinds that are watched, at once: each JOB names them."""
MINUTE = 60 * 10**9
FORGET = 60 * MINUTE
"""A loop that was not seen for so long is open again; one of a sender's messages after a minute, as others of his are closed with it."""


class DiscardRun(msgspec.Struct):
    """Messages of one kind, discarded one after the other."""

    length: int
    before: int
    """When the last but one was decided."""
    began: int
    """When the last one went to a processor first."""
    decided: int
    tick: int
    """The same by the clock of files."""


class LoopDetector:
    """Part of the queue manager. A kind stands for what stays the same (queue/message/header.py)."""

    def __init__(self) -> None:
        self.most = 50
        """max_hops: a longer row is a loop, where it is longer than LEAST or SURE too."""
        self._rows: OrderedDict[bytes, DiscardRun] = OrderedDict()
        self._closed: OrderedDict[bytes, tuple[str, int]] = OrderedDict()  # kind -> the filter, and when it is open again
        self._told: OrderedDict[bytes, int] = OrderedDict()  # how many of a kind were enqueued
        self._watched: OrderedDict[bytes, tuple[int, int]] = OrderedDict()  # kind -> how many more, and until when

    def stopped(self, kinds: Sequence[bytes], filter: str, created: int, began: int, tick: int, now: int) -> bool:
        """A filter stopped a message of these kinds, whose file was `created`, and which went to a processor at `began`.

        `tick` and `began` are of the clock of files. True: from now on such messages are in a mail loop.
        """
        same, *alike = kinds
        found = self._longer(same, LEAST, created, began, tick, now) and self._close(same, filter, now + FORGET)
        for kind in alike:
            if kind and self._longer(kind, SURE, created, began, tick, now):
                found = self._close(kind, filter, now + MINUTE)
        return found

    def passed(self, kind: bytes, filters: str, created: int, began: int, tick: int, now: int) -> bool:
        """The same of one that was enqueued, though perhaps one of these filters submitted it anew besides."""
        self._watch(kind, now)
        return self.deferred(kind, filters, created, began, tick, now)

    def deferred(self, kind: bytes, filters: str, created: int, began: int, tick: int, now: int) -> bool:
        """The same of one that waits: an outage holds all that one sender writes, so nothing less than the same message counts."""
        return self._longer(kind, SURE, created, began, tick, now) and self._close(kind, filters, now + FORGET)

    def closed(self, now: int) -> tuple[tuple[bytes, str], ...]:
        """What no filter may be asked any more, and the filter that sends it around; with "" what is to be told of."""
        if not self._closed and not self._watched:
            return ()
        for kind in [kind for kind, (_, until) in self._closed.items() if now > until]:
            del self._closed[kind]
        for kind in [kind for kind, (_, until) in self._watched.items() if now > until]:
            del self._watched[kind]
        return (*((kind, filter) for kind, (filter, _) in self._closed.items()), *((kind, "") for kind in self._watched))

    def forget(self) -> None:
        """Somebody has looked after it: all begin anew."""
        for known in (self._rows, self._closed, self._told, self._watched):
            known.clear()

    def _longer(self, kind: bytes, least: int, created: int, began: int, tick: int, now: int) -> bool:
        """Whether the row of this kind, with one more, is longer than it may be."""
        row = self._rows.pop(kind, None)
        if row is not None and max(row.began, row.before) <= created <= row.decided:
            length = row.length + 1
            before = row.tick
        else:
            length = max(1, row.length - SET_BACK) if row is not None and least > LEAST else 1
            before = 1
        self._rows[kind] = DiscardRun(length, before, began, now, tick)
        _trim(self._rows, MOST_KNOWN)
        return length > max(self.most, least)

    def _close(self, kind: bytes, filter: str, until: int) -> bool:
        self._watched.pop(kind, None)
        self._closed[kind] = (filter, until)
        _trim(self._closed, MOST_CLOSED)
        return True

    def _watch(self, kind: bytes, now: int) -> None:
        if kind in self._watched:
            left = self._watched[kind][0] - 1
            self._watched[kind] = (left, now + MINUTE)
            if not left:
                del self._watched[kind]
                self._told[kind] = -WATCHED
            return
        self._told[kind] = self._told.pop(kind, 0) + 1
        _trim(self._told, MOST_KNOWN)
        if self._told[kind] >= OFTEN:
            self._watched[kind] = (WATCHED, now + MINUTE)
            _trim(self._watched, MOST_CLOSED)


def _trim(known: OrderedDict[bytes, Any], most: int) -> None:
    if len(known) > most:
        known.popitem(last=False)
