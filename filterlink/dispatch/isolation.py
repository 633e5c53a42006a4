"""One suspect at a time is judged alone in a helper, so that an end of the helper says who it was. Pure.

The helper finishes what it has first; it is kept for the suspect until that is answered, overdue, or has ended it. Where a
filter has one helper only, the others wait for so long.
"""

import math

from filterlink.dispatch.requests import MuxPort, ScanRequest, Unit
from filterlink.dispatch.suspects import Suspects

__all__ = ["Trials"]


class Trials:
    """Which suspect has which helper for itself."""

    def __init__(self, suspects: Suspects, units: list[Unit], port: MuxPort) -> None:
        self._suspects = suspects
        self._units = units
        self._port = port
        self._id = 0
        self._unit: Unit | None = None
        self._woken = math.inf  # when it was let come; it is not there yet

    @property
    def going_on(self) -> bool:
        """There are suspects, or a helper is kept for one."""
        return self._unit is not None or len(self._suspects) > 0

    def unit_for(self, id: int) -> Unit | None:
        """The helper that is free for this suspect now."""
        unit = self._unit
        return unit if unit is not None and id == self._id and self._woken < math.inf and unit.ready and not unit.open else None

    def forget(self) -> None:
        if self._unit is not None:
            self._unit.kept = False
        self._unit = None
        self._woken = math.inf

    def expire(self, before: float) -> None:
        """A suspect that was let come and does not keeps nobody waiting; it stays one, for when it comes."""
        if self._unit is not None and self._woken <= before and not self._unit.open:
            self.forget()

    def advance(self, now: float, answered: int, alone: bool) -> tuple[Unit, ScanRequest] | None:
        """Go on with the trials; what is to be sent to which helper, if anything."""
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
