"""Scan one suspect at a time alone in a helper, so that an end of the helper shows the message to blame. Pure.

The helper first finishes its open requests. Then it is kept for the suspect until the suspect is answered, is overdue, or has
ended the helper. If a filter has only one helper, the other messages wait meanwhile.

Example: a filter has two helpers, A and B. A ends while the messages 7, 8 and 9 are open in it, and all three become suspects.
Helper B finishes its own requests and then gets 7 alone, while the new A scans other mail. B answers, so 7 is no suspect any more.
B gets 8 alone and ends. The filter has answered others meanwhile, so message 8 is charged (suspects.py).
"""

import math

from filterlink.dispatch.requests import MuxPort, ScanRequest, Unit
from filterlink.dispatch.suspects import Suspects

__all__ = ["Trials"]


class Trials:
    """The suspect that has a helper for itself, and that helper."""

    def __init__(self, suspects: Suspects, units: list[Unit], port: MuxPort) -> None:
        self._suspects = suspects
        self._units = units
        self._port = port
        self._id = 0
        self._unit: Unit | None = None
        self._woken = math.inf  # when the suspect was woken; infinity: not yet

    @property
    def going_on(self) -> bool:
        """Return whether there are suspects, or a helper is kept for one."""
        return self._unit is not None or len(self._suspects) > 0

    def unit_for(self, id: int) -> Unit | None:
        """Return the helper that is free for this suspect now."""
        unit = self._unit
        return unit if unit is not None and id == self._id and self._woken < math.inf and unit.ready and not unit.open else None

    def forget(self) -> None:
        if self._unit is not None:
            self._unit.kept = False
        self._unit = None
        self._woken = math.inf

    def expire(self, before: float) -> None:
        """Release the helper if the suspect was woken at or before `before` and has not come. The message stays a suspect."""
        if self._unit is not None and self._woken <= before and not self._unit.open:
            self.forget()

    def advance(self, now: float, answered: int, alone: bool) -> tuple[Unit, ScanRequest] | None:
        """Go on with the trials. Return the helper and the request to send to it, if any."""
        if self._unit is None or self._id not in self._suspects or not self._unit.ready:
            self.forget()
            self._choose(answered, alone)
        unit = self._unit
        suspect = self._suspects.get(self._id)
        if unit is None or suspect is None or unit.open or self._woken < math.inf:
            return None
        self._woken = now
        if suspect.request is not None:
            request = suspect.request
            suspect.request = None
            return unit, request
        suspect.away = False
        self._port.wake_one(self._id)
        return None

    def _choose(self, answered: int, alone: bool) -> None:
        ready = [unit for unit in self._units if unit.ready]
        suspect = self._suspects.next(answered, alone) if ready else None
        if suspect is not None:
            self._id = suspect.id
            self._unit = min(ready, key=lambda unit: len(unit.open))
            self._unit.kept = True
