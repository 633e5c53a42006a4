"""The simulated disk: the Disk port in memory, a filesystem that keeps the states that a power cut may leave.

It promises what a journaled ext4 or an xfs does, and nothing more. Names change one after the other, and a cut keeps any prefix
of the changes since the last sync. The data of a file that was written since is broken or whole, in every combination. A durable
file that was patched since is the old one or the new one: a patch changes a few bytes of one block. fsync makes one file's data
durable, and all names up to now. After a failed sync the file's data is never durable again, even if a later sync succeeds (Linux
forgets which pages it could not write). All folders exist. No clock, no real file.
"""

import errno
import itertools
import os
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from enqueuer.queue.directory.disk import CHUNK, Stamp

__all__ = ["EMPTY", "File", "SimulatedDisk", "State", "broken", "stamp_of"]

Care = Literal["durable", "written", "lost"]
"""durable: survives a cut. written: since the last sync. lost: a sync failed, so that later ones cannot be trusted."""
Change = tuple[tuple[str, int | None], ...]
"""The effect of one call on the names: each with its file's number, None if it was removed."""


class File(NamedTuple):
    data: bytes
    care: Care
    changes: int = 0
    """How often its writer changed it after it was dropped."""
    mark: int = -1
    old: bytes | None = None
    """Its durable data, if it was patched since the last sync."""


class State(NamedTuple):
    """The whole state of a simulated disk as a value: equal states have equal futures."""

    durable: tuple[tuple[str, int], ...]
    """The names that survive every cut, sorted."""
    log: tuple[Change, ...]
    """The changes since then. A cut keeps any prefix."""
    files: tuple[tuple[int, File], ...]
    locks: frozenset[str] = frozenset()
    """The paths of lock files that a living process holds. A cut ends all processes."""

    def names(self) -> dict[str, int]:
        found = dict(self.durable)
        for change in self.log:
            _apply(found, change)
        return found

    def read(self) -> dict[str, bytes]:
        """Return every name with its content."""
        files = dict(self.files)
        return {name: files[number].data for name, number in self.names().items()}

    def cuts(self) -> Iterator["State"]:
        """Return every state that a power cut may leave now."""
        names = dict(self.durable)
        for change in ((), *self.log):
            _apply(names, change)
            yield from self._broken(names)

    def _broken(self, names: dict[str, int]) -> Iterator["State"]:
        """Return these names, with the files that are not durable broken or whole in every combination."""
        there = [(number, file) for number, file in self.files if number in names.values()]
        choices = [_left(file) for _, file in there]
        for data in itertools.product(*choices):
            files = tuple(
                (number, file._replace(data=each, care="durable", old=None)) for (number, file), each in zip(there, data, strict=True)
            )
            yield State(tuple(sorted(names.items())), (), files)


EMPTY = State((), (), ())


def broken(data: bytes) -> bytes:
    """Return what a cut makes of a file that was not synced: the length is right, half of the data is missing."""
    return data[: len(data) // 2] + bytes(len(data) - len(data) // 2)


def stamp_of(data: bytes) -> Stamp:
    """Return a stamp: a number for the contents stands for the time, because there is no clock."""
    return zlib.crc32(data), len(data)


class SimulatedDisk:
    """A filesystem in memory, made from a state; `state` is its present one."""

    def __init__(self, state: State = EMPTY) -> None:
        self._durable = state.durable
        self._log = state.log
        self._files = dict(state.files)
        self._names = state.names()
        self._locks = state.locks

    @property
    def state(self) -> State:
        used = {number for _, number in self._durable} | {n for change in self._log for _, n in change if n is not None}
        return State(self._durable, self._log, tuple((n, self._files[n]) for n in sorted(self._files) if n in used), self._locks)

    def create(self, path: str, chunks: Iterable[bytes], *, new: bool = False) -> Stamp:
        self.open_new(path) if new else self.open(path)
        data = b"".join(chunks)
        self.write(path, data)
        return stamp_of(data)

    def open(self, path: str) -> None:
        """Do the first half of create: make an empty file. An existing file loses its content, under all of its names."""
        self._put(path, b"") if path in self._names else self._change((path, self._new(File(b"", "written"))))

    def open_new(self, path: str) -> None:
        """Do the same for a name that must be new."""
        if path in self._names:
            raise _error(errno.EEXIST, path)
        self.open(path)

    def write(self, path: str, data: bytes) -> None:
        """Do the second half of create."""
        self._put(path, data)

    def patch(self, path: str, offset: int, data: bytes) -> None:
        file = self._file(path)
        text = file.data[:offset] + data + file.data[offset + len(data) :]
        old = file.data if file.care == "durable" else file.old
        self._files[self._names[path]] = file._replace(data=text, care="lost" if file.care == "lost" else "written", mark=-1, old=old)

    def chunks(self, path: str, offset: int = 0, first: int = CHUNK) -> Generator[bytes, None, None]:
        data = self._file(path).data[offset:]
        yield data[:first]
        for start in range(first, len(data), CHUNK):
            yield data[start : start + CHUNK]

    def stamp(self, path: str) -> Stamp | None:
        return stamp_of(self._file(path).data) if path in self._names else None

    def changes(self, path: str) -> int:
        return self._file(path).changes

    def stranger(self, path: str) -> int | None:
        self._file(path)
        return None

    def mark(self, path: str, number: int) -> Stamp:
        file = self._file(path)
        self._files[self._names[path]] = file._replace(mark=number)
        return stamp_of(file.data)

    def marked(self, path: str) -> int:
        return self._file(path).mark

    def rename(self, source: str, target: str) -> None:
        number = self._number(source)
        if self._names.get(target) != number:  # two names of one file: POSIX keeps both
            self._change((source, None), (target, number))

    def rename_new(self, source: str, target: str) -> None:
        self._number(source)
        if target in self._names:
            raise _error(errno.EEXIST, target)
        self.rename(source, target)

    def link(self, source: str, target: str) -> None:
        number = self._number(source)
        self.unlink(target)
        self._change((target, number))

    def unlink(self, path: str) -> bool:
        if path not in self._names:
            return False
        self._change((path, None))
        return True

    def names(self, folder: str) -> list[str]:
        return sorted(name.rpartition("/")[2] for name in self._names if name.rpartition("/")[0] == folder)

    def odd(self, folder: str) -> list[str]:  # noqa: ARG002 (there are files only)
        return []

    def held(self, path: str) -> bool:
        return path in self._locks

    def hold(self, path: str, *, alive: bool = True) -> None:
        """Have a process take a lock. `alive` False: the process has ended."""
        self._locks = self._locks | {path} if alive else self._locks - {path}

    def fsync(self, path: str) -> None:
        self._settle({self._names[path]} if path in self._names else set())

    def fsync_all(self, paths: Sequence[str]) -> None:
        self._settle({self._number(path) for path in paths})

    def sync(self) -> None:
        self._settle(set(self._files))

    def fail_sync(self) -> None:
        """Fail a sync: files written since the last one are lost at the next cut, but can be read until then."""
        self._files = {n: f if f.care == "durable" else f._replace(care="lost") for n, f in self._files.items()}
        raise _error(errno.EIO, "sync")

    def take(self, path: str, target: str) -> None:
        """Have a consumer read a file, keep its content as `target` and unlink it, as one change."""
        kept = self._new(File(self._file(path).data, "durable"))
        self._change((path, None), (target, kept))

    def append(self, path: str, data: bytes) -> None:
        """Have the writer of a drop add to it, durably, under its present name."""
        file = self._file(path)
        self._files[self._names[path]] = File(file.data + data, "durable", file.changes + 1)

    def note(self, path: str) -> None:
        """Add an empty file to the last change: a mark that exists if and only if that change was made."""
        addition = ((path, self._new(File(b"", "durable"))),)
        self._log = (*self._log[:-1], self._log[-1] + addition)
        _apply(self._names, addition)

    def _settle(self, numbers: set[int]) -> None:
        self._durable = tuple(sorted(self._names.items()))
        self._log = ()
        for number in numbers:
            if (file := self._files[number]).care == "written":
                self._files[number] = file._replace(care="durable", old=None)

    def _number(self, path: str) -> int:
        if path not in self._names:
            raise _error(errno.ENOENT, path)
        return self._names[path]

    def _file(self, path: str) -> File:
        return self._files[self._number(path)]

    def _put(self, path: str, data: bytes) -> None:
        self._files[self._number(path)] = File(data, "written")

    def _new(self, file: File) -> int:
        number = next(n for n in itertools.count() if n not in self._files)
        self._files[number] = file
        return number

    def _change(self, *change: tuple[str, int | None]) -> None:
        self._log += (change,)
        _apply(self._names, change)


def _left(file: File) -> tuple[bytes, ...]:
    """Return what a cut may leave of a file."""
    if file.care == "durable" or file.data == file.old:
        return (file.data,)
    return file.data, broken(file.data) if file.old is None else file.old


def _apply(names: dict[str, int], change: Change) -> None:
    for name, number in change:
        if number is None:
            names.pop(name, None)
        else:
            names[name] = number


def _error(code: int, path: str) -> OSError:
    return OSError(code, os.strerror(code), path)
