"""Demands on what is logged of a helper; how it is kept running is held to its promises in test_server."""

import itertools
import logging
import time

import pytest

from filterlink.config.settings import Filter
from filterlink.config.units import Seconds, Size
from filterlink.helpers.runner import LINES_A_SECOND, TAIL, Grumble, HelperRunner
from filterlink.protocol.protocol import HelperReply
from filterlink.wire.loop import Loop

LOG = logging.getLogger("EXTFILTER(Grumble)")


def test_stderr_lines_are_problems(caplog: pytest.LogCaptureFixture) -> None:
    """Each line is logged once, however it was cut into reads; empty lines are not."""
    grumble = Grumble(LOG)
    for piece in (b"first li", b"ne\n\nsecond", b" line\r\n"):
        grumble.stderr(piece)

    assert [record.getMessage().strip() for record in caplog.records] == ["stderr: first line", "stderr: second line"]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_flood_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """So many lines a second at most are logged; no line without end is kept."""
    grumble = Grumble(LOG)
    for _ in range(1000):
        grumble.stderr(b"x" * 1000)
    grumble.stderr(b"\nmore\n" * 1000)

    assert 0 < len(caplog.records) <= 3 * LINES_A_SECOND  # a second may have passed meanwhile
    assert max(len(record.getMessage()) for record in caplog.records) < 1100
    assert len(grumble.tail) <= TAIL


def test_last_words() -> None:
    """The tail of stderr is the reason in one line, unfinished lines included; it begins anew for the next helper."""
    grumble = Grumble(LOG)
    grumble.stderr(b"Traceback:\n  cannot open key\nbye")

    assert grumble.last_words() == "Traceback: / cannot open key / bye"
    assert grumble.last_words() == ""


class Owner:
    """Hears of one helper."""

    def __init__(self) -> None:
        self.gone = self.ready = 0

    def helper_ready(self, index: int) -> None:
        self.ready += 1

    def helper_replies(self, index: int, replies: list[HelperReply]) -> list[HelperReply]:
        return replies

    def helper_asked(self, index: int, number: int) -> int:
        return 0

    def helper_written(self, index: int, numbers: list[int]) -> None:
        pass

    def helper_leaving(self, index: int) -> None:
        pass

    def helper_gone(self, index: int, over: bool, planned: bool) -> None:
        self.gone += 1


UNSPAWNABLE = {
    "no such program": {"program": "/no/such/program"},
    "no such account": {"user": "no-such-account-here"},
    "half a surrogate": {"environment": ("A=\ud800",)},
    "a word that is too long": {"program": "true " + "x" * (1 << 17)},
    "an account of half a surrogate": {"user": "\ud800"},
}


@pytest.mark.parametrize("settings", UNSPAWNABLE.values(), ids=UNSPAWNABLE)
def test_a_helper_that_cannot_be_spawned_is_its_filters_fault(settings: dict[str, str]) -> None:
    """Whatever Python says of it: no exception reaches the loop, on which all filters turn."""
    loop = Loop()
    owner = Owner()
    runner = HelperRunner(loop, Filter(**({"name": "F", "program": "true"} | settings)), 0, itertools.count(1), LOG, owner)  # type: ignore[arg-type]
    end = time.monotonic() + 5
    while not owner.gone and time.monotonic() < end:
        loop.turn(0.1)
    loop.close()

    assert owner.gone
    assert (runner.last_error or "").startswith("cannot be started: ")


@pytest.mark.parametrize("limit", [{"memory_limit": Size(1 << 70)}, {"cpu_limit": Seconds(1e30)}, {"memory_limit": Size((1 << 64) - 1)}])
def test_a_limit_beyond_the_kernels_range_is_none(limit: dict[str, Size]) -> None:
    """The config file cannot say it; the kernel is asked for the most that it can say."""
    loop = Loop()
    owner = Owner()
    runner = HelperRunner(loop, Filter(name="F", program="cat", **limit), 0, itertools.count(1), LOG, owner)  # type: ignore[arg-type]
    end = time.monotonic() + 5
    while not owner.ready and time.monotonic() < end:
        loop.turn(0.1)
    runner.stop()
    while not owner.gone and time.monotonic() < end + 10:
        loop.turn(0.1)
    loop.close()

    assert owner.ready, runner.last_error
