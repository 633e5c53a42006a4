"""Deadlines that move."""

import time

from enqueuer.doors.http.watchdog import Watchdog
from filterlink.wire.loop import Loop


def run(loop: Loop, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        loop.turn(left)


def test_a_deadline_that_is_moved_fires_once() -> None:
    loop = Loop()
    fired: list[float] = []
    watchdog = Watchdog(loop, lambda: fired.append(time.monotonic()))
    began = time.monotonic()
    watchdog.expect(0.05)
    watchdog.expect(0.15)
    run(loop, 0.4)
    assert len(fired) == 1
    assert fired[0] - began >= 0.15


def test_a_limit_is_not_moved() -> None:
    loop = Loop()
    fired: list[float] = []
    watchdog = Watchdog(loop, lambda: fired.append(time.monotonic()))
    began = time.monotonic()
    watchdog.expect(0.05, in_all=0.1)
    watchdog.expect(60)
    run(loop, 0.3)
    assert fired[0] - began < 0.3
    watchdog.clear()
    watchdog.expect(0.05)
    run(loop, 0.1)
    assert len(fired) == 2


def test_after_clear_and_stop_nothing_fires() -> None:
    loop = Loop()
    fired: list[float] = []
    watchdog = Watchdog(loop, lambda: fired.append(0))
    watchdog.expect(0.02)
    watchdog.clear()
    run(loop, 0.06)
    watchdog.expect(0.02)
    watchdog.stop()
    run(loop, 0.06)
    assert not fired
