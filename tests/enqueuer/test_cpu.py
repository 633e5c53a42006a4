"""Demands on the meter of the machine's processors."""

import time

from enqueuer.cpu import LONGEST, CpuMeter, parse

TEXT = "cpu  100 20 30 400 50 6 7 8 90 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n"


def test_waiting_for_the_disk_is_not_use() -> None:
    """Of all cores; guests are in the other numbers already."""
    assert parse(TEXT) == (171, 621)


def test_the_share_is_of_the_time_between_two_looks() -> None:
    """From 0 to 1; nothing is known at the first look, nor a moment or a long time after the last."""
    meter, now = CpuMeter(), time.monotonic()
    assert meter.share(now) is None
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        pass

    share = meter.share(now + 0.3)
    assert share is not None
    assert 0 < share <= 1
    assert meter.share(now + 0.3001) is None
    assert meter.share(now + 1 + LONGEST) is None
