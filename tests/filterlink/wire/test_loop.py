"""The loop: descriptors and timers, each called when its time has come and never after it was forgotten."""

import os
import time
from collections.abc import Iterator

import pytest

from filterlink.wire.loop import STILL, WRITE, Alarm, Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def test_a_ready_descriptor_is_told(loop: Loop, pipe: tuple[int, int]) -> None:
    """A callback comes with each turn while there is something to read, and none before."""
    told: list[int] = []
    loop.watch(pipe[0], told.append)
    loop.turn(0)
    assert told == []

    os.write(pipe[1], b"x")
    loop.turn(1)
    loop.turn(1)
    assert len(told) == 2


def test_forgotten_in_the_same_turn(loop: Loop, pipe: tuple[int, int]) -> None:
    """A callback that forgets another descriptor is the last that is heard of it, even if it is ready too."""
    other = os.pipe()
    told: list[int] = []

    def forget(fd: int) -> None:
        told.append(fd)
        loop.forget(fd)

    loop.watch(pipe[0], lambda _: forget(other[0]))
    loop.watch(other[0], lambda _: forget(pipe[0]))
    os.write(pipe[1], b"x")
    os.write(other[1], b"x")
    loop.turn(1)

    assert len(told) == 1
    for fd in other:
        os.close(fd)


def test_forgetting_twice_is_harmless(loop: Loop, pipe: tuple[int, int]) -> None:
    loop.watch(pipe[0], lambda _: None)
    loop.forget(pipe[0])
    loop.forget(pipe[0])


def test_modify_changes_what_is_told(loop: Loop, pipe: tuple[int, int]) -> None:
    """A pipe that is watched for nothing says nothing, until it is watched for room again."""
    told: list[int] = []
    loop.watch(pipe[1], told.append, 0)
    loop.turn(0)
    loop.modify(pipe[1], WRITE)
    loop.turn(1)

    assert told == [WRITE]


def test_what_is_put_off_comes_after_all_that_is_due(loop: Loop, pipe: tuple[int, int]) -> None:
    """Once, behind the callbacks and timers of the turn, before the loop waits again."""
    called: list[str] = []

    def ready(_events: int) -> None:
        os.read(pipe[0], 1)
        loop.soon(lambda: called.append("soon"))
        called.append("ready")

    loop.watch(pipe[0], ready)
    os.write(pipe[1], b"x")
    loop.at(time.monotonic() - 1, lambda: called.append("timer"))
    loop.turn(0)
    loop.turn(0)
    loop.turn(0)

    assert called == ["ready", "timer", "soon"]


def test_timers_come_in_the_order_of_their_times(loop: Loop) -> None:
    """What is due earlier is called earlier; of two that are due at once, the one that was asked for first."""
    called: list[str] = []
    now = time.monotonic()
    loop.at(now - 1, lambda: called.append("b"))
    loop.at(now - 2, lambda: called.append("a"))
    loop.at(now - 1, lambda: called.append("c"))
    loop.at(now + 3600, lambda: called.append("never"))
    loop.turn(1)

    assert called == ["a", "b", "c"]


def test_a_cancelled_timer_never_comes(loop: Loop) -> None:
    called: list[str] = []
    first = loop.after(-1, lambda: called.append("first"))
    loop.after(-1, lambda: called.append("second"))
    first.cancel()
    loop.turn(0)

    assert called == ["second"]


def test_a_turn_ends_with_the_first_timer(loop: Loop) -> None:
    """A turn waits for the next timer, not for its longest time."""
    called: list[str] = []
    loop.after(0.01, lambda: called.append("due"))
    began = time.monotonic()
    while not called:
        loop.turn(60)

    assert time.monotonic() - began < 30


def test_stop_ends_the_run(loop: Loop) -> None:
    """run() returns after the turn in which somebody said stop, and can be called again."""
    for _ in range(2):
        loop.after(0, loop.stop)
        loop.run()


def test_time_in_which_the_loop_stood_still_does_not_count(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it waited, and while it did something: its clock never goes back, and never runs for longer than STILL without a look."""
    clock = [1000.0]
    readings = list[float]()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    loop.turn(0)
    readings.append(loop.now())
    clock[0] += 100
    readings.append(loop.now())
    loop.turn(0)
    readings.append(loop.now())
    clock[0] += 0.5
    readings.append(loop.now())

    assert readings == sorted(readings)
    assert readings[2] - readings[0] <= STILL
    assert readings[3] - readings[2] == 0.5


def test_an_alarm_has_one_timer(loop: Loop) -> None:
    """Five that ask for it at each call would have a million timers after a few calls."""
    calls: list[int] = []

    def act() -> None:
        calls.append(len([timer for *_, timer in loop._timers if timer.action is not None]))
        for seconds in (0.002, 0.001, 0.003, 0.001, 0.002):
            alarm.after(seconds)

    alarm = Alarm(loop, act)
    act()
    while len(calls) < 10:
        loop.turn(1)

    assert max(calls) <= 1


def test_cancelled_timers_do_not_fill_the_memory() -> None:
    loop = Loop()
    due = []
    kept = [loop.after(0.0, lambda n=n: due.append(n)) for n in range(5)]  # type: ignore[misc]
    for _ in range(50_000):
        loop.after(100.0, lambda: due.append(-1)).cancel()
    assert len(loop._timers) < 5_000
    loop.turn(0)
    loop.turn(0)
    assert sorted(due) == [0, 1, 2, 3, 4]
    assert len(kept) == 5
    loop.close()
