"""Show the doors in `status`, with two lines a door. This module only formats: it asks no engine."""

from collections.abc import Iterator
from typing import Any

from enqueuer.cli._common import printable
from filterlink.config.units import show_seconds

__all__ = ["door_lines"]

COUNTS = {
    "accepted": "accepted",
    "refused": "rejected",
    "tempfailed": "deferred",
    "discarded": "discarded",
    "quarantined": "on hold",
}
"""Keys of the document -> the words for the answers."""


def door_lines(found: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield two lines for each door, each with its label: the open sessions, then the answers."""
    for one in found:
        oldest = "" if one["oldest_s"] is None else f", the oldest for {show_seconds(one['oldest_s'])}"
        sessions = f"{one['sessions']} {'session' if one['sessions'] == 1 else 'sessions'}{oldest}"
        away = f", {one['turned_away']} turned away" if one["turned_away"] else ""
        yield f"Door {printable(one['name'])}", f"{one['kind']} on {printable(one['listen'])}: {sessions}{away}"
        counts = ", ".join(f"{one[key]} {word}" for key, word in COUNTS.items() if one[key])
        left = f"; {one['cancelled']} cancelled by the client" if one["cancelled"] else ""
        yield "", f"answered {one['asked']}{': ' if counts else ''}{counts}{left}"
