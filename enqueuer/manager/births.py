"""New messages that came into being with the outcome of another one: the rest of a message, a reply, a forward, a report.

The store published them with that outcome. Here they become messages of the schedule, and get their lines in the log.
"""

import logging
import time
from collections.abc import Callable

from enqueuer.config.schema import Config
from enqueuer.ipc.frames import Born
from enqueuer.ipc.scoreboard import Scoreboard
from enqueuer.log import serverlog
from enqueuer.manager.holds import Holds
from enqueuer.manager.schedule import Entry, Schedule
from enqueuer.queue.message.printable import printable
from enqueuer.queue.port import Ids
from filterlink.log.complaints import Complaints

__all__ = ["Births"]

log = logging.getLogger("QUEUE")
MOST_IDS = 10_000
"""New messages that one outcome may have. The processor counts them; this bounds what a faulty one gets."""


class Births:
    """Part of the queue manager."""

    ids: Ids
    """There are none before recovery."""

    def __init__(
        self, schedule: Schedule, board: Scoreboard, holds: Holds, pause: Callable[[str, float, float], float], config: Config
    ) -> None:
        """`pause(filter, now, retry_after)`: the seconds until a deferred message is offered again."""
        self._schedule = schedule
        self._board = board
        self._holds = holds
        self._pause = pause
        self._complaints = Complaints(log, logging.ERROR)
        self.configure(config)

    def configure(self, config: Config) -> None:
        self._retry_after: float = config.enqueuer.retry_after

    def new_ids(self, count: int) -> tuple[int, ...]:
        """Return ids for new messages. None of them is given again, also if the outcome fails. Empty: the disk refuses, or they are
        too many.
        """
        if count > MOST_IDS:
            return ()
        try:
            return tuple(self.ids.take(time.time_ns() // 1000) for _ in range(count))
        except OSError as error:
            self._complaints.say("ids", f"no ids for new messages: {error}; their message is tried again")
            return ()

    def enter(self, born: Born) -> None:
        """Take a new message into the queue."""
        self._board.add("received")
        serverlog.tell(log, born.id, f"from <{printable(born.sender)}>, {born.size} bytes, {born.about}")
        if born.state == "on_hold":
            self._holds.keep(born.id, born.until)
            serverlog.tell(log, born.id, f"on hold: {born.reason}")
            return
        now = time.monotonic()
        entry = Entry(born.id, b"", born.size, now, durable=True, ingested=True, counted=True, verdicts=born.verdicts)
        self._schedule.add(entry)
        if born.state == "deferred":
            entry.was_held = True
            serverlog.tell(log, born.id, f"deferred: {born.reason}")
            pause = self._pause(born.filter, now, self._retry_after)
            self._schedule.defer(entry, born.filter, now + pause, now=now, reason=born.reason)
