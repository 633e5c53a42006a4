"""Pauses of the queue manager: if the machine has no room for any message, it gives out no work for a moment."""

import logging
import time

from enqueuer.doors.admission import PAUSE
from filterlink.log.complaints import Complaints

__all__ = ["Machine"]


class Machine:
    """Decides whether work may be given out: not for a moment after a processor found that the machine has no room for any message."""

    def __init__(self, log: logging.Logger) -> None:
        self._complaints = Complaints(log, logging.ERROR)
        self._until = 0.0

    def pause(self, now: float) -> float:
        """Return the seconds until work may be given out."""
        return max(0.0, self._until - now)

    def trouble(self, kind: str, reason: str, id: int, *, everybody: bool) -> None:
        """Log that a processor could not work on a message. `everybody`: it could not have worked on any. `kind` names no message and no
        file.
        """
        if everybody:
            self._until = time.monotonic() + PAUSE
            self._complaints.say("machine", f"{reason}: messages wait until there is room again")
        else:
            self._complaints.say(kind, f"[{id}] waits: {reason}")

    def complain(self, kind: str, text: str) -> None:
        """Log a fault of the machine that stops no work."""
        self._complaints.say(kind, text)
