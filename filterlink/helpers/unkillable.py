"""Helpers that SIGKILL does not end, as the kernel holds them (state D): a disk or a server does not answer. How many there are, by filter.

A filter goes on without such a process, but only a few times: a program that always gets stuck must not fill the machine.
"""

from collections.abc import Callable

from filterlink.protocol.protocol import Event

__all__ = ["MOST", "NoUser", "add", "has_room", "of", "remove"]

MOST = 4
"""Processes of one filter. With so many a filter waits until one of them has ended."""

_processes: dict[str, dict[int, None]] = {}
"""For all runners of this process: those of one filter change with its settings."""


def has_room(filter: str) -> bool:
    return len(of(filter)) < MOST


def add(filter: str, pid: int) -> None:
    _processes.setdefault(filter, {})[pid] = None


def remove(filter: str, pid: int) -> None:
    """It has ended, and is reaped."""
    of_filter = _processes.get(filter, {})
    of_filter.pop(pid, None)
    if not of_filter:
        _processes.pop(filter, None)


def of(filter: str) -> tuple[int, ...]:
    """Their process ids, the oldest first."""
    return tuple(_processes.get(filter, ()))


class NoUser:
    """Hears of a helper that was given up."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    def events(self, events: list[Event]) -> None: ...
    def errors(self, data: bytes) -> None: ...
    def written(self, lines: list[tuple[bytes, int]]) -> None: ...
    def leaving(self) -> None: ...
    def deaf(self, how: str) -> None: ...
    def ended(self, status: int) -> None:  # noqa: ARG002 (the status of a process that none waits for)
        self._then()
