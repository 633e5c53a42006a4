"""The config file of a running engine: notice its changes, take it whole or not at all, number its revisions.

A file that another process still writes must not be taken: rules that are not written yet would scan nothing. So a file
that is open for writing is never taken. A file that lacks a rule or a filter of the active revision is taken by itself
only after a longer time without a change.
"""

import contextlib
import errno
import fcntl
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from enqueuer import basedir, filterlines, mounts
from enqueuer.config import schema as configs
from enqueuer.config.differences import differences
from enqueuer.config.doors import Door
from enqueuer.ipc.child import config_file, lists_file
from enqueuer.ipc.doorlisteners import ListenerError
from enqueuer.policy.namedlists import MAX_BYTES
from enqueuer.queue.message.timestamps import rfc3339
from enqueuer.system import listfiles, trust

__all__ = ["FILE", "BeingWritten", "ConfigFile", "make_modules"]

FILE = "Settings/enqueuer.toml"
RESTED = 0.2
"""Seconds without a change after which a file counts as complete, if a lease shows that no process has it open for writing."""
UNLEASED = 1.0
"""The same where the engine gets no lease: another account owns the file, or its filesystem has no leases."""
MISSING = 5.0
"""The same where a rule or a filter of the active revision is missing: a writer may add it in a moment."""
START_PATIENCE = 5.0
"""Seconds that the start of an engine waits for a file that is open for writing."""
LINES_WITHIN = 2.0
"""Seconds that the check of changed command lines of our own filters may take; one takes 0.2 s. The supervisor does nothing else in that
time.
"""
TRY_AGAIN = 5.0
"""Seconds after which a file is tried again that was refused because of the disk, not because of its content."""

Seen = tuple[tuple[int, int, int], listfiles.ListState]


class BeingWritten(configs.ConfigError):
    """Another process has the file open for writing."""


class Unsafe(configs.ConfigError):
    """Other accounts may write the file."""


class ConfigFile:
    """The config file, its active revision, and the reason why a newer one is not active. Works in the base directory."""

    def __init__(self, *, allow_writable: bool = False) -> None:
        """Read the file for a start. Raises ConfigError. `allow_writable`: other accounts may be able to write it."""
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # sent when a writer waits for our lease; its default action ends the process
        self.path = str(Path(FILE).absolute())
        self.revision = 0
        self.error: str | None = None
        """Why the file was refused."""
        self.waiting: str | None = None
        """Why a changed file has not been taken yet."""
        self.difference = ""
        """What differs between the active revision and the one before, for the log."""
        self._allow_writable = allow_writable
        self.prepare_doors: Callable[[Sequence[Door]], None] = lambda _: None
        """Binds the listeners of a new revision. Raises ListenerError."""
        self._seen = self._look()
        self._changing: tuple[Seen | None, float] | None = None
        self._again: float | None = None
        self._raw, self.config = _load_patiently()
        self._expect_safe()
        self.loaded_at = rfc3339(time.time())

    def keep(self) -> None:
        """Write the first revision for the processes that are forked next. Needs the locks. Raises OSError."""
        for old in (*Path("Run").glob("config.*"), *Path("Run").glob("lists.*")):
            old.unlink()
        self._store(self._raw, self.config, 1)
        self.revision = 1

    def poll(self, now: float) -> bool:
        """Return whether the file should be taken: it has changed, and is complete. `now` is monotonic."""
        found = self._look()
        if found == self._seen:
            self._changing = self.waiting = None
            return self._again is not None and now >= self._again
        if self._changing is None or self._changing[0] != found:
            self._changing = (found, now)
            return False
        rested = now - self._changing[1]
        self.waiting = _unfinished(self.config, rested) if rested >= RESTED else None
        return rested >= RESTED and self.waiting is None

    def take(self) -> bool:
        """Take the file as it is now. Return True if it made a new revision.

        On False, `error` or `waiting` has the reason; both are None if nothing differs. What the new revision needs on the
        disk is made first, so a revision becomes active whole or not at all.
        """
        before = self._seen
        self._seen = self._look()
        self._changing = None
        self.waiting = self._again = None
        try:
            raw, new, _ = _load()
            self._expect_safe()
            if fixed := configs.changes(self.config, new):
                raise configs.ConfigError(f"{FILE}: {', '.join(fixed)} cannot change while the engine runs: restart the engine")
            if new != self.config:
                filterlines.expect_parsed(new, FILE, LINES_WITHIN, self.config.filters)
                make_modules(new)
                self._store(raw, new, self.revision + 1)
                self.prepare_doors(new.doors)  # last: it changes the listeners, and nothing may fail after that
        except BeingWritten as error:
            self._seen = before
            self.waiting = str(error)
            return False
        except configs.ConfigError as error:
            self.error = str(error)
            if isinstance(error, Unsafe):  # a chmod changes nothing that poll() checks
                self._again = time.monotonic() + TRY_AGAIN
            return False
        except (OSError, basedir.BaseDirError, ListenerError) as error:
            why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
            self.error = f"{FILE} cannot become active: {why}; the engine tries it again"
            self._again = time.monotonic() + TRY_AGAIN
            return False
        self.error = None
        self.loaded_at = rfc3339(time.time())
        if new == self.config:
            return False
        self.difference = differences(self.config, new)
        self.config = new
        self._raw = raw
        self.revision += 1
        return True

    def keep_again(self) -> None:
        """Write the active revision again if a cleaner has removed it. Raises OSError."""
        if not (os.path.exists(config_file(self.revision)) and os.path.exists(lists_file(self.revision))):
            self._store(self._raw, self.config, self.revision)

    def _expect_safe(self) -> None:
        """Raise Unsafe if another account may write the file: that account could run programs as the engine."""
        if self._allow_writable:
            return
        try:
            problem = trust.config(Path(self.path), os.geteuid())
        except OSError as error:
            raise Unsafe(f"{FILE}: {error.strerror}: the engine cannot read who owns it") from None
        if problem:
            raise Unsafe(f"{problem} (or start the engine with --allow-writable-config)")

    def _store(self, raw: bytes, config: configs.Config, revision: int) -> None:
        """Store the checked bytes and lists in Run/, where every process reads them: the files themselves may change again.

        Only the engine's account can read the copies, because the file may contain secrets.
        """
        _write_private(lists_file(revision), msgspec.msgpack.encode(config.lists))
        _write_private(config_file(revision), raw)
        for old in (lists_file(revision - 2), config_file(revision - 2)):
            with contextlib.suppress(OSError):
                Path(old).unlink()

    def _look(self) -> Seen | None:
        try:
            status = os.stat(FILE)
        except OSError:
            return None
        return (status.st_mtime_ns, status.st_size, status.st_ino), listfiles.look()


def _write_private(name: str, data: bytes) -> None:
    path = Path(name)
    try:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        path.touch(0o600, exist_ok=False)
        path.write_bytes(data)
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def make_modules(config: configs.Config) -> None:
    """Make the module queues that the routes name, and check that messages can move to them. Raises OSError and BaseDirError."""
    names = config.modules
    basedir.make_modules(Path(), names)
    mounts.expect_renames(Path(), names)


def _load() -> tuple[bytes, configs.Config, bool]:
    """Read the file and the lists: return its bytes, the configuration, and whether leases proved that no process had one of them open
    for writing. Raises ConfigError.
    """
    raw, leased = _read(FILE)
    all_leased = [leased]

    def content(path: str) -> bytes:
        data, leased = _read(path, MAX_BYTES)
        all_leased.append(leased)
        return data

    try:
        lists = listfiles.read(content=content)
    except ValueError as error:
        raise configs.ConfigError(str(error)) from None
    except OSError as error:
        raise configs.ConfigError(f"{error.filename}: {error.strerror}: the engine needs the lists") from None
    return raw, configs.load(raw, FILE, lists), all(all_leased)


def _load_patiently() -> tuple[bytes, configs.Config]:
    """Read the file for a start; wait while it is open for writing. Raises ConfigError."""
    until = time.monotonic() + START_PATIENCE
    while True:
        try:
            raw, config, _ = _load()
            return raw, config
        except BeingWritten:
            if time.monotonic() >= until:
                raise
        time.sleep(0.05)


def _unfinished(old: configs.Config, rested: float) -> str | None:
    """Return why a changed file should not be taken yet, or None. take() reports all other errors in it."""
    try:
        _, new, leased = _load()
    except BeingWritten as error:
        return str(error)
    except configs.ConfigError:
        return None
    if not leased and rested < UNLEASED:
        return f"{FILE} was changed a moment ago"
    if rested < MISSING and (missing := ", ".join(_missing(old, new))):
        return f"{FILE}: {missing} is missing: the file is taken after {MISSING:.0f} s without a change, or at once with: enqueuer reload"
    return None


def _missing(old: configs.Config, new: configs.Config) -> Iterator[str]:
    yield from (f"list #{name}" for name in old.lists if name not in new.lists)
    for kind, was, now in (("filter", old.filters, new.filters), ("rule", old.rules, new.rules)):
        names = {each.name for each in now}
        yield from (f'{kind} "{each.name}"' for each in was if each.name not in names)


def _read(path: str, most: int = configs.MAX_FILE) -> tuple[bytes, bool]:
    """Return a file's bytes, and whether a lease proved that no process had it open for writing. Raises ConfigError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # without O_NONBLOCK a FIFO of this name would block us
    except FileNotFoundError:
        default = ", or let `enqueuer init` write the default one" if path == FILE else ""
        raise configs.ConfigError(f"{path} is missing: put it back{default}") from None
    except BlockingIOError:  # the owner of the file holds a write lease
        raise _being_written(path) from None
    except OSError as error:
        raise configs.ConfigError(f"{path}: {error.strerror}: the engine needs this file") from None
    try:
        return _read_open(fd, path, most)
    except OSError as error:
        raise configs.ConfigError(f"{path}: {error.strerror}: the engine needs this file") from None
    finally:
        os.close(fd)


def _read_open(fd: int, path: str, most: int) -> tuple[bytes, bool]:
    before = os.fstat(fd)
    if not stat.S_ISREG(before.st_mode):
        raise configs.ConfigError(f"{path} is not a regular file: replace it with one")
    leased = _lease(fd, path)
    data = b""
    while len(data) <= most and (more := os.read(fd, most)):
        data += more
    after = os.fstat(fd)
    if (leased and fcntl.fcntl(fd, fcntl.F_GETLEASE) != fcntl.F_RDLCK) or (after.st_size, after.st_mtime_ns) != (
        before.st_size,
        before.st_mtime_ns,
    ):
        raise _being_written(path)
    return data, leased


def _lease(fd: int, path: str) -> bool:
    """Take a read lease. Return False if this file allows none. Raises BeingWritten."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            raise _being_written(path) from None
        return False
    return True


def _being_written(path: str) -> BeingWritten:
    return BeingWritten(f"{path} is open for writing in another process: the engine takes it when that process closes it")
