"""What every process of the engine gets at its fork, and how it sets itself up after the fork."""

import contextlib
import logging
import os
import signal
import socket
from pathlib import Path

import msgspec
import setproctitle

from enqueuer.config import schema as configs
from enqueuer.ipc import frames
from enqueuer.ipc.listeners import Served
from enqueuer.ipc.scoreboard import Scoreboard
from enqueuer.log import serverlog
from enqueuer.policy.lanes import Lanes
from enqueuer.system import inherited
from filterlink.process.forked import die_with
from filterlink.process.prctl import clear_ambient_capabilities
from filterlink.wire.link import Channel, connect

__all__ = ["FILTERLINK", "MANAGER", "SUPERVISOR", "Birth", "EngineEnded", "config_file", "lists_file", "load_config", "settle_in"]

SUPERVISOR = "Run/supervisor.sock"
MANAGER = "Run/manager.sock"
FILTERLINK = "Run/filterlink.sock"
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGIO)
"""Signals that our processes ignore, because the supervisor ends them: ^C on a terminal or a kill of the group must not stop messages in
work.
"""


class EngineEnded(Exception):
    """The engine ends, or the process that this one works for: it has gone, or has ordered this process to end."""


class Birth(msgspec.Struct):
    """What a process gets at its fork."""

    role: str
    number: int
    slot: int
    """Its slot on the scoreboard (processors)."""
    generation: int
    config: configs.Config
    revision: int
    board: Scoreboard
    log: serverlog.LogHandler
    listener: Served | None = None
    """The listener that it serves."""
    suspects: tuple[int, ...] = ()
    """Messages that processors worked on when the last queue manager died."""
    draining: bool = False
    """The engine stops: a new queue manager takes no drop and begins no message."""
    doors: socket.socket | None = None
    """Of a door process: the channel on which it gets its listeners."""

    @property
    def hello(self) -> frames.Hello:
        return frames.Hello(self.role, self.number, self.generation, os.getpid())

    @property
    def lanes(self) -> Lanes:
        """The lanes, from the active configuration and the intended number of processors."""
        lanes = self.config.enqueuer.lanes
        return Lanes(lanes.large_over, lanes.large_share, self.board.processors)

    def call(self, path: str) -> socket.socket:
        """Connect to another of our processes and send a Hello."""
        sock = connect(path)
        Channel(sock).send(frames.encode(self.hello))
        return sock

    def take(self, revision: int) -> None:
        """Activate a revision of the configuration in this process. If the file is gone already, a newer revision has replaced it."""
        with contextlib.suppress(FileNotFoundError):
            self.config = load_config(revision)
            self.revision = revision
        self.configure_log()

    def configure_log(self) -> None:
        """Use the log's settings of the active revision in this process."""
        settings = self.config.enqueuer
        self.log.configure(settings.log_level, json=settings.log_format == "json", full=settings.log_file_size)


def config_file(revision: int) -> str:
    return f"Run/config.{revision}"


def lists_file(revision: int) -> str:
    return f"Run/lists.{revision}"


def load_config(revision: int) -> configs.Config:
    """Read a revision that the supervisor has checked before."""
    lists = msgspec.msgpack.decode(Path(lists_file(revision)).read_bytes(), type=dict[str, tuple[str, ...]])
    return configs.load(Path(config_file(revision)).read_bytes(), lists=lists)


def settle_in(birth: Birth, title: str, parent: int, *, waits: bool) -> None:
    """Set up a process right after its fork. `waits`: it may wait while the log channel is full."""
    inherited.fill_standard()  # multiprocessing has closed standard input, and opens /dev/null only if that exists
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    die_with(parent)  # a stopped child never notices that its supervisor has gone, and would keep Run/lock
    clear_ambient_capabilities()  # no helper inherits the service's capabilities (CAP_LEASE)
    setproctitle.setproctitle(f"enqueuer: {title}")
    if birth.role != "logger":
        birth.board.born(birth.role, birth.slot, os.getpid())
        birth.log.in_child(waits=waits, gathers=birth.role in ("manager", "door"))
    logging.getLogger("ENQUEUER").debug("%s %d: pid %d", birth.role, birth.number, os.getpid())
