"""Back into the queue: release from Quarantine, retry from Bad, and delete; what is held, when the config file changed.

A message keeps its id. The O line's last field says where a released one goes on (after the action that kept it); it is
written in place and made durable before the rename into Queue/, and the .why goes after that rename is durable too.
"""

import json
import logging
import time
from collections.abc import Iterator

from enqueuer import rules, serverlog
from enqueuer.blame import Blame
from enqueuer.board import Board
from enqueuer.config import Config, judges_anew
from enqueuer.queue import envelope as envelopes
from enqueuer.queue import names
from enqueuer.queue.derive import FIRST, queue_path
from enqueuer.queue.disk import Disk
from enqueuer.schedule import Entry, Schedule
from enqueuer.settler import Settler

__all__ = ["Returns"]

log = logging.getLogger("QUEUE")
MARK_LENGTH = 8
IN_FORCE = 1.0
"""Seconds after which a new edition has reached filterlink too. A filter whose new helper takes longer may hold it once more; what it
holds is offered again when it has changed over (FilterPeer)."""


class CannotReturn(Exception):
    """The order cannot be carried out; the text says why."""


class Returns:
    """Part of the queue manager."""

    def __init__(self, disk: Disk, settler: Settler, schedule: Schedule, board: Board, blame: Blame, config: Config) -> None:
        self._disk, self._settler, self._schedule, self._board, self._blame = disk, settler, schedule, board, blame
        self._config = config

    def configure(self, config: Config) -> None:
        """Another edition is in force: what may be judged otherwise now is not held for as long as it was to be."""
        now = time.monotonic()
        self._schedule.hasten(judges_anew(self._config, config), now + IN_FORCE, now + config.enqueuer.retry_after)
        self._config = config

    def carry_out(self, verb: str, id: int) -> tuple[bool, str]:
        """Do what the order says: release, retry (0: all in Bad/) or delete. Whether it was done, and one line for whoever asked."""
        if not id:
            return self.retry_all()
        verbs = {"release": self._release, "retry": self._retry, "delete": self._delete}
        try:
            return True, verbs[verb](id)
        except CannotReturn as error:
            return False, str(error)
        except OSError as error:
            return False, f"message {id}: {error.strerror}"

    def retry_all(self) -> tuple[bool, str]:
        """Retry everything that lies in Bad/."""
        done = [self.carry_out("retry", id) for id in sorted(self._bad())]
        refused = [text for ok, text in done if not ok]
        return not refused, f"{len(done) - len(refused)} messages are judged anew" + (f"; {refused[0]}" if refused else "")

    def _bad(self) -> Iterator[int]:
        return (id for name in self._disk.names("Bad") if (id := names.parse_shelf(name)) is not None)

    def _release(self, id: int) -> str:
        why = self._why(id)
        rule, filter, mark, text = why.get("rule"), why.get("filter"), envelopes.NO_MARK, "released: it is scanned again"
        if isinstance(rule, str) and isinstance(filter, str):
            mark, text = rules.mark(rule, filter), f'released: goes on after filter "{filter}" in rule "{rule}"'
        self._bring_back(id, "quarantine", mark)
        log.log(serverlog.MAJOR, "%s", text, extra=serverlog.message_tag(id))
        return f"{id} {text}"

    def _retry(self, id: int) -> str:
        entry = self._schedule.entries.get(id)
        if entry is not None and entry.state == "held":
            self._schedule.wait(entry)
            return f"{id} is offered again now"
        self._bring_back(id, "bad", envelopes.NO_MARK)
        self._blame.pardon(id)
        log.log(serverlog.MAJOR, "retried: it is judged anew", extra=serverlog.message_tag(id))
        return f"{id} is judged anew"

    def _delete(self, id: int) -> str:
        if not self._disk.unlink(names.final(id, "quarantine")):
            raise CannotReturn(f"Quarantine holds no message {id}")
        self._disk.unlink(names.final(id, "quarantine-why"))
        log.log(serverlog.MAJOR, "deleted from Quarantine", extra=serverlog.message_tag(id))
        return f"{id} deleted"

    def _bring_back(self, id: int, place: str, mark: bytes) -> None:
        path = names.final(id, place)
        stamp = self._disk.stamp(path)
        if stamp is None or id in self._schedule.entries:
            raise CannotReturn(f"{path.partition('/')[0]} holds no message {id}")
        self._mark(path, mark)
        self._disk.fsync(path)
        self._disk.rename(path, queue_path(id))
        self._board.add("returned")
        self._schedule.add(Entry(id, None, stamp[1], time.monotonic(), derived=True, counted=True))
        self._settler.after_sync(lambda: self._disk.unlink(names.final(id, place + "-why")), "Queue", path.partition("/")[0])

    def _mark(self, path: str, mark: bytes) -> None:
        head = next(self._disk.chunks(path, first=FIRST), b"")
        line = envelopes.parse_o(head[: max(envelopes.head_end(head), 0)] or head)
        if line is None:
            raise CannotReturn(f"{path} has no O line of ours: it is left where it is")
        self._disk.patch(path, line.offset + envelopes.O_LENGTH - 1 - MARK_LENGTH, mark)

    def _why(self, id: int) -> dict[str, object]:
        try:
            found = json.loads(b"".join(self._disk.chunks(names.final(id, "quarantine-why"))))
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
