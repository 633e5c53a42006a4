"""Describe where one message is, for `queue show ID`, from the queue manager's answer and the scoreboard. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from enqueuer.ipc.frames import WhereAnswer
from filterlink.wire.frames import FilterState

__all__ = ["document"]


class ShownTask(Protocol):
    """What the scoreboard shows of a processor."""

    @property
    def state(self) -> str: ...
    @property
    def since(self) -> float: ...
    @property
    def message(self) -> int: ...
    @property
    def filter(self) -> str: ...


def document(found: WhereAnswer, id: int, tasks: Mapping[int, ShownTask], filters: Sequence[FilterState], now: float) -> dict[str, Any]:
    """Return the `now` of a message's document. `tasks`: each processor's task, by number. `now`: time.monotonic()."""
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
    """Return the state of the filter that the message waits for, and its usual time for a message."""
    if not name:
        return None
    state = next((each for each in filters if each.name == name), None)
    if state is None:
        return {"name": name, "state": None, "median_s": None, "p99_s": None, "last_error": None}
    return {"name": name, "state": state.state, "median_s": state.median_s, "p99_s": state.p99_s, "last_error": state.last_error}
