"""Back into the queue: release from Quarantine, retry from Bad, and delete; what is deferred, when the config file changed.

A message keeps its id. The O line's last field says where a released one goes on (after the action that kept it); it is
written in place and made durable before the rename into Queue/, and the .why goes after that rename is durable too.
"""

import contextlib
import itertools
import json
import logging
import time
from collections.abc import Callable, Iterator

from enqueuer.config.schema import Config, judges_anew
from enqueuer.ipc.scoreboard import Scoreboard
from enqueuer.log import serverlog
from enqueuer.manager.blame import Blame
from enqueuer.manager.schedule import Entry, Schedule
from enqueuer.manager.settler import Settler
from enqueuer.policy import rules
from enqueuer.queue.directory import names
from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.ingest import FIRST, queue_path
from enqueuer.queue.message import envelope as envelopes
from filterlink.wire.loop import Loop

__all__ = ["Returns"]

log = logging.getLogger("QUEUE")
MARK_LENGTH = 8
MAX_WHY = 1 << 20
"""Bytes of a .why that are read; ours have some hundred."""
IN_FORCE = 1.0
"""Seconds after which a new revision has reached filterlink too. A filter whose new helper takes longer may hold it once more; what it
holds is offered again when it has changed over (FilterPeer)."""


SLICE = 16
"""Messages that `retry --all` marks in one turn of the loop, about 2 ms."""
Answer = Callable[[bool, str], None]


class CannotReturn(Exception):
    """The order cannot be carried out; the text says why."""


class Returns:
    """Part of the queue manager."""

    def __init__(
        self, loop: Loop, disk: Disk, settler: Settler, schedule: Schedule, board: Scoreboard, blame: Blame, config: Config
    ) -> None:
        self._disk = disk
        self._settler = settler
        self._schedule = schedule
        self._board = board
        self._blame = blame
        self._loop = loop
        self._config = config
        self._coming: set[int] = set()
        """Messages that are brought back, until they are in Queue/."""

    def configure(self, config: Config) -> None:
        """Another revision is in force: what may be judged otherwise now is not held for as long as it was to be."""
        now = time.monotonic()
        self._schedule.hasten(judges_anew(self._config, config), now + IN_FORCE, now + config.enqueuer.retry_after)
        self._config = config

    def carry_out(self, verb: str, id: int, answer: Answer) -> None:
        """Carry out an order: release, retry (0: all in Bad/) or delete. `answer(done, line)` is called once, now or later."""
        if not id:
            self._retry_all(answer)
            return
        verbs = {"release": self._release, "retry": self._retry, "delete": self._delete}
        try:
            verbs[verb](id, answer)
        except CannotReturn as error:
            answer(False, str(error))
        except OSError as error:
            answer(False, f"message {id}: {error.strerror}")
        except (ValueError, RecursionError) as error:  # a file of ours that was changed by hand
            answer(False, f"message {id}: {type(error).__name__}")

    def _retry_all(self, answer: Answer) -> None:
        """Retry everything in Bad/, in slices: thousands of messages must not keep the queue manager from its mail."""
        try:
            ids = sorted(id for name in self._disk.names("Bad") if (id := names.parse_shelf(name)) is not None)
        except OSError as error:
            answer(False, f"Bad/: {error.strerror}")
            return
        tally = _Tally(len(ids), answer)
        self._retry_slice(iter(ids), tally)

    def _retry_slice(self, ids: Iterator[int], tally: "_Tally") -> None:
        count = 0
        for id in itertools.islice(ids, SLICE):
            count += 1
            self.carry_out("retry", id, tally.one)
        if count == SLICE:
            self._loop.after(0, lambda: self._retry_slice(ids, tally))

    def _release(self, id: int, answer: Answer) -> None:
        why = self._why(id)
        rule = why.get("rule")
        filter = why.get("filter")
        mark = envelopes.NO_MARK
        text = "released: it is scanned again"
        if isinstance(rule, str) and isinstance(filter, str):
            with contextlib.suppress(UnicodeEncodeError):  # half a surrogate pair is no name of ours
                mark = rules.mark(rule, filter)
                text = f'released: goes on after filter "{filter:.100}" in rule "{rule:.100}"'
        self._bring_back(id, "quarantine", mark, text, answer)

    def _retry(self, id: int, answer: Answer) -> None:
        entry = self._schedule.entries.get(id)
        if entry is not None and entry.state == "deferred":
            self._schedule.wait(entry)
            answer(True, f"{id} is offered again now")
        else:
            self._bring_back(id, "bad", envelopes.NO_MARK, "retried: it is scanned again", answer)

    def _delete(self, id: int, answer: Answer) -> None:
        if id in self._coming or not self._disk.unlink(names.final(id, "quarantine")):
            raise CannotReturn(f"Quarantine holds no message {id}")
        self._disk.unlink(names.final(id, "quarantine-why"))
        log.log(serverlog.MAJOR, "deleted from Quarantine", extra=serverlog.message_tag(id))
        answer(True, f"{id} deleted")

    def _bring_back(self, id: int, place: str, mark: bytes, text: str, answer: Answer) -> None:
        """Write the mark, and go on once the committer has made it durable."""
        path = names.final(id, place)
        stamp = self._disk.stamp(path)
        if stamp is None or id in self._schedule.entries or id in self._coming:
            raise CannotReturn(f"{path.partition('/')[0]} holds no message {id}")
        self._mark(path, mark)
        self._coming.add(id)
        self._settler.after_sync(lambda: self._arrive(id, place, stamp[1], text, answer), path)

    def _arrive(self, id: int, place: str, size: int, text: str, answer: Answer) -> None:
        """The mark is durable: the message is in the queue from this rename on."""
        path = names.final(id, place)
        self._coming.discard(id)
        try:
            self._disk.rename(path, queue_path(id))
        except OSError as error:
            answer(False, f"message {id}: {error.strerror}")
            return
        self._board.add("returned")
        if place == "bad":
            self._blame.pardon(id)
        self._schedule.add(Entry(id, None, size, time.monotonic(), ingested=True, counted=True))
        self._settler.after_sync(lambda: self._disk.unlink(names.final(id, place + "-why")), "Queue", path.partition("/")[0])
        log.log(serverlog.MAJOR, "%s", text, extra=serverlog.message_tag(id))
        answer(True, f"{id} {text}")

    def _mark(self, path: str, mark: bytes) -> None:
        head = next(self._disk.chunks(path, first=FIRST), b"")
        line = envelopes.parse_o(head[: max(envelopes.head_end(head), 0)] or head)
        if line is None:
            raise CannotReturn(f"{path} has no O line of ours: it is left where it is")
        self._disk.patch(path, line.offset + envelopes.O_LENGTH - 1 - MARK_LENGTH, mark)

    def _why(self, id: int) -> dict[str, object]:
        try:
            found = json.loads(next(self._disk.chunks(names.final(id, "quarantine-why"), first=MAX_WHY)))
        except (FileNotFoundError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


class _Tally:
    """Counts the answers of many orders, and gives one for all."""

    def __init__(self, count: int, answer: Answer) -> None:
        self._left = count
        self._done = 0
        self._refused = ""
        self._answer = answer
        self._finish()

    def one(self, done: bool, text: str) -> None:
        self._left -= 1
        self._done += done
        self._refused = self._refused or ("" if done else text)
        self._finish()

    def _finish(self) -> None:
        if not self._left:
            more = f"; {self._refused}" if self._refused else ""
            self._answer(not self._refused, f"{self._done} messages are scanned again{more}")
