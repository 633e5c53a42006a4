"""Pauses of the queue manager: it gives out no work while the machine has no room for any message, and takes no drop at a limit."""

import logging
import time

from enqueuer.config.schema import Config
from enqueuer.doors.admission import PAUSE, disk_full
from filterlink.log.complaints import Complaints

__all__ = ["IntakePause", "Machine"]


class Machine:
    """Decides whether work may be given out: not for a moment after a processor found that the machine has no room for any message."""

    def __init__(self, log: logging.Logger) -> None:
        self._complaints = Complaints(log, logging.ERROR)
        self._until = 0.0
        self._reason = ""

    def reason(self, now: float) -> str | None:
        """Return why no work is given out; None: work is given out."""
        return self._reason if now < self._until + PAUSE else None

    def pause(self, now: float) -> float:
        """Return the seconds until work may be given out."""
        return max(0.0, self._until - now)

    def trouble(self, kind: str, reason: str, id: int, *, everybody: bool) -> None:
        """Log that a processor could not work on a message. `everybody`: it could not have worked on any. `kind` names no message and no
        file.
        """
        if everybody:
            self._until = time.monotonic() + PAUSE
            self._reason = f"{reason}: messages wait until there is room again"
            self._complaints.say("machine", self._reason)
        else:
            self._complaints.say(kind, f"[{id}] waits: {reason}")

    def complain(self, kind: str, text: str) -> None:
        """Log a fault of the machine that stops no work."""
        self._complaints.say(kind, text)


class IntakePause:
    """Knows why no drop is taken. It looks at the disk once a second."""

    def __init__(self) -> None:
        self.unreadable = ""
        """Why the drop folder cannot be read; "" = the last listing could read it."""
        self._short = ""
        self._short_until = 0.0

    def why(self, now: float, queued: int, config: Config) -> str | None:
        """Return the reason in one line; None: drops are taken. `queued`: messages in the queue."""
        return self.no_room(now, queued, config) or self.unreadable or None

    def no_room(self, now: float, queued: int, config: Config) -> str:
        """Return which limit is reached; "" = the queue may take one more message."""
        limit = config.enqueuer.queue_limit
        if queued >= limit:
            return f"queue_limit = {limit} messages reached: drops stay where they are until some have left"
        if now >= self._short_until:
            short = disk_full(config.spool.min_free)
            self._short = f"{short}: drops stay where they are" if short else ""
            self._short_until = now + PAUSE
        return self._short

    def failed(self, now: float, error: OSError) -> str:
        """Note that a drop could not be taken because the machine has no room. Return the reason."""
        self._short = f"no drop can be taken: {error.strerror}; drops stay where they are"
        self._short_until = now + PAUSE
        return self._short
