"""Messages on hold: put there by a rule or by the administrator, released by the administrator or at their time.

The store has them in a folder of kept messages, and the schedule has their ids (Schedule.on_hold): no processor gets them, but they
are in the queue. Their times are in the reasons beside them, in seconds since 1970. A new queue manager reads these in slices.
"""

import heapq
import logging
import time
from collections.abc import Callable, Iterable
from datetime import datetime

from enqueuer.log import serverlog
from enqueuer.manager.marks import goes_on
from enqueuer.manager.schedule import Entry, Schedule
from enqueuer.queue.port import AfterSync, MessageStore, NotKept
from filterlink.wire.loop import Loop

__all__ = ["Holds", "until_of"]

log = logging.getLogger("QUEUE")
EACH = 0.5
"""Seconds between two readings of the clock, which an administrator may set."""
SLICE = 0.002
"""Seconds that releases and the reading of reasons may take in one turn of the loop. Only the last message may exceed them."""
AGAIN = 30.0
"""Seconds until the engine tries again to release a message whose time has come, after an error of the disk."""
ANSWER_WITHIN = 20.0
"""Seconds that a command waits for a message that a processor has. The mark stays after that."""
LATEST = 1e11
BY_HAND = "by the administrator"
Answer = Callable[[bool, str], None]


class Holds:
    """Part of the queue manager."""

    def __init__(self, loop: Loop, store: MessageStore, schedule: Schedule, after_sync: AfterSync) -> None:
        self._loop = loop
        self._store = store
        self._schedule = schedule
        self._after_sync = after_sync
        self._due: list[tuple[float, int]] = []
        """A heap of times and ids. An item is stale if the message is on hold no longer, or until another time."""
        self._unread: list[int] = []
        """Messages whose reasons were not read yet, the oldest last."""
        self._coming: set[int] = set()
        """Messages that are on their way back."""
        self._asked: dict[int, list[Answer]] = {}
        """Commands that wait for a message to be put on hold."""
        loop.after(EACH, self._look)

    def restore(self, ids: Iterable[int]) -> None:
        """Take over the messages that are on hold. Their times follow, in slices."""
        self._unread = sorted(ids, reverse=True)
        self._schedule.on_hold.update(dict.fromkeys(self._unread, 0.0))

    def keep(self, id: int, until: float) -> None:
        """Note that a message is on hold; `until`: seconds since 1970, 0 = until it is released."""
        until = until_of(until)
        self._schedule.on_hold[id] = until
        if until:
            heapq.heappush(self._due, (until, id))

    def hold(self, id: int, until: float, reason: str, answer: Answer) -> None:
        """Put a message on hold. Its next dispatch does it, because a processor may have to ingest it first. Raises NotKept."""
        entry = self._schedule.entries.get(id)
        if entry is None and id in self._schedule.on_hold:
            raise NotKept(f"message {id} is on hold already; to release it: enqueuer queue release {id}")
        if entry is None:
            raise NotKept(f"the queue has no message {id}")
        if entry.state == "settling":
            raise NotKept(f"message {id} is decided already; to see how: enqueuer queue show {id}")
        entry.hold = f"{BY_HAND}: {reason}" if reason else BY_HAND
        entry.hold_until = until_of(until)
        if entry.state in ("parked", "deferred"):
            self._schedule.wait(entry)
        self._asked.setdefault(id, []).append(answer)
        self._loop.after(ANSWER_WITHIN, lambda: self._late(id, answer))

    def decided(self, id: int, disposition: str, until: float) -> None:
        """Note the outcome of a message: it is on hold now, or it has ended."""
        if disposition == "on_hold":
            self.keep(id, until)
            text = f"{id} is on hold {_until_text(self._schedule.on_hold[id])}"
        else:
            text = f"message {id} was {disposition} meanwhile: it is not on hold"
        for answer in self._asked.pop(id, ()):
            answer(disposition == "on_hold", text)

    def release(self, id: int, answer: Answer) -> None:
        """Bring a message back into the queue. Raises NotKept, OSError."""
        if id not in self._schedule.on_hold or id in self._coming:
            raise NotKept(f"message {id} is not on hold")
        if id in self._schedule.entries:
            raise NotKept(f"message {id} is just being put on hold: try again")
        why = self._store.reason(id, "hold")
        mark, text = goes_on(why)
        if not why.get("rule"):
            mark = b""  # the mark that it has, if it was released from Quarantine before
            text = "its rules are tried again"

        def arrived(size: int, error: OSError | None) -> None:
            self._coming.discard(id)
            if error is not None:
                answer(False, f"message {id}: {error.strerror}")
                return
            del self._schedule.on_hold[id]
            self._schedule.add(Entry(id, b"", size, time.monotonic(), durable=True, ingested=True, counted=True))
            log.log(serverlog.MAJOR, "released: %s", text, extra=serverlog.message_tag(id))
            answer(True, f"{id} released: {text}")

        self._store.requeue(id, "hold", mark, self._after_sync, arrived)
        self._coming.add(id)

    def _late(self, id: int, answer: Answer) -> None:
        """Answer a command whose message a processor still has, or that has gone another way."""
        waiting = self._asked.get(id, [])
        if answer not in waiting:
            return
        waiting.remove(answer)
        if not waiting:
            del self._asked[id]
        here = id in self._schedule.entries
        left = f"message {id} has left the queue meanwhile; to see how: enqueuer queue show {id}"
        answer(here, f"{id} will be on hold as soon as its processor is done with it, unless it is decided by then" if here else left)

    def _look(self) -> None:
        """Read reasons, and release messages whose time has come, a slice at a time."""
        until = time.monotonic() + SLICE
        now = time.time()
        while self._unread or (self._due and self._due[0][0] <= now):
            if self._unread:
                self._read(self._unread.pop())
            else:
                self._end(*heapq.heappop(self._due), now)
            if time.monotonic() >= until:
                self._loop.after(0, self._look)
                return
        self._loop.after(EACH, self._look)

    def _read(self, id: int) -> None:
        if id not in self._schedule.on_hold:
            return
        try:
            why = self._store.reason(id, "hold")
        except OSError as error:
            log.error("its time on hold cannot be read: %s; it stays there until it is released", error, extra=serverlog.message_tag(id))
        else:
            self.keep(id, until_of(why.get("until")))

    def _end(self, at: float, id: int, now: float) -> None:
        """Release a message whose time has come."""
        until = self._schedule.on_hold.get(id, 0.0)
        if not until or until > now or id in self._coming:
            return

        def answer(done: bool, text: str) -> None:
            if not done:
                log.error("its time on hold has ended, but it stays for now: %s", text, extra=serverlog.message_tag(id))
                heapq.heappush(self._due, (max(at, time.time()) + AGAIN, id))

        try:
            self.release(id, answer)
        except OSError as error:
            answer(False, str(error))
        except NotKept as error:
            answer(False, str(error))


def until_of(value: object) -> float:
    """Return a time of a reason or command; 0.0 if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LATEST:
        return 0.0
    return float(value)


def _until_text(until: float) -> str:
    return f"until {datetime.fromtimestamp(until).isoformat(' ', 'seconds')}" if until else "until it is released"
