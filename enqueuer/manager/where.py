"""Where one message is and what it waits for, as far as the schedule knows: half of the output of `queue show ID`. Pure.

supervisor/where.py adds the work of processors and filters.
"""

from enqueuer.ipc.frames import Seek, WhereAnswer
from enqueuer.manager.schedule import Schedule

__all__ = ["seen"]


def seen(asked: Seek, schedule: Schedule, attempts: int, now: float) -> WhereAnswer:
    """Return what the schedule knows of a message. `now` is time.monotonic()."""
    entry = schedule.entries.get(asked.id)
    if entry is None:
        return WhereAnswer(asked.token)
    aside = entry.state in ("parked", "deferred")
    offered = entry.until if entry.state == "deferred" else None
    return WhereAnswer(
        asked.token,
        entry.state,
        now - entry.since,
        now - (entry.aside if aside else entry.since),
        entry.filter if aside else "",
        entry.reason,
        None if offered is None else max(0.0, offered - now),
        entry.large,
        schedule.older(entry) if entry.state == "waiting" else 0,
        entry.suspect,
        attempts,
        entry.notes,
    )
