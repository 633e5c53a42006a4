"""End an engine whose supervisor has failed. Without its supervisor an engine answers no command and replaces no process.

multiprocessing waits for its children at exit. A failed supervisor that only raised would hang there as long as they run.
"""

import contextlib
import logging
import os
import signal
import sys
from typing import NoReturn

from enqueuer import exits
from enqueuer.ipc import frames
from enqueuer.log.serverlog import LogHandler, LogWriter, install
from enqueuer.supervisor import startup
from enqueuer.supervisor.children import Children

__all__ = ["end_engine"]

log = logging.getLogger("ENQUEUER")

WITHIN = 4.0
"""Seconds after which the engine ends, even if a step hangs (a full pipe on stderr, a disk). PDEATHSIG then ends what is left."""


def end_engine(nursery: Children | None) -> NoReturn:
    """End every process of the engine, then this one with exit code 70. Call it in an except clause: it logs the traceback."""
    signal.signal(signal.SIGALRM, lambda *_: os._exit(exits.SOFTWARE))
    signal.setitimer(signal.ITIMER_REAL, WITHIN)
    error = sys.exception()
    for step in (_report, lambda: _end(nursery), _write_rest, lambda: _complain(error)):
        with contextlib.suppress(Exception):
            step()
    os._exit(exits.SOFTWARE)


def _report() -> None:
    if not any(isinstance(each, LogHandler) for each in logging.root.handlers):  # it failed before it had a log
        install(LogWriter("SystemLogs"), "problems")
    log.critical("the supervisor failed and the engine ends: this is a fault in Enqueuer, please report it", exc_info=True)


def _end(nursery: Children | None) -> None:
    if nursery is not None:
        with contextlib.suppress(Exception):
            for logger in nursery.of("logger"):
                logger.tell(frames.Exit())
        nursery.end_all()


def _write_rest() -> None:
    """Write the log lines that no logger has written."""
    for handler in logging.root.handlers:
        if isinstance(handler, LogHandler):
            handler.drain()


def _complain(error: BaseException | None) -> None:
    startup.complain(f"the supervisor failed and the engine has ended: {type(error).__name__}: {error} (SystemLogs has the traceback)")
