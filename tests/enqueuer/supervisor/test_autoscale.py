"""How many processors there should be: it grows for a reason, shrinks when it may, and no load makes it swing for long."""

import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enqueuer.supervisor.autoscale import CPU_LIMIT, LOOK, MOST_PATIENCE, Autoscale, LoadSample, Room

HOUR = 3600.0
IDLE = 30.0
Load = Callable[[float], float]
"""Messages/s that arrive at a time."""


class World:
    """An engine in numbers: messages arrive, a filter of `slots` takes `seconds` for each and `cpu` seconds of one of `cores`."""

    def __init__(self, load: Load, *, seconds: float = 0.2, slots: int = 64, cpu: float = 0.001, cores: int = 2, steps: int = 10) -> None:
        self.load = load
        self.seconds = seconds
        self.slots = slots
        self.cpu = cpu
        self.cores = cores
        self.steps = steps
        self.auto = Autoscale(2, 2, 32, IDLE)
        self.there = self.now = 0.0
        self.changes: list[tuple[float, int, str]] = []

    def run(self, seconds: float) -> "World":
        """Go on for so long."""
        for _ in range(int(seconds / LOOK)):
            self._turn(self.now)
            self.now += LOOK
        return self

    def _turn(self, now: float) -> None:
        step = LOOK / self.steps
        scanned = 0.0
        rate = 0.0
        for n in range(self.steps):
            self.there += self.load(now + n * step) * step
            scanned = min(self.there, self.auto.count, self.slots)
            rate = min(scanned / self.seconds, self.cores / self.cpu, self.there / step)
            self.there -= rate * step
        # what the filter has no slot for is parked: it waits for no processor
        waiting = 0 if self.auto.count > self.slots else math.floor(max(0.0, self.there - self.auto.count))
        busy = math.ceil(scanned - 1e-6)
        used = rate * self.cpu / self.cores
        if why := self.auto.look(LoadSample(now, waiting, busy, self.auto.count - busy, used, Room("F", max(0, self.slots - busy)))):
            self.changes.append((now, self.auto.count, why))

    @property
    def counts(self) -> list[int]:
        return [count for _, count, _ in self.changes]

    @property
    def turns(self) -> int:
        """How often it went up after down, or down after up."""
        counts = [2, *self.counts]
        ups = [after > before for before, after in itertools.pairwise(counts)]
        return sum(one != other for one, other in itertools.pairwise(ups))


def wave(high: float, on: float, off: float, low: float = 0.0) -> Load:
    return lambda now: high if now % (on + off) < on else low


def seen(now: float, **but: object) -> LoadSample:
    """Messages that wait for nothing but a processor."""
    values: dict[str, object] = {"waiting": 100, "busy": 4, "idle": 0, "cpu": 0.4, "room": Room("F", 12)} | but
    return LoadSample(now, **values)  # type: ignore[arg-type]


def grown(**but: object) -> tuple[int, str]:
    """What comes of two looks like these, from 4 processors of 2 to 32."""
    auto = Autoscale(4, 2, 32, IDLE)
    whys = [auto.look(seen(LOOK * n, **but)) for n in range(2)]
    return auto.count, whys[-1]


def test_it_grows_while_messages_wait_for_nothing_else() -> None:
    """By half, with the reason in one line; what there is no use for is not forked."""
    assert grown(waiting=120) == (6, '120 messages wait, filter "F" has 12 free slots, CPU 40 %')
    assert grown(waiting=1) == (5, '1 message waits, filter "F" has 12 free slots, CPU 40 %')
    assert grown(room=Room("F", 1))[0] == 5
    assert grown(room=None) == (6, "100 messages wait, the rules ask no filter, CPU 40 %")


@pytest.mark.parametrize(
    "but",
    [
        {"waiting": 0},
        {"idle": 1},
        {"cpu": CPU_LIMIT},
        {"cpu": None},
        {"room": Room("F", 0)},
    ],
    ids=lambda but: next(iter(but)),
)
def test_it_does_not_grow_where_that_would_not_help(but: dict[str, object]) -> None:
    """Nothing waits; processors are idle all the same; the CPU is the limit, or not known; no filter has a free slot."""
    assert grown(**but) == (4, "")


def test_one_look_is_no_load() -> None:
    """What waits at one look and not at the next changes nothing."""
    auto = Autoscale(4, 2, 32, IDLE)

    assert [auto.look(seen(n * LOOK, waiting=100 if n % 2 else 0)) for n in range(20)] == [""] * 20


def test_it_keeps_within_its_bounds() -> None:
    """Those of the settings in force, at once."""
    auto = Autoscale(50, 2, 32, IDLE)
    assert auto.count == 32
    auto.configure(2, 8, IDLE)

    assert (auto.look(seen(0)), auto.count) == ("auto_min is 2, auto_max 8", 8)
    assert [auto.look(seen(LOOK * n)) for n in range(1, 10)] == [""] * 9
    auto.configure(10, 12, IDLE)
    auto.look(seen(100.0, waiting=0, busy=0, idle=8))
    assert auto.count == 10


def test_a_pile_is_worked_off_by_many_and_then_they_leave() -> None:
    """From 2 to what the filter has slots for within ten seconds; back when nothing came for as long as was said."""
    world = World(lambda now: 400 if now < 20 else 0, slots=16).run(300)

    assert world.counts[:6] == [3, 4, 6, 9, 13, 16]
    assert world.changes[5][0] < 10
    assert (world.counts[-1], world.turns) == (2, 1)
    assert world.changes[-1][2] == "at most 0 busy in the last 30 s"


def test_a_filter_that_computes_gets_what_the_cores_can_do() -> None:
    """It stops where the CPU is the limit, long before the slots are."""
    world = World(lambda _: 1000, seconds=0.1, cpu=0.1, cores=4).run(120)

    assert 4 <= world.auto.count <= 6
    assert world.turns == 0


def test_steady_loads_come_to_rest() -> None:
    """After a minute nothing changes any more, whatever the load."""
    for rate in (1, 7, 20, 50, 100, 159, 161, 1000):
        world = World(lambda _, rate=rate: rate).run(HOUR)  # type: ignore[misc]

        assert [change for change in world.changes if change[0] > 120] == [], rate


def test_part_of_them_leave_when_part_is_enough() -> None:
    """A quarter more than were ever busy stay."""
    world = World(lambda now: 100 if now < 60 else 20).run(200)

    assert world.counts[-1] == 5
    assert world.changes[-1][2] == "at most 4 busy in the last 30 s"


@settings(max_examples=50, deadline=None)
@given(on=st.floats(1.5, 300), off=st.floats(1, 300), high=st.floats(10, 500))
def test_no_square_wave_makes_it_swing_for_long(on: float, off: float, high: float) -> None:
    """What was regretted is waited for longer: a few turns at first, and from the third hour on none at all.

    A peak of about a second is left out: in some rounds two samples see it, in others one.
    """
    world = World(wave(high, on, off), steps=1).run(2 * HOUR)
    turns = world.turns
    world.run(HOUR)

    assert turns <= 2 * math.ceil(math.log2(MOST_PATIENCE)) + 2
    assert world.turns == turns


def test_what_was_learned_outlives_a_reload() -> None:
    """Another key of the file was changed: the swinging does not begin anew. Another auto_idle is another wish."""
    world = World(wave(100, 60, 60), steps=1).run(HOUR)
    turns = world.turns
    world.auto.configure(2, 32, IDLE)
    world.run(HOUR)
    assert world.turns == turns

    world.auto.configure(2, 32, IDLE + 1)
    world.run(HOUR)
    assert world.turns > turns


def test_a_day_is_no_square_wave() -> None:
    """Up in the morning, down in the evening: each evening as soon as the first."""
    day = 86400.0
    world = World(wave(100, day / 3, day * 2 / 3), steps=1).run(3 * day)
    leaves = [now % day - day / 3 for now, count, _ in world.changes if count == 2]

    assert len(leaves) == 3
    assert max(leaves) < 2 * IDLE
