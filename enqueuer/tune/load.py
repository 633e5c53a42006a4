"""Find today's load: how much mail arrives now, from the log of the base directory or from a running engine."""

import contextlib
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from enqueuer.control import client
from enqueuer.log import history
from enqueuer.log.entries import LogQuery
from enqueuer.log.reading import LogFolder

__all__ = ["Load", "busiest_hour", "today"]

MOST_COUNTED = 400_000
"""Messages of one day that are counted, the last ones."""
DAYS = 2
"""Last days of the log that are read."""
RECEIVED = LogQuery(texts=("QUEUE([", "]) from <"))
HOUR = 3600.0
SHORTEST = 60.0
"""Seconds; over a shorter time a rate says nothing."""


class Load(NamedTuple):
    """Messages/s, and the source of the number."""

    rate: float
    source: str


def today(base: Path) -> Load | None:
    """Return the load of this base directory; None if nothing shows it."""
    log = LogFolder(base / "SystemLogs")
    with contextlib.suppress(OSError):
        for day in sorted({file.day for file in log.files()}, reverse=True)[:DAYS]:
            if rate := busiest_hour(_arrivals(log, day)):
                return Load(rate, f"the busiest hour in the log of {day}")
    with contextlib.suppress(client.NotRunning):
        document = client.ask(base, {"command": "status"})
        if document["uptime_s"] >= SHORTEST and document["totals"]["received"]:
            return Load(document["totals"]["received"] / document["uptime_s"], "the mean since the engine's start")
    return None


def busiest_hour(arrivals: Sequence[float]) -> float:
    """Return the messages/s in the busiest clock hour, as far as the log covers it; 0 if it covers less than a minute."""
    if not arrivals or (last := max(arrivals)) - (first := min(arrivals)) < SHORTEST:
        return 0.0
    counts: dict[int, int] = {}
    for at in arrivals:
        counts[int(at // HOUR)] = counts.get(int(at // HOUR), 0) + 1
    return max(count / max(SHORTEST, min((hour + 1) * HOUR, last) - max(hour * HOUR, first)) for hour, count in counts.items())


def _arrivals(log: LogFolder, day: str) -> Sequence[float]:
    """Return the times of the last messages of a day; none if the log cannot be read."""
    entries = log.entries(RECEIVED._replace(since=day, before=f"{day}~"))
    return deque(history.arrivals(entry.line for entry in entries), MOST_COUNTED)
