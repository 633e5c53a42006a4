"""Where one message is, what it waits for, and how long that takes as a rule: what `queue show ID` asks of a running engine. Pure.

The queue manager says what its schedule knows (`seen`), the supervisor adds what the board shows of processors and filters
(`document`). Nothing here asks or changes anything.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from enqueuer.ipc.frames import Seek, Seen
from enqueuer.manager.schedule import Schedule
from filterlink.wire.frames import FilterState

__all__ = ["document", "seen"]


class Task(Protocol):
    """What the board shows of a processor."""

    @property
    def state(self) -> str: ...
    @property
    def since(self) -> float: ...
    @property
    def message(self) -> int: ...
    @property
    def filter(self) -> str: ...


def seen(asked: Seek, schedule: Schedule, attempts: int, now: float) -> Seen:
    """What the schedule knows of a message; `now` is time.monotonic()."""
    entry = schedule.entries.get(asked.id)
    if entry is None:
        return Seen(asked.token)
    aside = entry.state in ("parked", "held")
    offered = entry.until if entry.state == "held" else None
    return Seen(
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


def document(found: Seen, id: int, tasks: Mapping[int, Task], filters: Sequence[FilterState], now: float) -> dict[str, Any]:
    """The `now` of a message's document. `tasks`: what each processor does, by its number; `now` is time.monotonic()."""
    number, task = next(((number, task) for number, task in tasks.items() if task.message == id), (None, None))
    if found.state != "active":
        number = task = None
    name = found.filter or (task.filter if task is not None and task.state == "filter" else "")
    since = found.since_s if task is None else max(0.0, now - task.since)
    return {
        "state": found.state or None,
        "here_s": round(found.here_s, 1),
        "since_s": round(since, 1),
        "processor": number,
        "doing": task.state if task is not None else None,
        "filter": _filter(name, filters),
        "reason": found.reason or None,
        "offered_in_s": None if found.offered_s is None else round(found.offered_s, 1),
        "lane": "large" if found.large else "small",
        "older": found.older,
        "alone": found.suspect,
        "attempts": found.attempts,
        "log": list(found.notes),
    }


def _filter(name: str, filters: Sequence[FilterState]) -> dict[str, Any] | None:
    """How the filter is that the message waits for, and what it takes as a rule."""
    if not name:
        return None
    state = next((each for each in filters if each.name == name), None)
    if state is None:
        return {"name": name, "state": None, "median_s": None, "p99_s": None, "last_error": None}
    return {"name": name, "state": state.state, "median_s": state.median_s, "p99_s": state.p99_s, "last_error": state.last_error}
