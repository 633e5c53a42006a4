"""Prepare mail for a trial: messages are written in advance, so that feeding one costs only a rename."""

import contextlib
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.layout import OUTPUTS

__all__ = ["Pile", "sweep_out"]

MOST = 20_000
"""The most files that are prepared."""
MOST_BYTES = 512 << 20


class Pile:
    """Copies of the messages, which take turns. Each drop has a name of its own."""

    def __init__(self, base: Path, messages: Sequence[bytes], suffix: str) -> None:
        """Raises ValueError without a message."""
        if not messages:
            raise ValueError("no message to feed")
        self._messages = messages
        self._suffix = suffix
        self._ready = base.parent / "ready"
        self._submitted = base / "Submitted"
        self._ready.mkdir(exist_ok=True)
        self._written = itertools.count()
        self._fed = 0
        self._count = 0
        mean = max(1, sum(map(len, messages)) // len(messages))
        self._most = max(1, min(MOST, MOST_BYTES // mean))

    def prepare(self, count: int) -> None:
        """Prepare this many files, within the limits, and sync them: their writing must not be measured."""
        first = self._count
        for _ in range(min(count, self._most) - (self._count - self._fed)):
            self._write()
        with contextlib.closing(Disk()) as disk:
            disk.fsync_all([str(self._ready / str(number)) for number in range(first, self._count)])

    def feed(self, count: int = 1) -> list[str]:
        """Drop this many files; missing ones are written now. Return their names."""
        names = []
        for _ in range(count):
            if self._fed == self._count:
                self._write()
            names.append(name := f"{self._fed}{self._suffix}")
            os.rename(self._ready / str(self._fed), self._submitted / name)
            self._fed += 1
        return names

    def _write(self) -> None:
        number = next(self._written)
        (self._ready / str(number)).write_bytes(self._messages[number % len(self._messages)])
        self._count = number + 1


def sweep_out(base: Path) -> None:
    """Remove the results of the trial, so that the disk does not fill."""
    for path in _outcomes(base):
        path.unlink(missing_ok=True)


def _outcomes(base: Path) -> Iterator[Path]:
    for pattern in itertools.chain.from_iterable(OUTPUTS.values()):
        yield from base.glob(pattern)
