"""Over which messages a filter's helpers ended: each is judged again alone, so that the one to blame is found. Pure.

    a helper ended                                          who is charged
    the first time with this message open                   nobody: those open in it become suspects
    over a suspect alone, and the filter has answered for   the suspect
      another message since the last end over this one
    over a suspect alone, nobody was answered since         nobody: the filter ends over everything

So an outage, however long, charges nobody, and a message alone in the engine is never charged: it cannot be told from one.
"""

from collections import OrderedDict
from typing import Any

from filterlink.requests import Request

__all__ = ["MAX_SUSPECTS", "Suspect", "Suspects"]

MAX_SUSPECTS = 1000
"""As many as can be open in one helper. The oldest is forgotten before the list grows over this: it is judged as others are."""


class Suspect:
    """A message that was open in a helper when that ended."""

    __slots__ = ("answered", "away", "id", "request")

    def __init__(self, id: int) -> None:
        self.id = id
        self.answered = -1
        """How much the filter had answered at its last end over this message."""
        self.away = False
        """It is parked apart, and comes when it is woken."""
        self.request: Request | None = None
        """It waits here."""

    @property
    def here(self) -> bool:
        return self.away or self.request is not None


class Suspects:
    """All suspects of a filter, the one whose helper ended longest ago first."""

    def __init__(self) -> None:
        self._all: OrderedDict[int, Suspect] = OrderedDict()

    def __contains__(self, id: int) -> bool:
        return id in self._all

    def __len__(self) -> int:
        return len(self._all)

    def get(self, id: int) -> Suspect | None:
        return self._all.get(id)

    @property
    def away(self) -> int:
        """How many are parked apart."""
        return sum(suspect.away for suspect in self._all.values())

    def take_away(self) -> list[int]:
        """Who is parked apart, and is so no longer."""
        found = [suspect for suspect in self._all.values() if suspect.away]
        for suspect in found:
            suspect.away = False
        return [suspect.id for suspect in found]

    @property
    def waiting(self) -> list[Request]:
        return [suspect.request for suspect in self._all.values() if suspect.request is not None]

    def take_waiting(self) -> list[Request]:
        """Who waits here, and does so no longer."""
        found = self.waiting
        for suspect in self._all.values():
            suspect.request = None
        return found

    def client_gone(self, client: Any) -> None:
        for suspect in self._all.values():
            if suspect.request is not None and suspect.request.client is client:
                suspect.request = None

    def ended(self, ids: list[int], answered: int) -> bool:
        """A helper ended over these; `answered` is what the filter has answered so far. True: the only one is guilty."""
        guilty = len(ids) == 1 and (known := self._all.get(ids[0])) is not None and known.answered < answered
        for id in ids:
            suspect = self._all.setdefault(id, Suspect(id))
            suspect.answered = answered
            self._all.move_to_end(id)
        return guilty

    def drop(self, id: int) -> Suspect | None:
        """It was answered, or is no more."""
        return self._all.pop(id, None)

    def surplus(self) -> list[int]:
        """The oldest, as far as there are too many: whoever calls lets them go on."""
        return list(self._all)[: max(0, len(self._all) - MAX_SUSPECTS)]

    def next(self, answered: int, alone: bool) -> Suspect | None:
        """Who is to be tried next: one whose trial can prove something, or any where there is nothing else to do."""
        return next((each for each in self._all.values() if each.here and (alone or each.answered < answered)), None)
