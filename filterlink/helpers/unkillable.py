"""Count the helpers of each filter that SIGKILL does not end: the kernel holds them (state D), as a disk or a server does not answer.

A filter goes on without such a process, but only a few times: a program that always gets stuck must not fill the machine.
"""

from collections.abc import Callable

from filterlink.protocol.protocol import Event

__all__ = ["MOST", "NoUser", "add", "has_room", "of", "remove"]

MOST = 4
"""Processes of one filter. With this many, a filter waits until one of them has ended."""

_processes: dict[str, dict[int, None]] = {}
"""The pids by filter, for all runners of this process: a filter's runners change with its settings."""


def has_room(filter: str) -> bool:
    return len(of(filter)) < MOST


def add(filter: str, pid: int) -> None:
    _processes.setdefault(filter, {})[pid] = None


def remove(filter: str, pid: int) -> None:
    """Remove a process that has ended and was reaped."""
    of_filter = _processes.get(filter, {})
    of_filter.pop(pid, None)
    if not of_filter:
        _processes.pop(filter, None)


def of(filter: str) -> tuple[int, ...]:
    """Return the pids of a filter's unkillable helpers, the oldest first."""
    return tuple(_processes.get(filter, ()))


class NoUser:
    """The owner of a helper that was given up: it ignores all but the end."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    def events(self, events: list[Event]) -> None: ...
    def errors(self, data: bytes) -> None: ...
    def written(self, lines: list[tuple[bytes, int]]) -> None: ...
    def leaving(self) -> None: ...
    def deaf(self, how: str) -> None: ...
    def ended(self, status: int) -> None:  # noqa: ARG002 (the protocol User has it)
        self._then()
