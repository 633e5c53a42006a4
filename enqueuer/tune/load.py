"""Find today's load: how much mail arrives now, from the log of the base directory or from a running engine."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from enqueuer.control import client
from enqueuer.log import history
from enqueuer.system.openfile import open_plain

__all__ = ["Load", "busiest_hour", "today"]

MOST_READ = 64 << 20
"""Bytes of one log that are read, from its end; about 400,000 messages."""
LOGS = 2
HOUR = 3600.0
SHORTEST = 60.0
"""Seconds; over a shorter time a rate says nothing."""


class Load(NamedTuple):
    """Messages/s, and the source of the number."""

    rate: float
    source: str


def today(base: Path) -> Load | None:
    """Return the load of this base directory; None if nothing shows it."""
    for path in sorted((base / "SystemLogs").glob("*.log"), reverse=True)[:LOGS]:
        if rate := busiest_hour(history.arrivals(_tail(path))):
            return Load(rate, f"the busiest hour in SystemLogs/{path.name}")
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


def _tail(path: Path) -> list[str]:
    """Return the last lines of a log; none if it cannot be read."""
    try:
        with open_plain(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - MOST_READ))
            return file.read(MOST_READ).decode(errors="replace").splitlines()
    except OSError:
        return []
