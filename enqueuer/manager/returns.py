"""Carry out the orders of an administrator: release from Quarantine, retry from Bad, delete from both, hold and release. Offer
deferred messages earlier when the config file changed.

The store brings a kept message back into the queue (queue/directory/requeue.py).
"""

import contextlib
import functools
import itertools
import logging
import time
from collections.abc import Callable, Iterator

from enqueuer.config.schema import Config, judges_anew
from enqueuer.ipc.scoreboard import Scoreboard
from enqueuer.log import serverlog
from enqueuer.manager.blame import Blame
from enqueuer.manager.holds import Holds
from enqueuer.manager.marks import goes_on
from enqueuer.manager.schedule import Entry, Schedule
from enqueuer.manager.settler import Settler
from enqueuer.queue.port import MessageStore, NotKept, Place
from filterlink.wire.loop import Loop

__all__ = ["Returns"]

log = logging.getLogger("QUEUE")
IN_FORCE = 1.0
"""Seconds after which a new revision has reached filterlink, too. A filter whose new helper takes longer may defer a message once more.
Such messages are offered again after its rollover (FilterPeer).
"""


SLICE = 0.002
"""Seconds that `retry --all` and `bad delete --all` may take in one turn of the loop. Only the last message may exceed them."""
Answer = Callable[[bool, str], None]


class Returns:
    """Part of the queue manager."""

    def __init__(
        self, loop: Loop, store: MessageStore, settler: Settler, schedule: Schedule, board: Scoreboard, blame: Blame, config: Config
    ) -> None:
        self._store = store
        self._settler = settler
        self._schedule = schedule
        self._board = board
        self._blame = blame
        self.holds = Holds(loop, store, schedule, settler.after_sync)
        settler.decided = self.holds.decided
        self._loop = loop
        self._config = config

    def configure(self, config: Config) -> None:
        """Activate another revision: messages that the new rules or filters may treat differently are offered soon."""
        now = time.monotonic()
        self._schedule.hasten(judges_anew(self._config, config), now + IN_FORCE, now + config.enqueuer.retry_after)
        self._config = config

    def carry_out(self, verb: str, id: int, answer: Answer, filter: str = "", until: float = 0.0, reason: str = "") -> None:
        """Carry out an order. `answer(done, line)` is called once, now or later.

        release and delete apply to Quarantine, retry-bad and delete-bad to Bad/. retry applies to Bad/ and to deferred messages. The id
        0 means all of these. `filter`: only the messages that this filter deferred or sent to Bad/. hold and release-hold apply to
        messages in the queue.
        """
        if not id:
            self._all(verb, filter, answer)
            return
        verbs: dict[str, Callable[[int, Answer], None]] = {
            "release": self._release,
            "retry": self._retry,
            "retry-bad": self._retry_bad,
            "hold": lambda id, answer: self.holds.hold(id, until, reason, answer),
            "release-hold": self.holds.release,
            "delete": functools.partial(self._delete, "quarantine"),
            "delete-bad": functools.partial(self._delete, "bad"),
        }
        try:
            verbs[verb](id, answer)
        except NotKept as error:
            answer(False, str(error))
        except OSError as error:
            answer(False, f"message {id}: {error.strerror}")
        except (ValueError, RecursionError) as error:  # our file, but it was changed by hand
            answer(False, f"message {id}: {type(error).__name__}")

    def _all(self, verb: str, filter: str, answer: Answer) -> None:
        """Carry out an order for many messages, in slices: thousands of them must not keep the queue manager from its mail."""
        entries = self._schedule.entries.values() if verb == "retry" else ()
        deferred = sorted(entry.id for entry in entries if entry.state == "deferred")
        try:
            kept = self._store.kept("bad")
        except OSError as error:
            answer(False, f"Bad: {error.strerror}")
            return
        self._slice(verb, filter, itertools.chain(deferred, kept), _Tally(verb, answer))

    def _slice(self, verb: str, filter: str, ids: Iterator[int], tally: "_Tally") -> None:
        until = time.monotonic() + SLICE
        for id in ids:
            if self._belongs(id, filter):
                tally.begin()
                self.carry_out(verb, id, tally.one)
            if time.monotonic() >= until:
                self._loop.after(0, lambda: self._slice(verb, filter, ids, tally))
                return
        tally.end()

    def _belongs(self, id: int, filter: str) -> bool:
        """Return whether this filter ("" = any) deferred a message or sent it to Bad/. The message may have moved since it was listed."""
        if (entry := self._schedule.entries.get(id)) is not None:
            return entry.state == "deferred" and filter in ("", entry.filter)
        if not filter:
            return True
        with contextlib.suppress(OSError, ValueError, RecursionError, NotKept):
            return self._store.reason(id, "bad").get("filter") == filter
        return False

    def _release(self, id: int, answer: Answer) -> None:
        mark, text = goes_on(self._store.reason(id, "quarantine"))
        self._bring_back(id, "quarantine", mark, f"released: {text}", answer)

    def _retry(self, id: int, answer: Answer) -> None:
        entry = self._schedule.entries.get(id)
        if id in self._schedule.on_hold:
            raise NotKept(f"message {id} is on hold; to release it: enqueuer queue release {id}")
        if entry is not None and entry.state == "deferred":
            self._schedule.wait(entry)
            answer(True, f"{id} is offered again now")
        else:
            self._retry_bad(id, answer)

    def _retry_bad(self, id: int, answer: Answer) -> None:
        self._bring_back(id, "bad", None, "retried: it is scanned again", answer)

    def _delete(self, place: Place, id: int, answer: Answer) -> None:
        if not self._store.delete(id, place):
            raise NotKept(f"{place.capitalize()} holds no message {id}")
        log.log(serverlog.MAJOR, "deleted from %s", place.capitalize(), extra=serverlog.message_tag(id))
        answer(True, f"{id} deleted")

    def _bring_back(self, id: int, place: Place, mark: bytes | None, text: str, answer: Answer) -> None:
        if id in self._schedule.entries or id in self._schedule.on_hold:
            raise NotKept(f"{place.capitalize()} holds no message {id}")

        def arrived(size: int, error: OSError | None) -> None:
            if error is not None:
                answer(False, f"message {id}: {error.strerror}")
                return
            self._board.add("returned")
            if place == "bad":
                self._blame.pardon(id)
            self._schedule.add(Entry(id, b"", size, time.monotonic(), durable=True, ingested=True, counted=True))
            log.log(serverlog.MAJOR, "%s", text, extra=serverlog.message_tag(id))
            answer(True, f"{id} {text}")

        self._store.requeue(id, place, mark, self._settler.after_sync, arrived)


class _Tally:
    """Counts the answers of many orders, and gives one answer for all."""

    def __init__(self, verb: str, answer: Answer) -> None:
        self._verb = verb
        self._left = 1
        """Orders without an answer; one more until all orders are given."""
        self._done = 0
        self._refused = ""
        self._answer = answer

    def begin(self) -> None:
        """Note that an order is given."""
        self._left += 1

    def one(self, done: bool, text: str) -> None:
        """Note the answer of an order."""
        self._done += done
        self._refused = self._refused or ("" if done else text)
        self.end()

    def end(self) -> None:
        """Note that an order is answered, or that all are given."""
        self._left -= 1
        if not self._left:
            more = f"; {self._refused}" if self._refused else ""
            self._answer(not self._refused, f"{self._said()}{more}")

    def _said(self) -> str:
        if self._verb == "delete-bad":
            return f"{self._done} deleted"
        return "1 message is scanned again" if self._done == 1 else f"{self._done} messages are scanned again"
