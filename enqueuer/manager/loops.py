"""The loop detector: messages that a filter submits again and again, found by their fingerprints. Pure.

Messages that `submit` and other servers pass on carry their hops (queue/message/header.py). A helper that writes files into the
drop folder leaves no such trace. But each copy is made while the helper works on the copy before. Both have one Message-ID and
one set of recipients. What a helper changes, a signature or a subject, is not part of the fingerprint.

So this module counts an unbroken run: each copy is made while the one before is scanned, and after the one before that. Copies
that another program drops arrive all at once, or each at a time of its own: their run breaks. In a run of messages that a filter
stopped (DISCARD, ERROR), the messages may also share only the Message-ID, or only sender and recipients. Such a run has to be
longer.

Example: a helper answers DISCARD for a message and drops a copy with a footer. The engine scans the copy, and the helper
drops the next one meanwhile. After `most` copies the fingerprint is closed: no filter is asked about the next one.

The detector sees every message that a filter stops. Of enqueued ones it sees one in frames.LOOP_SAMPLE, but every one with a
fingerprint that is watched because it came often.

Times are nanoseconds since 1970, because the time of a file says when a copy was made. The clock that stamps files ticks each 1
to 10 ms. A time that must be before a stamp is read from the same clock (`tick`): from another clock it could seem to be later.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

__all__ = ["LEAST", "SURE", "LoopDetector"]

LEAST = 30
"""A run up to this length may be chance: one message dropped 2000 times, at any pace, made runs of at most 23."""
SURE = 100
"""A run has to be longer than this if less stays the same, or if mail that is not the filter's own may be concerned."""
SET_BACK = 8
"""Such a run gets shorter by this number where it breaks, because processors overtake each other. By chance such runs reach 25."""
OFTEN = 8
"""A fingerprint that was seen this many times is watched."""
WATCHED = 1000
"""Messages of a watched fingerprint without a loop that end the watch. It is watched again after as many more have been seen."""
MOST_KNOWN = 4096
"""Runs and counts kept at once. The ones unused for longest are forgotten first: each message begins some."""
MOST_CLOSED = 100
"""Closed fingerprints, and watched ones, at once: each Job names them."""
MINUTE = 60 * 10**9
FORGET = 60 * MINUTE
"""Nanoseconds after which a loop opens again that was not seen. A run by less than the same message opens after a minute, because it closes
other mail of its sender, too.
"""


class DiscardRun(msgspec.Struct):
    """A run of messages with one fingerprint, each made while the one before was scanned."""

    length: int
    before: int
    """When the last but one was decided."""
    began: int
    """When the last one first went to a processor."""
    decided: int
    tick: int
    """When the last one was decided, by the clock of files."""


class LoopDetector:
    """Part of the queue manager. A `kind` is a fingerprint (queue/message/header.py)."""

    def __init__(self) -> None:
        self.most = 50
        """max_hops: a longer run is a loop, if it is also longer than LEAST or SURE."""
        self._rows: OrderedDict[bytes, DiscardRun] = OrderedDict()
        self._closed: OrderedDict[bytes, tuple[str, int]] = OrderedDict()  # fingerprint -> the filter, and when it opens again
        self._told: OrderedDict[bytes, int] = OrderedDict()  # how many of a fingerprint were enqueued
        self._watched: OrderedDict[bytes, tuple[int, int]] = OrderedDict()  # fingerprint -> how many more, and until when

    def stopped(self, kinds: Sequence[bytes], filter: str, created: int, began: int, tick: int, now: int) -> bool:
        """Note that a filter stopped a message. `kinds`: its fingerprints. Its file was `created`, and it went to a processor at `began`.

        `tick` and `began` are of the clock of files. True: from now on such messages are in a mail loop.
        """
        same, *alike = kinds
        found = self._longer(same, LEAST, created, began, tick, now) and self._close(same, filter, now + FORGET)
        for kind in alike:
            if kind and self._longer(kind, SURE, created, began, tick, now):
                found = self._close(kind, filter, now + MINUTE)
        return found

    def passed(self, kind: bytes, filters: str, created: int, began: int, tick: int, now: int) -> bool:
        """Note that a message was enqueued; one of these filters may still have submitted a copy. Arguments and result: see stopped()."""
        self._watch(kind, now)
        return self.deferred(kind, filters, created, began, tick, now)

    def deferred(self, kind: bytes, filters: str, created: int, began: int, tick: int, now: int) -> bool:
        """Note that a message was deferred. During an outage all mail of a sender waits, so only the same message counts."""
        return self._longer(kind, SURE, created, began, tick, now) and self._close(kind, filters, now + FORGET)

    def closed(self, now: int) -> tuple[tuple[bytes, str], ...]:
        """Return the closed fingerprints, about which no filter is asked, each with its filter. Watched fingerprints follow, with ""."""
        if not self._closed and not self._watched:
            return ()
        for kind in [kind for kind, (_, until) in self._closed.items() if now > until]:
            del self._closed[kind]
        for kind in [kind for kind, (_, until) in self._watched.items() if now > until]:
            del self._watched[kind]
        return (*((kind, filter) for kind, (filter, _) in self._closed.items()), *((kind, "") for kind in self._watched))

    def forget(self) -> None:
        """Forget everything: an administrator has acted."""
        for known in (self._rows, self._closed, self._told, self._watched):
            known.clear()

    def _longer(self, kind: bytes, least: int, created: int, began: int, tick: int, now: int) -> bool:
        """Add one to the run of this fingerprint; return whether it is now longer than allowed."""
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
