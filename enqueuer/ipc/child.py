"""What every process of the engine is born with, and how it settles in after the fork."""

import contextlib
import logging
import os
import signal
import socket

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

__all__ = ["FILTERLINK", "MANAGER", "SUPERVISOR", "Birth", "EngineEnded", "config_file", "load_config", "settle_in"]

SUPERVISOR = "Run/supervisor.sock"
MANAGER = "Run/manager.sock"
FILTERLINK = "Run/filterlink.sock"
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGIO)
"""Ours end by order: a terminal's ^C or a kill of the group must not take messages in hand down."""


class EngineEnded(Exception):
    """The supervisor, or whom this process works for, is gone or said that it is time to go."""


class Birth(msgspec.Struct):
    """Given to a process at its fork."""

    role: str
    number: int
    slot: int
    """Its slot on the board (processors)."""
    generation: int
    config: configs.Config
    revision: int
    board: Scoreboard
    log: serverlog.LogHandler
    listener: Served | None = None
    """The one that it serves."""
    suspects: tuple[int, ...] = ()
    """Messages that processors worked on when the last queue manager died."""
    draining: bool = False
    """The engine stops: a new queue manager takes no drop and begins no message."""

    @property
    def hello(self) -> frames.Hello:
        return frames.Hello(self.role, self.number, self.generation, os.getpid())

    @property
    def lanes(self) -> Lanes:
        """As the configuration in force and the number of processors that there are to be have them."""
        lanes = self.config.enqueuer.lanes
        return Lanes(lanes.large_over, lanes.large_share, self.board.processors)

    def call(self, path: str) -> socket.socket:
        """Connect to another of our processes and say hello."""
        sock = connect(path)
        Channel(sock).send(frames.encode(self.hello))
        return sock

    def take(self, revision: int) -> None:
        """Put an revision of the configuration in force in this process; one that is gone already was overtaken by the next."""
        with contextlib.suppress(FileNotFoundError):
            self.config = load_config(revision)
            self.revision = revision
        serverlog.set_level(self.config.enqueuer.log_level)


def config_file(revision: int) -> str:
    return f"Run/config.{revision}"


def load_config(revision: int) -> configs.Config:
    """Read an revision that the supervisor has checked before."""
    with open(config_file(revision), "rb") as file:  # noqa: PTH123  (relative to the base directory, as all paths here)
        return configs.load(file.read())


def settle_in(birth: Birth, title: str, parent: int, *, waits: bool) -> None:
    """Right after the fork. `waits`: this process may wait for a full log channel."""
    inherited.fill_standard()  # multiprocessing has closed standard input, and opens /dev/null only where there is one
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    die_with(parent)  # a stopped child never reads that its supervisor has gone, and would hold Run/lock for ever
    clear_ambient_capabilities()  # what the service may do (CAP_LEASE) no helper inherits
    setproctitle.setproctitle(f"enqueuer: {title}")
    if birth.role != "logger":
        birth.board.born(birth.role, birth.slot, os.getpid())
        birth.log.in_child(waits=waits, gathers=birth.role == "manager")
    logging.getLogger("ENQUEUER").debug("%s %d: pid %d", birth.role, birth.number, os.getpid())
