"""Over which messages a filter's helpers ended: each is judged again alone, so that the one to blame is found. Pure.

    a helper ended                                          who is charged
    the first time with this message open                   nobody: those open in it become suspects
    over a suspect alone, and the filter has answered for   the suspect: that proves it
      another message since the last end over this one
    over the same one alone again, nobody was answered      the suspect, if that was proved before in this row of ends, or the
      since, and no helper ended over another message         row has gone on for a day; else nobody: it may be the filter
    it had answered and left with status 0, as some do      nobody; who was open in helpers that left LEAVES times becomes a
      after a number of messages                            suspect: the next one has nothing to leave for but that message

So an outage charges nobody whom the filter did not prove guilty when it worked: what it ends over changes, or is one message that
is alone in the engine, and only after a day is that one taken for the reason.
"""

from collections import OrderedDict
from typing import Any

import msgspec

from filterlink.dispatch.requests import ScanRequest

__all__ = ["LEAVES", "MAX_SUSPECTS", "ROW", "Doubt", "Suspect", "Suspects"]

MAX_SUSPECTS = 1000
"""As many as can be open in one helper. The oldest is forgotten before the list grows over this: it is judged as others are."""

ROW = 86400.0
"""Seconds for which helpers have to end over one message alone, nobody else being there, until it is charged without proof."""
LEAVES = 3
"""A helper that leaves in good order does not do so over the same message as often as this."""


class HelperEndRun(msgspec.Struct):
    """Helpers ended over one message alone, one after the other, and over no other one in between."""

    id: int = 0
    since: float = 0.0
    proved: bool = False


class Doubt:
    """Helpers ended over something, and since then nothing was answered."""

    def __init__(self) -> None:
        self.since: float | None = None
        self._over: set[int] = set()

    @property
    def over_many(self) -> bool:
        """Alone in a helper that ended were more than one message."""
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
    """A message that was open in a helper when that ended."""

    __slots__ = ("answered", "away", "id", "request")

    def __init__(self, id: int) -> None:
        self.id = id
        self.answered = -1
        """How much the filter had answered at its last end over this message."""
        self.away = False
        """It is parked apart, and comes when it is woken."""
        self.request: ScanRequest | None = None
        """It waits here."""

    @property
    def here(self) -> bool:
        return self.away or self.request is not None


class Suspects(OrderedDict[int, Suspect]):
    """All suspects of a filter by their message, the one whose helper ended longest ago first. Only what is here adds or removes any."""

    def __init__(self) -> None:
        super().__init__()
        self._row = HelperEndRun()
        self.leaves: OrderedDict[int, int] = OrderedDict()
        """In how many helpers that left in good order each was open."""

    @property
    def away(self) -> int:
        """How many are parked apart."""
        return sum(suspect.away for suspect in self.values())

    def take_away(self) -> list[int]:
        """Who is parked apart, and is so no longer."""
        found = [suspect for suspect in self.values() if suspect.away]
        for suspect in found:
            suspect.away = False
        return [suspect.id for suspect in found]

    @property
    def waiting(self) -> list[ScanRequest]:
        return [suspect.request for suspect in self.values() if suspect.request is not None]

    def take_waiting(self) -> list[ScanRequest]:
        """Who waits here, and does so no longer."""
        found = self.waiting
        for suspect in self.values():
            suspect.request = None
        return found

    def client_gone(self, client: Any) -> None:
        for suspect in self.values():
            if suspect.request is not None and suspect.request.client is client:
                suspect.request = None

    def left(self, ids: list[int]) -> None:
        """A helper left in good order with these open, which proves nothing; but it should not be the same message each time."""
        for id in ids:
            self.leaves[id] = self.leaves.pop(id, 0) + 1
            if self.leaves[id] >= LEAVES:
                self.setdefault(id, Suspect(id))
        while len(self.leaves) > MAX_SUSPECTS:
            self.leaves.popitem(last=False)

    def ended(self, ids: list[int], answered: int, now: float) -> bool:
        """A helper ended over these; `answered` is what the filter has answered so far. True: the only one is guilty."""
        guilty = self._guilty(ids, answered, now)
        for id in ids:
            suspect = self.setdefault(id, Suspect(id))
            suspect.answered = answered
            self.move_to_end(id)
        return guilty

    def _guilty(self, ids: list[int], answered: int, now: float) -> bool:
        """Whether the one message that it ended over is the reason."""
        if ids != [self._row.id]:
            self._row = HelperEndRun(ids[0] if len(ids) == 1 else 0, now)
        known = self.get(self._row.id)
        if known is not None and known.answered < answered:
            self._row.proved = True
        return self._row.proved or (self._row.id > 0 and now - self._row.since >= ROW)

    def drop(self, id: int) -> Suspect | None:
        """It was answered, or is no more."""
        self.leaves.pop(id, None)
        if self._row.id == id:
            self._row = HelperEndRun()
        return self.pop(id, None)

    def surplus(self) -> list[int]:
        """The oldest, as far as there are too many: whoever calls lets them go on."""
        return list(self)[: max(0, len(self) - MAX_SUSPECTS)]

    def next(self, answered: int, alone: bool) -> Suspect | None:
        """Who is to be tried next: one whose trial can prove something, or any where there is nothing else to do."""
        return next((each for each in self.values() if each.here and (alone or each.answered < answered)), None)
