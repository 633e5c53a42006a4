"""Remember the messages over which a filter's helpers ended. Each is scanned again alone, to find the one to blame. Pure.

    a helper ended                                          charged message
    the first time with this message open                   none: the messages open in it become suspects
    over a suspect alone, and the filter has answered for   the suspect: this is the proof
      another message since the last end over this one
    over the same suspect alone again; since then the       the suspect, if it was proved before in this row of ends, or the row
      filter answered for none, and no helper ended           has gone on for a day; else none: the filter may be the cause
      over another message
    after it had answered, with status 0, as some helpers   none; a message that was open in LEAVES helpers that left becomes a
      do after a number of messages                           suspect: the next helper has no other message to leave for

So an outage charges only messages that were proved guilty while the filter worked. In an outage the helpers end over changing
messages, or over the only message in the engine. That one is charged only after a day.
"""

from collections import OrderedDict
from typing import Any

import msgspec

from filterlink.dispatch.requests import ScanRequest

__all__ = ["LEAVES", "MAX_SUSPECTS", "ROW", "Doubt", "Suspect", "Suspects"]

MAX_SUSPECTS = 1000
"""As many as can be open in one helper. In a longer list the oldest suspects are cleared, and scanned as other messages are."""

ROW = 86400.0
"""Seconds for which helpers must end over one message alone, without any other mail, until it is charged without proof."""
LEAVES = 3
"""Ends with status 0 over the same message after which it becomes a suspect: helpers that end as planned do not repeat that."""


class HelperEndRun(msgspec.Struct):
    """A row of ends over one message alone, without an end over another message in between."""

    id: int = 0
    since: float = 0.0
    proved: bool = False


class Doubt:
    """The ends of helpers since the filter's last answer."""

    def __init__(self) -> None:
        self.since: float | None = None
        self._over: set[int] = set()

    @property
    def over_many(self) -> bool:
        """Return whether helpers ended over more than one message, each alone in its helper."""
        return len(self._over) > 1

    def ended(self, now: float, ids: list[int]) -> None:
        if self.since is None:
            self.since = now
            self._over.clear()
        if len(ids) == 1 and not self.over_many:
            self._over.add(ids[0])

    def answered(self) -> None:
        self.since = None


class Suspect:
    """A message that was open in a helper when the helper ended."""

    __slots__ = ("answered", "away", "id", "request")

    def __init__(self, id: int) -> None:
        self.id = id
        self.answered = -1
        """The number of answers of the filter when a helper last ended over this message."""
        self.away = False
        """It is parked apart, and comes back when it is woken."""
        self.request: ScanRequest | None = None
        """Its request, which waits here."""

    @property
    def here(self) -> bool:
        return self.away or self.request is not None


class Suspects(OrderedDict[int, Suspect]):
    """All suspects of a filter by message, the one whose helper ended longest ago first. Only these methods add or remove suspects."""

    def __init__(self) -> None:
        super().__init__()
        self._row = HelperEndRun()
        self.leaves: OrderedDict[int, int] = OrderedDict()
        """For each message, the number of helpers that left as planned while it was open."""

    @property
    def away(self) -> int:
        """Return how many suspects are parked apart."""
        return sum(suspect.away for suspect in self.values())

    def take_away(self) -> list[int]:
        """Return the ids of the suspects that are parked apart, and clear that mark."""
        found = [suspect for suspect in self.values() if suspect.away]
        for suspect in found:
            suspect.away = False
        return [suspect.id for suspect in found]

    @property
    def waiting(self) -> list[ScanRequest]:
        return [suspect.request for suspect in self.values() if suspect.request is not None]

    def take_waiting(self) -> list[ScanRequest]:
        """Remove and return the waiting requests."""
        found = self.waiting
        for suspect in self.values():
            suspect.request = None
        return found

    def client_gone(self, client: Any) -> None:
        for suspect in list(self.values()):
            request = suspect.request
            if request is not None and request.client is client:
                suspect.request = None
                if request.asked:  # its message does not ask again
                    self.drop(suspect.id)

    def abandon(self, client: Any, id: int) -> None:
        """Drop a message of a door if its request waits here."""
        suspect = self.get(id)
        if suspect is not None and suspect.request is not None and suspect.request.client is client:
            self.drop(id)

    def left(self, ids: list[int]) -> None:
        """Note that a helper left as planned with these messages open. LEAVES times over the same message make it a suspect."""
        for id in ids:
            self.leaves[id] = self.leaves.pop(id, 0) + 1
            if self.leaves[id] >= LEAVES:
                self.setdefault(id, Suspect(id))
        while len(self.leaves) > MAX_SUSPECTS:
            self.leaves.popitem(last=False)

    def ended(self, ids: list[int], answered: int, now: float) -> bool:
        """Note that a helper ended over these messages. `answered`: the filter's answers so far. Return True if the only one is guilty."""
        guilty = self._guilty(ids, answered, now)
        for id in ids:
            suspect = self.setdefault(id, Suspect(id))
            suspect.answered = answered
            self.move_to_end(id)
        return guilty

    def _guilty(self, ids: list[int], answered: int, now: float) -> bool:
        """Return whether the helper ended over one message alone and that is the cause."""
        if ids != [self._row.id]:
            self._row = HelperEndRun(ids[0] if len(ids) == 1 else 0, now)
        known = self.get(self._row.id)
        if known is not None and known.answered < answered:
            self._row.proved = True
        return self._row.proved or (self._row.id > 0 and now - self._row.since >= ROW)

    def drop(self, id: int) -> Suspect | None:
        """Remove a message that was answered or has left the queue; return its suspect, if any."""
        self.leaves.pop(id, None)
        if self._row.id == id:
            self._row = HelperEndRun()
        return self.pop(id, None)

    def surplus(self) -> list[int]:
        """Return the ids of the oldest suspects over MAX_SUSPECTS: the caller clears them."""
        return list(self)[: max(0, len(self) - MAX_SUSPECTS)]

    def next(self, answered: int, alone: bool) -> Suspect | None:
        """Return the next suspect to try: one whose trial can prove something, or any if there is no other work (`alone`)."""
        return next((each for each in self.values() if each.here and (alone or each.answered < answered)), None)
