"""Prepare all that an engine needs on a base directory: locks, folders, sockets, and a valid config file."""

import contextlib
import fcntl
import logging
import os
import sys
import time
from pathlib import Path

from enqueuer import basedir, exits, mounts
from enqueuer.config.schema import ConfigError
from enqueuer.control import server
from enqueuer.control.client import CONTROL
from enqueuer.ipc.child import FILTERLINK, MANAGER, SUPERVISOR
from enqueuer.ipc.doorlisteners import DoorListeners, ListenerError
from enqueuer.ipc.listeners import Bound, Served
from enqueuer.queue.directory import asked, format, layout
from enqueuer.queue.directory.disk import no_space
from enqueuer.queue.message.printable import printable
from enqueuer.supervisor import reaper, ulimits
from enqueuer.supervisor.configfile import BeingWritten, ConfigFile, make_modules
from enqueuer.system import trust
from filterlink.helpers.spawn import search_path
from filterlink.log.complaints import Complaints
from filterlink.wire.link import listen

__all__ = ["EngineCannotStart", "Started", "apart", "complain", "prepare"]

log = logging.getLogger("ENQUEUER")

ORPHANS = 15.0
"""Seconds that the processes of a killed engine get to end before a new engine gives up."""


class EngineCannotStart(Exception):
    """The engine cannot run here now. The text has the reason and the cure; `code` is the exit code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Started:
    """What the supervisor holds from its start to its end."""

    def __init__(self, base: Path, config: ConfigFile, alone: list[int], family: list[int]) -> None:
        """Raises OSError, ListenerError."""
        self.base = base
        self.config = config
        self.converted: list[str] = []
        """What was done to a base directory of an older format, for the log."""
        self._alone = alone
        self._family = family
        self.supervisor, self.manager, self.filterlink = (Bound(path, listen) for path in (SUPERVISOR, MANAGER, FILTERLINK))
        self.control = Bound(CONTROL, server.listen)
        self._all = (self.supervisor, self.manager, self.filterlink, self.control)
        self.doors = DoorListeners(config.config.doors)
        config.prepare_doors = self.doors.prepare
        self._complaints = Complaints(log)
        self._known: tuple[int, tuple[str, ...]] = (0, ())
        _write_pid()

    def mend(self) -> None:
        """Make removed folders again, and what a cleaner removed from Run/. Log what cannot be made; the next call tries it again."""
        try:
            for name in basedir.make_again(self._modules()):
                self._complaints.say(f"gone {name}", f"{name}/ was removed by another program; the engine made it again, empty")
        except OSError as error:
            self._complaints.say("gone", f"{error.filename}/ was removed, and the engine cannot make it again: {error.strerror}")
        try:
            if not os.path.isdir("Run"):
                os.mkdir("Run", basedir.FOLDERS["Run"])
            with contextlib.suppress(PermissionError):
                basedir.share_asked()
            missing = [each.path for each in self._all if each.mend()]
            self._mend_doors()
            self.config.keep_again()
            if not missing:
                return
            _write_pid()
            self._lock_again()
        except OSError as error:
            self._complaints.say("mend", f"Run/ was emptied, and the engine cannot restore it: {error.filename or 'Run'}: {error.strerror}")
            return
        self._complaints.say(
            "run", "Run/ was emptied by another program, and the engine restored it: exclude Run/ from what that program cleans"
        )

    def _mend_doors(self) -> None:
        try:
            for path in self.doors.mend():
                self._complaints.say("door", f"{path} was removed by another program; the engine listens there again")
        except ListenerError as error:
            self._complaints.say("door", str(error))

    def _modules(self) -> tuple[str, ...]:
        """The modules of the active configuration; read from it once."""
        if self._known[0] != self.config.revision:
            self._known = self.config.revision, self.config.config.modules
        return self._known[1]

    def _lock_again(self) -> None:
        """Lock the new file. Where folders cannot be locked, only this lock keeps a second engine out."""
        for fd in self._alone[1:]:
            os.close(fd)
        self._alone[1:] = _try_lock("Run/supervisor")

    def abandon(self, keep: Served | None) -> None:
        """Close all sockets in a child except the listener that it serves. Every child keeps the locks open, and so holds them."""
        for fd in self._alone:
            os.close(fd)
        for listener in self._all:
            listener.abandon(keep)
        self.doors.abandon()

    def close(self) -> None:
        """Remove the sockets and the pid file of an engine that has ended, then release its locks."""
        for listener in self._all:
            with contextlib.suppress(OSError):
                listener.remove()
        self.doors.close()
        with contextlib.suppress(OSError):
            os.unlink("Run/pid")
        for fd in self._family + self._alone:
            os.close(fd)


def apart() -> int | None:
    """Return the exit code in a process that stays behind, None in the one that becomes the engine. Raises EngineCannotStart."""
    try:
        return reaper.engine_apart()
    except OSError as error:
        raise EngineCannotStart(exits.TEMPFAIL, f"the machine cannot start a process: {error.strerror}") from None


def prepare(base: Path, *, allow_writable_config: bool = False) -> Started:
    """Take the base directory, which is the current directory. `base` is its name in messages. Raises EngineCannotStart."""
    _expect_descriptors(base, ulimits.descriptors_needed())
    absent = _check_format(base)
    _make_passing(base)
    _check_folders(base, absent)
    try:
        alone = _lock_folder(".", 0.0, base) + _lock("Run/supervisor", 0.0, base)
        family = _lock_folder("Queue", ORPHANS, base) + _lock("Run/lock", ORPHANS, base)
        converted = list(format.convert())
        config = _config(allow_writable_config)
        _expect_descriptors(base, ulimits.descriptors_needed(config.config))
        if small := ulimits.small_files(config.config):
            complain(small)
        make_modules(config.config)
        asked.wipe()
        _see_own_command()
        started = Started(base, config, alone, family)
        started.converted = converted
        return started
    except ListenerError as error:
        raise EngineCannotStart(exits.TEMPFAIL if error.passes else exits.CONFIG, f"{base}: {error}") from None
    except mounts.Apart as error:
        raise EngineCannotStart(exits.CONFIG, f"{base}: {error}") from None
    except basedir.BaseDirError as error:
        raise EngineCannotStart(exits.CANTCREAT, f"{base}: {error}") from None
    except OSError as error:
        code = exits.TEMPFAIL if no_space(error) else exits.NOPERM if isinstance(error, PermissionError) else exits.IOERR
        raise EngineCannotStart(code, f"{base / (error.filename or '')}: {error.strerror}") from None


def complain(text: str) -> None:
    print(f"enqueuer: {printable(text)}", file=sys.stderr)


def _check_format(base: Path) -> frozenset[str]:
    """The folders that a conversion has to make. Before anything is made: this engine may be too old to touch the base directory."""
    try:
        return format.folders_since(format.expect_known(base))
    except format.FormatError as error:
        raise EngineCannotStart(exits.CONFIG, str(error)) from None
    except OSError as error:
        code = exits.NOPERM if isinstance(error, PermissionError) else exits.IOERR
        raise EngineCannotStart(code, f"{base / format.FILE}: {error.strerror}") from None


def _check_folders(base: Path, absent: frozenset[str]) -> None:
    """`absent`: folders that need not be there yet."""
    for folder in basedir.FOLDERS:
        if folder in absent and not os.path.lexists(folder):
            continue
        try:
            os.stat(folder)
        except OSError as error:
            raise EngineCannotStart(exits.NOINPUT, f"{base / folder}: {error.strerror}: repair it with: enqueuer init {base}") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise EngineCannotStart(exits.NOPERM, f"{base / folder} is not writable for this user: run the engine as the user who made it")
    if (owner := trust.foreign_taken()) is not None:
        text = f"{base / layout.TAKEN} belongs to account {owner}, which could read all mail: move it away, then: enqueuer init {base}"
        raise EngineCannotStart(exits.NOPERM, text)
    os.umask(0o027)


def _expect_descriptors(base: Path, needed: int) -> None:
    """Raise EngineCannotStart if this process may not open enough descriptors."""
    if (most := ulimits.raise_descriptors()) < needed:
        raise EngineCannotStart(
            exits.CONFIG, f"this process may open only {most} descriptors (ulimit -n), but an engine on {base} needs {needed}"
        )


def _make_passing(base: Path) -> None:
    """Make Run/ and Asked/ again: nothing in them outlives an engine. A cleaner may have removed them, or an older version made none."""
    for folder in ("Run", asked.FOLDER):
        try:
            os.mkdir(folder, basedir.FOLDERS[folder])
        except FileExistsError:
            pass
        except OSError as error:
            raise EngineCannotStart(exits.NOPERM, f"{base / folder}: {error.strerror}: repair it with: enqueuer init {base}") from None


def _lock(path: str, patience: float, base: Path) -> list[int]:
    """Take the lock of a file, and write our pid into it for people to read."""
    fd = _take(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640), patience, base)
    os.ftruncate(fd, 0)
    os.write(fd, b"%d\n" % os.getpid())
    return [fd]


def _lock_folder(folder: str, patience: float, base: Path) -> list[int]:
    """Take the lock of a folder, which no cleaner removes. NFS has no such lock: there only the lock of the file in Run/ is used."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return [_take(fd, patience, base)]
    except OSError:
        os.close(fd)
        return []


def _try_lock(path: str) -> list[int]:
    """Take the lock of a file that was made again. The old file has no name now and stays locked."""
    try:
        return _lock(path, 0.0, Path())
    except EngineCannotStart:
        return []


def _take(fd: int, patience: float, base: Path) -> int:
    """Take a lock. Raises EngineCannotStart if another process holds it for longer than `patience`, OSError if there are no locks."""
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                os.close(fd)
                who = f"an engine{_holder()} runs" if not patience else "processes of an ended engine still run"
                raise EngineCannotStart(exits.TEMPFAIL, f"{who} on {base}: stop it with: enqueuer stop --base {base}") from None
            time.sleep(0.05)
        else:
            return fd


def _holder() -> str:
    with contextlib.suppress(OSError):
        return f" (pid {Path('Run/supervisor').read_text('ascii', 'replace')[:32].strip()})"
    return ""


def _write_pid() -> None:
    Path("Run/pid").write_text(f"{os.getpid()}\n")


def _config(allow_writable: bool) -> ConfigFile:
    try:
        config = ConfigFile(allow_writable=allow_writable)
    except ConfigError as error:
        raise EngineCannotStart(exits.TEMPFAIL if isinstance(error, BeingWritten) else exits.CONFIG, str(error)) from None
    config.keep()
    return config


def _see_own_command() -> None:
    """Put the folder of the running command first in PATH: a filter's `enqueuer filter yara` then finds this very command."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), search_path(os.environ)])
