"""Run real code one disk call at a time: the model can stop it before each call and let other processes go first.

The code runs on a port that plays back the results so far, and stops at the first call without a result. So a position in the
code is its arguments and the answers of the disk. To find it again, the code runs once more. Equal positions are one object,
which is computed once.
"""

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, NamedTuple

from enqueuer.queue.directory.disk import CHUNK, DiskPort, Stamp
from enqueuer.queue.proof.simdisk import SimulatedDisk, stamp_of

__all__ = ["Call", "FailedCall", "Position", "perform"]

READS = frozenset({"read", "stamp", "names", "odd", "changes", "marked", "held"})


class Call(NamedTuple):
    """A disk call that is about to be made."""

    name: str
    args: tuple[Any, ...]

    @property
    def reads(self) -> bool:
        """Return whether it changes nothing."""
        return self.name in READS


class FailedCall(NamedTuple):
    """The result of a call that raised OSError."""

    errno: int


class Position:
    """Code that waits before its next disk call, or has ended."""

    def __init__(self, action: tuple[Any, ...], run: Callable[[DiskPort], object], results: tuple[Any, ...] = ()) -> None:
        self.action = action
        self._run = run
        self._results = results
        self._after: dict[Any, Position] = {}
        self.call: Call | None = None
        """The next call; None at the end."""
        self.value: Any = None
        """The return value, at the end."""
        try:
            self.value = run(_Playback(results))
        except _Stopped as stopped:
            self.call = stopped.call

    def after(self, result: Any) -> "Position":
        """Return the position of the code after the disk gives this result."""
        if result not in self._after:
            self._after[result] = Position(self.action, self._run, (*self._results, result))
        return self._after[result]


def perform(simdisk: SimulatedDisk, call: Call) -> Any:
    """Make a call, and return its result in a form that can be played back."""
    try:
        match call:
            case Call("read", (path, offset)):
                return b"".join(simdisk.chunks(path, offset))
            case Call("names", (folder,)):
                return tuple(simdisk.names(folder))
            case _:
                return getattr(simdisk, call.name)(*call.args)
    except OSError as error:
        return FailedCall(error.errno or 0)


class _Stopped(BaseException):
    """Stops the code. It is not an Exception: the code must not catch it, as it could not catch a SIGKILL."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.call = call


class _Playback:
    """A port that answers from a list, and stops the code where the list ends."""

    def __init__(self, results: tuple[Any, ...]) -> None:
        self._results = iter(results)

    def create(self, path: str, chunks: Iterable[bytes], *, new: bool = False) -> Stamp:
        """Make two calls: a process may die, and the machine stop, between the name and the data."""
        self._do("open_new" if new else "open", path)
        data = b"".join(chunks)
        self._do("write", path, data)
        return stamp_of(data)

    def patch(self, path: str, offset: int, data: bytes) -> None:
        self._do("patch", path, offset, data)

    def chunks(self, path: str, offset: int = 0, first: int = CHUNK) -> Generator[bytes, None, None]:
        data: bytes = self._do("read", path, offset)
        yield data[:first]
        if data[first:]:
            yield data[first:]

    def stamp(self, path: str) -> Stamp | None:
        found: Stamp | None = self._do("stamp", path)
        return found

    def changes(self, path: str) -> int:
        return int(self._do("changes", path))

    def stranger(self, path: str) -> int | None:  # noqa: ARG002 (there is one account only)
        return None

    def mark(self, path: str, number: int) -> Stamp:
        stamp: Stamp = self._do("mark", path, number)
        return stamp

    def marked(self, path: str) -> int:
        return int(self._do("marked", path))

    def rename(self, source: str, target: str) -> None:
        self._do("rename", source, target)

    def rename_new(self, source: str, target: str) -> None:
        self._do("rename_new", source, target)

    def link(self, source: str, target: str) -> None:
        self._do("link", source, target)

    def unlink(self, path: str) -> bool:
        return bool(self._do("unlink", path))

    def names(self, folder: str) -> list[str]:
        return list(self._do("names", folder))

    def odd(self, folder: str) -> list[str]:  # noqa: ARG002 (there are files only)
        return []

    def held(self, path: str) -> bool:
        return bool(self._do("held", path))

    def fsync(self, path: str) -> None:
        self._do("fsync", path)

    def fsync_all(self, paths: Sequence[str]) -> None:
        self._do("fsync_all", tuple(paths))

    def sync(self) -> None:
        self._do("sync")

    def _do(self, name: str, *args: Any) -> Any:
        for result in self._results:
            if isinstance(result, FailedCall):
                raise OSError(result.errno, os.strerror(result.errno), *args[:1])
            return result
        raise _Stopped(Call(name, args))
