"""The scoreboard: a shared page of memory on which every process shows what it does, and which holds the totals.

Forked processes write it without a lock and without a system call. So the supervisor sees what goes on even when the
queue manager hangs, and the counts of a killed queue manager survive. Each word has one writer.
"""

import contextlib
import mmap
import time
from collections.abc import Iterator, Sequence

import msgspec

from enqueuer.config.schema import MAX_DOOR_PROCESSES
from enqueuer.ipc.doortallies import DoorTallies
from enqueuer.ipc.ruletallies import RuleTallies
from enqueuer.ipc.sharedpage import SharedPage
from enqueuer.ipc.timings import MANAGER_WORDS, PROCESSOR_WORDS
from filterlink.wire.frames import FilterState

__all__ = [
    "DISPOSITIONS",
    "GAUGES",
    "HEARTBEAT",
    "MAX_PROCESSORS",
    "MAX_SLOTS",
    "STATES",
    "TOTALS",
    "IntakeState",
    "Scoreboard",
    "StuckDrops",
    "Task",
]

HEARTBEAT = 0.5
"""Seconds within which the loops of queue manager and filterlink turn, if only to show that they run."""
MAX_PROCESSORS = 1000
MAX_SLOTS = 2 * MAX_PROCESSORS
"""Slots for twice the processors: leaving ones occupy theirs while their successors start."""
TOTALS = ("received", "returned", "enqueued", "discarded", "quarantined", "rejected", "bad", "refused")
DISPOSITIONS = TOTALS[2:7]
"""How a message ends."""
DECISIONS = (*TOTALS, "on_hold")
"""What may be decided of a message. One that is put on hold has not ended: no total has it."""
GAUGES = (
    "spool",
    "waiting",
    "active",
    "parked",
    "deferred",
    "oldest",
    "small_waiting",
    "small_active",
    "large_waiting",
    "large_active",
    "settling",
    "unaccounted",
    "oldest_deferred",
    "on_hold",
)
STATES = ("idle", "reading", "rules", "filter", "writing")

_DISPATCH, _RECOVERED, _FATE_ID, _FATE_KIND, _FATE_OLD, _DISTRUST, _DECISIONS = range(7)
_MOVING, _TURNS, _RECOVERING, _FILTER_TURNS, _SYNCING, _PROCESSORS, _TOLD = range(7, 14)
_TOTALS = 16
_GAUGES = _TOTALS + len(TOTALS)
_CALLERS = {"filterlink": 40, "watcher": 41}  # the pids of callers of the queue manager that have no slot
_SLOTS = 64  # in words of 8 bytes
_SLOT = 16  # state, since, message, large, generation, length of the filter's name, the name (64 bytes), pid, 1 free
_PID = 14  # within a slot
_FILTERS = _SLOTS + MAX_SLOTS * _SLOT
_FILTERS_BYTES = 256 << 10
_DECIDED = _FILTERS + _FILTERS_BYTES // 8  # a ring of id and disposition
MAX_DECIDED = 4096
"""More messages than ever are between their commit and their count (committer.MOST, and a few that the disk refused)."""
_LAPS = _DECIDED + 2 * MAX_DECIDED  # the queue manager's, then each processor's
_INTAKE = _LAPS + MANAGER_WORDS + MAX_SLOTS * PROCESSOR_WORDS
_INTAKE_BYTES = 64 << 10
_DOORS = _INTAKE + _INTAKE_BYTES // 8
_DOORS_BYTES = 16 << 10
_SIZE = _DOORS * 8 + MAX_DOOR_PROCESSES * _DOORS_BYTES


class Task(msgspec.Struct, frozen=True):
    """What one processor does now."""

    state: str
    since: float
    """time.monotonic() seconds."""
    message: int
    large: bool
    filter: str


class StuckDrops(msgspec.Struct, frozen=True):
    """Files in the drop folder that are not taken, for one reason."""

    why: str
    count: int
    example: str
    """The name of one of them, printable."""


class IntakeState(msgspec.Struct, frozen=True):
    """What stops new mail."""

    paused: str | None = None
    """Why no drop is taken, in one line; None: drops are taken."""
    stuck: tuple[StuckDrops, ...] = ()


class Scoreboard:
    """An anonymous shared mapping, made before the first fork."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, _SIZE)
        self._words = memoryview(self._map).cast("Q")
        self._filters = SharedPage(self._map, _FILTERS * 8, _FILTERS_BYTES, tuple[FilterState, ...], ())
        self._intake = SharedPage(self._map, _INTAKE * 8, _INTAKE_BYTES, IntakeState, IntakeState())
        starts = range(_DOORS * 8, _SIZE, _DOORS_BYTES)
        self.rules = RuleTallies(MAX_SLOTS + MAX_DOOR_PROCESSES)
        self.doors = [SharedPage(self._map, start, _DOORS_BYTES, DoorTallies, DoorTallies()) for start in starts]
        """A page for each door process, which it writes. The page outlives the process."""

    # ---- totals and gauges: written by the queue manager

    def total(self, name: str) -> int:
        return self._words[_TOTALS + TOTALS.index(name)]

    def totals(self) -> dict[str, int]:
        return {name: self._words[_TOTALS + at] for at, name in enumerate(TOTALS)}

    def add(self, name: str, count: int = 1) -> None:
        self._words[_TOTALS + TOTALS.index(name)] += count

    def set_total(self, name: str, value: int) -> None:
        self._words[_TOTALS + TOTALS.index(name)] = value

    def gauges(self) -> dict[str, int]:
        return {name: self._words[_GAUGES + at] for at, name in enumerate(GAUGES)}

    def set_gauges(self, values: Sequence[int]) -> None:
        """Set all gauges, in the order of GAUGES, at a turn of the queue manager's loop. `oldest`: time.monotonic_ns() of its arrival, 0
        = nothing waits; `oldest_deferred`: since when it is deferred, 0 = none is.
        """
        for at, value in enumerate(values, _GAUGES):
            self._words[at] = value
        self._words[_TURNS] += 1

    def recovering(self) -> None:
        """Count one more message that the recovery has examined."""
        self._words[_RECOVERING] += 1

    def filterlink_turned(self) -> None:
        self._words[_FILTER_TURNS] += 1

    def heartbeat(self) -> tuple[int, int, int]:
        """Return what changes while the engine runs: the queue manager's turns, the messages it has recovered, filterlink's turns."""
        return self._words[_TURNS], self._words[_RECOVERING], self._words[_FILTER_TURNS]

    @property
    def dispatches(self) -> int:
        return self._words[_DISPATCH]

    def decide(self, id: int, disposition: str) -> None:
        """Note the disposition of a message before its commit, for a successor that finds the outcome decided."""
        at = _DECIDED + self._words[_DECISIONS] % MAX_DECIDED * 2
        self._words[at] = 0
        self._words[at + 1] = DECISIONS.index(disposition)
        self._words[at] = id
        self._words[_DECISIONS] += 1

    def decided(self, id: int) -> str | None:
        """Return the last disposition of a message that was committed a short time ago. A released message may have had another one."""
        count = self._words[_DECISIONS]
        slots = (_DECIDED + number % MAX_DECIDED * 2 for number in range(count - 1, max(count - MAX_DECIDED, 0) - 1, -1))
        return next((DECISIONS[self._words[at + 1]] for at in slots if self._words[at] == id), None)

    def told(self) -> None:
        """Note that the log has all decisions so far."""
        self._words[_TOLD] = self._words[_DECISIONS]

    def untold(self) -> list[tuple[int, str]]:
        """Return messages, with their dispositions, whose decision may be missing in the log."""
        first = max(self._words[_TOLD], self._words[_DECISIONS] - MAX_DECIDED, 0)
        slots = [_DECIDED + number % MAX_DECIDED * 2 for number in range(first, self._words[_DECISIONS])]
        return [(self._words[at], DECISIONS[self._words[at + 1]]) for at in slots]

    @property
    def moving(self) -> int:
        """Return the message whose file is being moved to its destination, and which is counted after that; 0: none."""
        return self._words[_MOVING]

    @moving.setter
    def moving(self, id: int) -> None:
        self._words[_MOVING] = id

    def distrust(self) -> int:
        """Note that a sync failed; return the last dispatch number given. Nothing written up to that dispatch is trusted."""
        self._words[_DISTRUST] = 1
        self._words[_SYNCING] = 0
        return self._words[_DISPATCH]

    @property
    def distrusts(self) -> bool:
        """Return whether a sync of this engine has failed, or its process died before the result was known."""
        return bool(self._words[_DISTRUST] or self._words[_SYNCING])

    @contextlib.contextmanager
    def syncing(self) -> Iterator[None]:
        """Show that a sync runs. The kernel reports an error only once: if the queue manager is killed then, the error is lost."""
        self._words[_SYNCING] = 1
        yield
        self._words[_SYNCING] = 0  # after an error it stays set until distrust() has noted the error

    def announce(self, id: int, disposition: str) -> None:
        """Note, before a total rises, which one, for which message, and its old value. The id is written last: it makes the rest valid."""
        kind = TOTALS.index(disposition)
        self._words[_FATE_ID] = 0
        self._words[_FATE_KIND] = kind
        self._words[_FATE_OLD] = self._words[_TOTALS + kind]
        self._words[_FATE_ID] = id

    @property
    def announced(self) -> int:
        """Return the message whose disposition was announced last: its total may have risen or not; 0: none."""
        return self._words[_FATE_ID]

    def take_back(self) -> None:
        """Reset the total announced last to its old value: its message is counted again. May be repeated."""
        self._words[_TOTALS + self._words[_FATE_KIND]] = self._words[_FATE_OLD]
        self._words[_FATE_ID] = 0

    def next_dispatch(self) -> int:
        """Return a dispatch number that this engine never gave before, in any of its queue managers."""
        self._words[_DISPATCH] += 1
        return self._words[_DISPATCH]

    def born(self, role: str, slot: int, pid: int) -> None:
        """Note the pid of a process that will call the queue manager. The process sets it at its birth; the supervisor sets 0 when it is
        reaped.
        """
        if role == "processor":
            self._words[_SLOTS + slot * _SLOT + _PID] = pid
        elif role in _CALLERS:
            self._words[_CALLERS[role]] = pid

    def is_ours(self, pid: int) -> bool:
        """Return whether one of our processes has this pid and is not reaped yet. No helper writes here."""
        return pid > 0 and (pid in self._words[40:42] or pid in self._words[_SLOTS + _PID : _FILTERS : _SLOT])

    @property
    def recovered(self) -> bool:
        """Note that a recovery of this engine has run to its end: from then on only the queue manager can be new."""
        return bool(self._words[_RECOVERED])

    @recovered.setter
    def recovered(self, done: bool) -> None:
        self._words[_RECOVERED] = done

    @property
    def processors(self) -> int:
        """The intended number of processors. Written by the supervisor."""
        return self._words[_PROCESSORS]

    @processors.setter
    def processors(self, count: int) -> None:
        self._words[_PROCESSORS] = count

    # ---- timings: where the time goes

    @property
    def manager_timings(self) -> memoryview:
        return self._words[_LAPS : _LAPS + MANAGER_WORDS]

    def processor_timings(self, slot: int) -> memoryview:
        at = _LAPS + MANAGER_WORDS + slot * PROCESSOR_WORDS
        return self._words[at : at + PROCESSOR_WORDS]

    # ---- processors: each writes its own slot

    def work(self, slot: int, state: str, message: int = 0, *, large: bool = False, filter: str = "") -> None:
        """Show what the processor in this slot does from now on."""
        at = _SLOTS + slot * _SLOT
        name = filter.encode()[:64]
        self._words[at] = STATES.index(state)
        self._words[at + 1] = time.monotonic_ns()
        self._words[at + 2] = message
        self._words[at + 3] = large
        self._words[at + 5] = len(name)
        if name:
            self._map[(at + 6) * 8 : (at + 6) * 8 + len(name)] = name

    def task(self, slot: int) -> Task:
        """Read a slot. If its processor writes at this instant, the result may be mixed; the next read is right."""
        at = _SLOTS + slot * _SLOT
        state, since, message, large, _, length = self._words[at : at + 6]
        name = self._map[(at + 6) * 8 : (at + 6) * 8 + min(length, 64)].decode("utf-8", "replace")
        return Task(STATES[min(state, len(STATES) - 1)], since / 1e9, message, bool(large), name)

    # ---- filters: written by filterlink; the intake: by the queue manager

    def publish_filters(self, states: Sequence[FilterState]) -> None:
        self._filters.publish(tuple(states))

    def filters(self) -> tuple[FilterState, ...]:
        """Return the states of the filters."""
        return self._filters.read()

    def publish_intake(self, state: IntakeState) -> None:
        self._intake.publish(state)

    def intake(self) -> IntakeState:
        """Return what stops new mail."""
        return self._intake.read()
