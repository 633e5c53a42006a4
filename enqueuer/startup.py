"""What must be true before an engine may run on a base directory: locks, folders, sockets, a config file that can be taken."""

import contextlib
import fcntl
import os
import resource
import socket
import sys
import time
from pathlib import Path

from enqueuer import basedir, control, exits
from enqueuer.child import FILTERLINK, MANAGER, SUPERVISOR
from enqueuer.config import ConfigError
from enqueuer.queue.disk import no_space
from enqueuer.queue.plain import printable
from enqueuer.reload import BeingWritten, ConfigFile, make_modules
from filterlink.link import listen
from filterlink.spawn import search_path

__all__ = ["CannotStart", "Started", "complain", "prepare"]

ORPHANS = 15.0
"""Seconds that the processes of a killed engine get to end before a new one gives up."""


class CannotStart(Exception):
    """The engine can't run here now; the text says why and what would help, `code` is the exit code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Started:
    """What the supervisor holds for its whole life."""

    def __init__(self, base: Path, config: ConfigFile, alone: int, family: int) -> None:
        self.base, self.config = base, config
        self._alone, self._family = alone, family
        self.supervisor, self.manager, self.filterlink = (listen(path) for path in (SUPERVISOR, MANAGER, FILTERLINK))
        self.control = control.listen()
        Path("Run/pid").write_text(f"{os.getpid()}\n")

    def abandon(self, keep: socket.socket | None) -> None:
        """In a child: close all but the listener that it serves. Run/lock stays open in every child, and so locked."""
        os.close(self._alone)
        for listener in (self.supervisor, self.manager, self.filterlink, self.control):
            if listener is not keep:
                listener.close()

    def close(self) -> None:
        """The engine has ended: its sockets and its pid file go, then its locks."""
        for path in (SUPERVISOR, MANAGER, FILTERLINK, control.CONTROL, "Run/pid"):
            with contextlib.suppress(OSError):
                os.unlink(path)
        os.close(self._family)
        os.close(self._alone)


def prepare(base: Path) -> Started:
    """Take the base directory, which the process is in; `base` is its name for people. Raises CannotStart."""
    _check_folders(base)
    try:
        alone = _lock("Run/supervisor", 0.0, base)
        family = _lock("Run/lock", ORPHANS, base)
        config = _config()
        make_modules(config.config)
        _see_own_command()
        return Started(base, config, alone, family)
    except basedir.BaseDirError as error:
        raise CannotStart(exits.CANTCREAT, f"{base}: {error}") from None
    except OSError as error:
        code = exits.TEMPFAIL if no_space(error) else exits.NOPERM if isinstance(error, PermissionError) else exits.IOERR
        raise CannotStart(code, f"{base / (error.filename or '')}: {error.strerror}") from None


def complain(text: str) -> None:
    print(f"enqueuer: {printable(text)}", file=sys.stderr)


def _check_folders(base: Path) -> None:
    devices = set()
    for folder in basedir.FOLDERS:
        try:
            devices.add(os.stat(folder).st_dev)
        except OSError as error:
            raise CannotStart(exits.NOINPUT, f"{base / folder}: {error.strerror}: repair it with: enqueuer init {base}") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise CannotStart(exits.NOPERM, f"{base / folder} is not writable for this user: run as the user who made it")
    if len(devices) > 1:
        raise CannotStart(exits.CONFIG, f"{base}: all its folders must be on one filesystem, as messages move between them by rename")
    os.umask(0o027)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))


def _lock(path: str, patience: float, base: Path) -> int:
    """Take a lock that nobody else holds. The file's content says who has it, for people."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= until:
                holder = os.read(fd, 32).decode("ascii", "replace").strip()
                os.close(fd)
                who = f"an engine (pid {holder}) runs" if not patience else "processes of an ended engine still run"
                raise CannotStart(exits.TEMPFAIL, f"{who} on {base}: stop it with: enqueuer stop --base {base}") from None
            time.sleep(0.05)
    os.ftruncate(fd, 0)
    os.write(fd, b"%d\n" % os.getpid())
    return fd


def _config() -> ConfigFile:
    try:
        config = ConfigFile()
    except ConfigError as error:
        raise CannotStart(exits.TEMPFAIL if isinstance(error, BeingWritten) else exits.CONFIG, str(error)) from None
    config.keep()
    return config


def _see_own_command() -> None:
    """Filters say `enqueuer filter yara`: the command that runs is to find itself first, whatever PATH says."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), search_path(os.environ)])
