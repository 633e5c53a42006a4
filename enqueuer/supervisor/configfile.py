"""The config file of a running engine: seen when it changes, taken whole or not at all, numbered by revisions.

A file that another process writes must not be taken half: rules that are not written yet scan nothing. So a file that is
open for writing is never taken. A file in which a rule or a filter is missing is taken by itself only after a rest.
"""

import contextlib
import errno
import fcntl
import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from enqueuer import basedir, mounts
from enqueuer.config import schema as configs
from enqueuer.ipc.child import config_file
from enqueuer.policy import routes
from enqueuer.queue.message.timestamps import rfc3339
from enqueuer.system import trust

__all__ = ["FILE", "BeingWritten", "ConfigFile", "make_modules"]

FILE = "Settings/enqueuer.toml"
RESTED = 0.2
"""Seconds without a change after which a file counts as written, where a lease shows that no process has it open for writing."""
UNLEASED = 1.0
"""The same where the engine gets no lease: the file belongs to another account, or its filesystem has none."""
MISSING = 5.0
"""The same where a rule or a filter of the configuration in force is missing: a writer may add it in a moment."""
START_PATIENCE = 5.0
"""Seconds that the start of an engine waits for a file that is open for writing."""
TRY_AGAIN = 5.0
"""Seconds after which a file is tried again that was refused for the state of the disk, not for what it says."""

Seen = tuple[int, int, int]


class BeingWritten(configs.ConfigError):
    """Another process has the file open for writing."""


class Unsafe(configs.ConfigError):
    """Other accounts may write it."""


class ConfigFile:
    """The file, the revision of it that is in force, and why a newer one is not. Works in the base directory."""

    def __init__(self, *, allow_writable: bool = False) -> None:
        """Take the file for a start. Raises ConfigError. `allow_writable`: other accounts may write it."""
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # the kernel's word for "a writer waits for your lease"; its default ends us
        self.path = str(Path(FILE).absolute())
        self.revision = 0
        self.error: str | None = None
        """Why the file was refused."""
        self.waiting: str | None = None
        """Why a changed file is not taken yet."""
        self._allow_writable = allow_writable
        self._seen = self._look()
        self._changing: tuple[Seen | None, float] | None = None
        self._again: float | None = None
        self._raw = _read_patiently()
        self._expect_safe()
        self.config = configs.load(self._raw, FILE)
        self.loaded_at = rfc3339(time.time())

    def keep(self) -> None:
        """Write the first revision for the processes that are forked now. Needs the locks. Raises OSError."""
        for old in Path("Run").glob("config.*"):
            old.unlink()
        self._store(self._raw, 1)
        self.revision = 1

    def poll(self, now: float) -> bool:
        """Whether the file is to be taken: it has changed, and is written to its end. `now` is monotonic."""
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
        """Take the file as it is now; True when an revision came of it.

        On False `error` says why, or `waiting`, or nothing differs. What the new revision needs on the disk is made before
        it counts: an revision is in force whole, or not at all.
        """
        before = self._seen
        self._seen = self._look()
        self._changing = None
        self.waiting = self._again = None
        try:
            raw, _ = _read()
            self._expect_safe()
            new = configs.load(raw, FILE)
            if fixed := configs.changes(self.config, new):
                raise configs.ConfigError(f"{FILE}: {', '.join(fixed)} cannot be changed while the engine runs: restart it")
            if new != self.config:
                make_modules(new)
                self._store(raw, self.revision + 1)
        except BeingWritten as error:
            self._seen = before
            self.waiting = str(error)
            return False
        except configs.ConfigError as error:
            self.error = str(error)
            if isinstance(error, Unsafe):  # a chmod changes nothing that poll() looks at
                self._again = time.monotonic() + TRY_AGAIN
            return False
        except (OSError, basedir.BaseDirError) as error:
            why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
            self.error = f"{FILE} cannot be put in force: {why}; it is tried again"
            self._again = time.monotonic() + TRY_AGAIN
            return False
        self.error = None
        self.loaded_at = rfc3339(time.time())
        if new == self.config:
            return False
        self.config = new
        self._raw = raw
        self.revision += 1
        return True

    def keep_again(self) -> None:
        """Write the revision in force where a cleaner has removed it. Raises OSError."""
        if not os.path.exists(config_file(self.revision)):
            self._store(self._raw, self.revision)

    def _expect_safe(self) -> None:
        """An account that may write the file runs programs as the engine. Raises Unsafe."""
        if self._allow_writable:
            return
        try:
            problem = trust.config(Path(self.path), os.geteuid())
        except OSError as error:
            raise Unsafe(f"{FILE}: {error.strerror}: its owner cannot be looked at") from None
        if problem:
            raise Unsafe(f"{problem} (or start the engine with --allow-writable-config)")

    def _store(self, raw: bytes, revision: int) -> None:
        """Keep what was checked, where every process reads it: the file itself may change again.

        The engine's account alone reads the copy: the file may hold what no other account should read.
        """
        path = Path(config_file(revision))
        try:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            path.touch(0o600, exist_ok=False)
            path.write_bytes(raw)
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        with contextlib.suppress(OSError):
            Path(config_file(revision - 2)).unlink()

    def _look(self) -> Seen | None:
        try:
            status = os.stat(FILE)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def make_modules(config: configs.Config) -> None:
    """Make the module queues that the routes name, and see that messages can move to them. Raises OSError and BaseDirError."""
    names = routes.compile(config.routes).modules
    basedir.make_modules(Path(), names)
    mounts.expect_renames(Path(), names)


def _read_patiently() -> bytes:
    """Read the file for a start. Raises ConfigError."""
    until = time.monotonic() + START_PATIENCE
    while True:
        try:
            return _read()[0]
        except BeingWritten:
            if time.monotonic() >= until:
                raise
        time.sleep(0.05)


def _unfinished(old: configs.Config, rested: float) -> str | None:
    """Why a changed file should not be taken yet. What is wrong with it otherwise, take() says."""
    try:
        raw, leased = _read()
        new = configs.load(raw, FILE)
    except BeingWritten as error:
        return str(error)
    except configs.ConfigError:
        return None
    if not leased and rested < UNLEASED:
        return f"{FILE} was changed a moment ago"
    if rested < MISSING and (missing := ", ".join(_missing(old, new))):
        return f"{FILE}: {missing} is missing: it is taken after a rest of {MISSING:.0f} s, at once with: enqueuer reload"
    return None


def _missing(old: configs.Config, new: configs.Config) -> Iterator[str]:
    for kind, was, now in (("filter", old.filters, new.filters), ("rule", old.rules, new.rules)):
        names = {each.name for each in now}
        yield from (f'{kind} "{each.name}"' for each in was if each.name not in names)


def _read() -> tuple[bytes, bool]:
    """The file's bytes, and whether a lease proved that no process had it open for writing. Raises ConfigError."""
    try:
        fd = os.open(FILE, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO in its place would hang us
    except FileNotFoundError:
        raise configs.ConfigError(f"{FILE} is gone: put it back, or have `enqueuer init` write the default one") from None
    except BlockingIOError:  # its owner holds a write lease
        raise _being_written() from None
    except OSError as error:
        raise configs.ConfigError(f"{FILE}: {error.strerror}: the engine needs this file") from None
    try:
        return _read_open(fd)
    except OSError as error:
        raise configs.ConfigError(f"{FILE}: {error.strerror}: the engine needs this file") from None
    finally:
        os.close(fd)


def _read_open(fd: int) -> tuple[bytes, bool]:
    before = os.fstat(fd)
    if not stat.S_ISREG(before.st_mode):
        raise configs.ConfigError(f"{FILE} is no regular file: put one in its place")
    leased = _lease(fd)
    data = b""
    while len(data) <= configs.MAX_FILE and (more := os.read(fd, configs.MAX_FILE)):
        data += more
    after = os.fstat(fd)
    if (leased and fcntl.fcntl(fd, fcntl.F_GETLEASE) != fcntl.F_RDLCK) or (after.st_size, after.st_mtime_ns) != (
        before.st_size,
        before.st_mtime_ns,
    ):
        raise _being_written()
    return data, leased


def _lease(fd: int) -> bool:
    """False: no lease is to be had for this file. Raises BeingWritten."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            raise _being_written() from None
        return False
    return True


def _being_written() -> BeingWritten:
    return BeingWritten(f"{FILE} is open for writing in another process: it is taken when that process has closed it")
