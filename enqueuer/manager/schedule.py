"""Which message goes next: lanes, and which messages are parked, deferred or active. Pure: no file, no clock; `now` is an argument.

The oldest message whose lane has room goes first. A message is in one state, and each method is an event (states.py):

new        the schedule does not have it yet
waiting    may be dispatched
active     a processor has it
settling   its outcome waits for the next sync and its commit
parked     waits for room in a filter
deferred   a filter could not scan it; it is offered again at a time
gone       it has left the queue

An event that the state does not allow raises IllegalEvent.
"""

import heapq
from collections.abc import Collection
from typing import Literal

import msgspec

from enqueuer.manager.states import COUNTED, Event, IllegalEvent, State, after
from enqueuer.policy.lanes import Lanes
from filterlink.wire.frames import VerdictFrame

__all__ = ["Entry", "Place", "Schedule"]

Place = Literal["bad", "quarantine"]
"""The folder of a message that is given up."""


SMALL, LARGE, SUSPECT = range(3)
BACK_EACH = 0.0005
"""Seconds between deferred messages that come back together: even a hundred thousand of them must not overrun the filter."""
MAX_REASON = 200
"""Characters kept of the reason why a message is parked or deferred: a hundred thousand messages may have one."""


class Entry(msgspec.Struct):
    """One message that the queue manager knows of."""

    id: int
    ref: bytes
    """The store's reference to its source; b"" if it has none."""
    size: int
    since: float
    """time.monotonic() of its arrival here."""
    durable: bool = False
    """Its message file is durable, and it needs no source."""
    ingested: bool = False
    counted: bool = False
    """It was counted as received."""
    stamp: tuple[int, int] | None = None
    verdicts: tuple[VerdictFrame, ...] = ()
    state: State = "new"
    n: int = 0
    """The current dispatch, or the last one."""
    large: bool = False
    filter: str = ""
    """The filter for which it is parked, which deferred it, or for which it was set aside last."""
    aside: float = 0.0
    """time.monotonic() since when it waits for that filter, parked or deferred. Tries in between do not reset it."""
    reason: str = ""
    """Why it is parked or deferred."""
    until: float = 0.0
    """time.monotonic() at which it is offered again, while it is deferred."""
    apart: bool = False
    """It is woken by its id."""
    doom: tuple[str, str | None, Place] | None = None
    """It must be given up as soon as no processor works on it: the reason, the filter, and the folder."""
    was_held: bool = False
    suspect: bool = False
    """It was active when the process that had it died: it runs while no other suspect does."""
    notes: tuple[str, ...] = ()
    """Events for its .why file."""
    rule: str = ""
    """The rule whose filter refused it too often."""
    refusals: int = 0
    """How often a filter that scans others refused it, since this queue manager started."""
    own: bool = False
    """Its drop may have been written by a filter: its owner is an account that filters run as."""
    begun: int = 0
    """Its first dispatch, in nanoseconds since 1970."""
    deaths: int = 0
    """Processors in a row that ended while they had it."""
    hold: str = ""
    """Why an administrator puts it on hold. Its next dispatch does it."""
    hold_until: float = 0.0
    """Seconds since 1970; 0 = until it is released."""


class Schedule:
    """All messages between claim and commit."""

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self.entries: dict[int, Entry] = {}
        self.on_hold: dict[int, float] = {}
        """Messages that no processor gets, with their times (holds.py)."""
        self.counts: dict[State, int] = dict.fromkeys(COUNTED, 0)
        self._large = dict(self.counts)  # how many of each are large
        self._ready: tuple[list[int], ...] = ([], [], [])  # waiting ids by lane: heaps; stale ids are skipped
        self._alone: Entry | None = None  # the suspect that was dispatched last
        self._parked: dict[tuple[str, bool], list[int]] = {}  # by filter and lane
        self._owed: dict[tuple[str, bool], int] = {}
        self._owed_ids: set[int] = set()  # of active messages
        self._held: list[tuple[float, int]] = []  # a heap; an item is stale if it differs from entry.until
        self._deferred: list[tuple[float, int]] = []  # a heap by entry.aside; an item is stale if that differs or it is not deferred

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, entry: Entry) -> None:
        """Add a new message; it waits."""
        if entry.id in self.entries:
            raise IllegalEvent(f"message {entry.id} is {self.entries[entry.id].state}: another message with this id cannot be added")
        self._join_lane(entry, "add")
        self.entries[entry.id] = entry

    def next(self) -> Entry | None:
        """Make the oldest message whose lane has room active, and return it."""
        open_lanes = [SMALL]
        if self._large["active"] < self.lanes.limit:
            open_lanes.append(LARGE)
        if not (self._alone is not None and self._alone.suspect and self._alone.state == "active"):
            open_lanes.append(SUSPECT)
        heads = [(id, lane) for lane in open_lanes if (id := self._head(self._ready[lane])) is not None]
        if not heads:
            return None
        chosen = self.entries[heapq.heappop(self._ready[min(heads)[1]])]
        self._apply(chosen, "dispatch")
        if chosen.suspect:
            self._alone = chosen
        return chosen

    def suspect(self, entry: Entry) -> None:
        """Have a waiting message run while no other suspect does."""
        self._apply(entry, "suspect")
        entry.suspect = True
        heapq.heappush(self._ready[SUSPECT], entry.id)

    def settle(self, entry: Entry) -> None:
        """Note that the outcome is to be committed: a processor gave it, or the message is given up."""
        self._apply(entry, "settle")

    def park(self, entry: Entry, filter: str, *, apart: bool = False, now: float = 0.0, reason: str = "") -> None:
        """Set a message aside until that filter wakes it, by its id if it is parked apart. The wake may have come before."""
        after(entry.state, "park", entry.id)
        key = filter, entry.large
        if entry.id in self._owed_ids or (not apart and self._owed.get(key, 0) > 0):
            if entry.id not in self._owed_ids:
                self._owed[key] -= 1
            self._owed_ids.discard(entry.id)
            self.wait(entry)
            return
        self._set_aside(entry, filter, now, reason)
        entry.apart = apart
        self._apply(entry, "park")
        if not apart:
            heapq.heappush(self._parked.setdefault(key, []), entry.id)

    def wake(self, filter: str, count: int, *, large: bool = False) -> None:
        """Wake the oldest messages that a filter has room for, `count` of a lane. Wakes for messages that are not parked yet are owed to
        them.
        """
        heap = self._parked.get((filter, large), [])
        while count and heap:
            entry = self.entries.get(heapq.heappop(heap))
            if entry is not None and entry.state == "parked" and not entry.apart and (entry.filter, entry.large) == (filter, large):
                self.wait(entry)
                count -= 1
        owed = self._owed.get((filter, large), 0) + count
        self._owed[filter, large] = min(owed, self.counts["active"])

    def wake_one(self, filter: str, id: int) -> None:
        """Wake one message: its answer has arrived, or it can now be scanned alone."""
        entry = self.entries.get(id)
        if entry is not None and entry.state == "parked" and entry.filter == filter:
            self.wait(entry)
        elif entry is not None and entry.state == "active":
            self._owed_ids.add(id)

    def wake_all(self) -> None:
        """Wake all parked messages: a new multiplexer knows none of them, so they ask again."""
        for entry in [each for each in self.entries.values() if each.state == "parked"]:
            self.wait(entry)
        for known in (self._parked, self._owed, self._owed_ids):
            known.clear()

    def defer(self, entry: Entry, filter: str, until: float, *, now: float = 0.0, reason: str = "") -> None:
        """Set a message aside until a time."""
        self._owed_ids.discard(entry.id)
        self._set_aside(entry, filter, now, reason)
        if entry.state != "deferred":
            heapq.heappush(self._deferred, (entry.aside, entry.id))
        self._apply(entry, "defer")
        self._offer_at(entry, until)

    def release_due(self, now: float) -> float | None:
        """Have all deferred messages wait again whose time is past; return when the next one is due, or None."""
        while self._held:
            until, id = self._held[0]
            entry = self.entries.get(id)
            stands = entry is not None and entry.state == "deferred" and entry.until == until
            if stands and until > now:
                return until
            heapq.heappop(self._held)
            if entry is not None and stands:
                self.wait(entry)
        return None

    def hasten(self, filters: Collection[str], start: float, latest: float) -> None:
        """Offer the messages that these filters deferred from `start` on, the oldest first, one by one. Offer those of any filter by
        `latest`.
        """
        held = [each for each in self.entries.values() if each.state == "deferred" and each.filter]
        theirs = sorted(each.id for each in held if each.filter in filters)
        turns = {id: start + place * BACK_EACH for place, id in enumerate(theirs)}
        for entry in held:
            until = min(turns.get(entry.id, latest), latest)
            if until < entry.until:
                self._offer_at(entry, until)

    def wait(self, entry: Entry) -> None:
        """Have a message wait for a processor again."""
        entry.reason = ""
        self._join_lane(entry, "wait")

    def older(self, entry: Entry) -> int:
        """Return how many messages of its lane wait for a processor before it."""
        return sum(each.state == "waiting" and each.large is entry.large and each.id < entry.id for each in self.entries.values())

    def remove(self, entry: Entry) -> None:
        """Remove a message that has left the queue."""
        self._owed_ids.discard(entry.id)
        self._apply(entry, "remove")
        del self.entries[entry.id]

    def lane(self, state: State, *, large: bool) -> int:
        """Return how many messages of a lane are in a state."""
        return self._large[state] if large else self.counts[state] - self._large[state]

    def oldest(self) -> Entry | None:
        """Return the waiting message that is next by age, in whichever lane."""
        heads = [id for lane in self._ready if (id := self._head(lane)) is not None]
        return self.entries[min(heads)] if heads else None

    def deferred_since(self) -> float:
        """Return when the longest deferred message was deferred (time.monotonic()); 0.0 = no message is deferred."""
        while self._deferred:
            since, id = self._deferred[0]
            entry = self.entries.get(id)
            if entry is not None and entry.state == "deferred" and entry.aside == since:
                return since
            heapq.heappop(self._deferred)
        return 0.0

    def gauges(self) -> tuple[int, ...]:
        """Return the gauges for the board, in the order of GAUGES between the first and the last."""
        waiting, active, settling, parked, held = self.counts.values()
        large_waiting, large_active, *_ = self._large.values()
        oldest = self.oldest() if waiting else None
        since = int(oldest.since * 1e9) if oldest else 0
        lanes = waiting - large_waiting, active - large_active, large_waiting, large_active
        return (waiting, active + settling, parked, held, since, *lanes, settling)

    def _set_aside(self, entry: Entry, filter: str, now: float, reason: str) -> None:
        if entry.filter != filter or not entry.aside:
            entry.filter = filter
            entry.aside = now
        entry.reason = reason[:MAX_REASON]

    def _offer_at(self, entry: Entry, until: float) -> None:
        entry.until = until
        heapq.heappush(self._held, (until, entry.id))

    def _join_lane(self, entry: Entry, event: Event) -> None:
        """Choose the lane by the size of the message again: a changed large_over counts from now on."""
        self._apply(entry, event, large=entry.size > self.lanes.large_over)
        heapq.heappush(self._ready[_lane(entry)], entry.id)

    def _head(self, lane: list[int]) -> int | None:
        """Return the first id of a lane that still waits in it."""
        while lane:
            entry = self.entries.get(lane[0])
            if entry is not None and entry.state == "waiting" and self._ready[_lane(entry)] is lane:
                return lane[0]
            heapq.heappop(lane)
        return None

    def _apply(self, entry: Entry, event: Event, *, large: bool | None = None) -> None:
        """Change the state by TRANSITIONS, and the counts with it. `large`: change the lane, too. Raises IllegalEvent."""
        state = after(entry.state, event, entry.id)
        if entry.state in self.counts:
            self.counts[entry.state] -= 1
            self._large[entry.state] -= entry.large
        if large is not None:
            entry.large = large
        entry.state = state
        if state in self.counts:
            self.counts[state] += 1
            self._large[state] += entry.large


def _lane(entry: Entry) -> int:
    return SUSPECT if entry.suspect else LARGE if entry.large else SMALL
