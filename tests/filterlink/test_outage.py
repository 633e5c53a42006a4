"""The begin and the end of an outage of a filter, in the log and for the status."""

import itertools
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from filterlink.config.settings import Filter
from filterlink.config.units import Seconds
from filterlink.dispatch.mux import Gate
from filterlink.outage import MOST_LINES, Outage

Lines = Callable[[], list[str]]


class Port:
    """Takes the one order that a gate without requests gives."""

    def returned(self) -> None:
        pass


@pytest.fixture
def gate() -> Gate:
    port: Any = Port()
    made = Gate(Filter(name="F", program="x", slow_after=Seconds(5)), port, itertools.count(1), 0.0, lambda: "broken")
    made.ready(0.0, 0)
    return made


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    return lambda: [record.getMessage() for record in caplog.records]


def test_an_outage_is_logged_once_and_has_the_time_of_its_begin(gate: Gate, lines: Lines) -> None:
    outage = Outage(logging.getLogger("F"))
    outage.observe(1.0, gate, "ready")
    assert (outage.since, lines()) == (None, [])
    gate.server(10.0, 0, "refused")
    for now in (40.0, 70.0):
        outage.observe(now, gate, "failed")
    assert outage.since is not None
    assert 29 < time.time() - outage.since < 60
    gate.server(70.0, 0, "")
    outage.observe(70.0, gate, "ready")

    assert outage.since is None
    said = lines()
    assert said[0] == "unavailable, its messages wait: refused"
    assert said[1].startswith("scans again, after ")
    assert len(said) == 2


def test_a_restart_is_no_line_of_its_own(gate: Gate, lines: Lines) -> None:
    """The helper's end is logged already."""
    outage = Outage(logging.getLogger("F"))
    gate.gone(1.0, 0)
    outage.observe(1.0, gate, "restarting")
    assert outage.since is not None
    outage.observe(2.0, gate, "ready")
    assert lines() == []


def test_a_server_that_comes_and_goes_does_not_fill_the_log(gate: Gate, lines: Lines) -> None:
    outage = Outage(logging.getLogger("F"))
    for second in range(200):
        gate.server(float(second), 0, "" if second % 2 else "refused")
        outage.observe(float(second), gate, "ready" if second % 2 else "failed")
    assert len(lines()) == MOST_LINES
