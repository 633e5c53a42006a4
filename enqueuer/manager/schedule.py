"""Which message goes next: lanes, and who is parked, deferred or active. Pure: no file, no clock; `now` is an argument.

The oldest message whose lane has room goes first. A message is in one state, and each method is an event (states.py):

new        the schedule does not have it yet
waiting    may be dispatched
active     a processor has it
settling   its outcome waits for the next sync and its commit
parked     waits for room in a filter
deferred   a filter could not judge it; offered again at a time
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
"""Where a message goes to that is given up."""


SMALL, LARGE, SUSPECT = range(3)
BACK_EACH = 0.001
"""Seconds between deferred messages that come back together: a hundred thousand of them are no stampede on the filter."""
MAX_REASON = 200
"""Characters kept of why a message is parked or deferred: a hundred thousand of them may be."""


class Entry(msgspec.Struct):
    """One message that the queue manager knows of."""

    id: int
    drop: str | None
    """Its name in .taken/, as long as that exists."""
    size: int
    since: float
    """time.monotonic() of its arrival here."""
    ingested: bool = False
    counted: bool = False
    """It was counted as received."""
    stamp: tuple[int, int] | None = None
    verdicts: tuple[VerdictFrame, ...] = ()
    state: State = "new"
    n: int = 0
    """The dispatch under way, or the last one."""
    large: bool = False
    filter: str = ""
    """The filter that it is parked for, or that held it, or for which it was set aside last."""
    aside: float = 0.0
    """time.monotonic() since when it waits for that filter, parked or deferred, however often it was let try meanwhile."""
    reason: str = ""
    """Why it is parked or deferred."""
    until: float = 0.0
    """time.monotonic() at which it is offered again, while it is deferred."""
    apart: bool = False
    """It is woken by its id."""
    doom: tuple[str, str | None, Place] | None = None
    """It is to be given up as soon as no processor works on it: the reason, the filter, and where it goes to."""
    was_held: bool = False
    suspect: bool = False
    """It was being worked on when everything died: it runs while no other suspect does."""
    notes: tuple[str, ...] = ()
    """What happened to it that its .why file should tell."""
    rule: str = ""
    """The rule whose filter refused it too often."""
    refusals: int = 0
    """How often a filter that scans others refused it, since this queue manager started."""
    own: bool = False
    """Its drop may have been written by a filter: the account that owned it is one that filters work as."""
    begun: int = 0
    """Its first dispatch, in nanoseconds since 1970."""
    deaths: int = 0
    """Processors that ended in a row while they had it."""
    taken: tuple[int, int] | None = None
    """How its drop was (time, size) when it was taken: only that is committed."""


class Schedule:
    """All messages between claim and commit."""

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self.entries: dict[int, Entry] = {}
        self.counts: dict[State, int] = dict.fromkeys(COUNTED, 0)
        self._large = dict(self.counts)  # how many of each are large
        self._ready: tuple[list[int], ...] = ([], [], [])  # waiting ids by lane: heaps, stale ones are skipped
        self._alone: Entry | None = None  # the suspect that was dispatched last
        self._parked: dict[tuple[str, bool], list[int]] = {}  # by filter and lane
        self._owed: dict[tuple[str, bool], int] = {}
        self._owed_ids: set[int] = set()  # of active messages
        self._held: list[tuple[float, int]] = []  # a heap; what does not say entry.until is stale

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, entry: Entry) -> None:
        """Take a new message on; it waits."""
        if entry.id in self.entries:
            raise IllegalEvent(f"message {entry.id} is {self.entries[entry.id].state}: another one of this id cannot be added")
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
        """Its outcome is to be committed: a processor gave it, or the message is given up."""
        self._apply(entry, "settle")

    def park(self, entry: Entry, filter: str, *, apart: bool = False, now: float = 0.0, reason: str = "") -> None:
        """Set it aside until that filter wakes it, by its id where it is parked apart; the wake may have come before."""
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
        """The filter has room for so many of a lane: the oldest go on, and what is not parked yet is owed."""
        heap = self._parked.get((filter, large), [])
        while count and heap:
            entry = self.entries.get(heapq.heappop(heap))
            if entry is not None and entry.state == "parked" and not entry.apart and (entry.filter, entry.large) == (filter, large):
                self.wait(entry)
                count -= 1
        owed = self._owed.get((filter, large), 0) + count
        self._owed[filter, large] = min(owed, self.counts["active"])

    def wake_one(self, filter: str, id: int) -> None:
        """That message may go on: its answer is there, or its turn to be judged alone has come."""
        entry = self.entries.get(id)
        if entry is not None and entry.state == "parked" and entry.filter == filter:
            self.wait(entry)
        elif entry is not None and entry.state == "active":
            self._owed_ids.add(id)

    def wake_all(self) -> None:
        """The multiplexer is a new one and knows of nobody: all that are parked ask again."""
        for entry in [each for each in self.entries.values() if each.state == "parked"]:
            self.wait(entry)
        for known in (self._parked, self._owed, self._owed_ids):
            known.clear()

    def defer(self, entry: Entry, filter: str, until: float, *, now: float = 0.0, reason: str = "") -> None:
        """Set it aside until a time."""
        self._owed_ids.discard(entry.id)
        self._set_aside(entry, filter, now, reason)
        self._apply(entry, "defer")
        self._offer_at(entry, until)

    def release_due(self, now: float) -> float | None:
        """Let all deferred messages whose time has come wait again; return when the next one is due."""
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
        """Offer what these filters hold from `start` on, the oldest first, one by one; and what any filter holds by `latest`."""
        held = [each for each in self.entries.values() if each.state == "deferred" and each.filter]
        theirs = sorted(each.id for each in held if each.filter in filters)
        turns = {id: start + place * BACK_EACH for place, id in enumerate(theirs)}
        for entry in held:
            until = min(turns.get(entry.id, latest), latest)
            if until < entry.until:
                self._offer_at(entry, until)

    def wait(self, entry: Entry) -> None:
        """Put a message back among those that wait."""
        entry.reason = ""
        self._join_lane(entry, "wait")

    def older(self, entry: Entry) -> int:
        """How many of its lane wait for a processor, and are before it."""
        return sum(each.state == "waiting" and each.large is entry.large and each.id < entry.id for each in self.entries.values())

    def remove(self, entry: Entry) -> None:
        """It has left the queue."""
        self._owed_ids.discard(entry.id)
        self._apply(entry, "remove")
        del self.entries[entry.id]

    def lane(self, state: State, *, large: bool) -> int:
        """How many of a lane are in a state."""
        return self._large[state] if large else self.counts[state] - self._large[state]

    def oldest(self) -> Entry | None:
        """The waiting message that is next by age, whatever its lane."""
        heads = [id for lane in self._ready if (id := self._head(lane)) is not None]
        return self.entries[min(heads)] if heads else None

    def gauges(self) -> tuple[int, ...]:
        """What the board shows of it, in the order of board.GAUGES between the first and the last."""
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
        """Choose the lane by its size again: a changed large_over counts from now on."""
        self._apply(entry, event, large=entry.size > self.lanes.large_over)
        heapq.heappush(self._ready[_lane(entry)], entry.id)

    def _head(self, lane: list[int]) -> int | None:
        """The first id of a lane that still waits in it."""
        while lane:
            entry = self.entries.get(lane[0])
            if entry is not None and entry.state == "waiting" and self._ready[_lane(entry)] is lane:
                return lane[0]
            heapq.heappop(lane)
        return None

    def _apply(self, entry: Entry, event: Event, *, large: bool | None = None) -> None:
        """Change the state as TRANSITIONS says, and the counts with it; `large`: also the lane. Raises IllegalEvent."""
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
