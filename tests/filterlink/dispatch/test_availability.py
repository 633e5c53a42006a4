"""When a filter counts as unavailable, and when the messages that it deferred return."""

import itertools

import pytest

from filterlink.dispatch.availability import MAX_PAUSE, Availability
from filterlink.dispatch.requests import Unit
from filterlink.wire.frames import AnswerKind


@pytest.fixture
def units() -> list[Unit]:
    return [Unit(0), Unit(1)]


def make_ready(found: Availability, *units: Unit, now: float = 0.0) -> None:
    for unit in units:
        unit.ready = True
        found.ready(now)


def test_one_server_that_answers_is_enough(units: list[Unit]) -> None:
    found = Availability(units, 0.0)
    make_ready(found, *units)
    found.report(1.0, units[0], "refused")
    assert (found.trouble, found.trouble_since, found.serves) == ("", None, True)
    found.report(2.0, units[1], "refused, too")
    assert (found.trouble, found.trouble_since, found.serves) == ("refused", 2.0, False)
    found.report(3.0, units[0], "")
    assert (found.trouble, found.trouble_since, found.returns(3.0)) == ("", None, True)


def test_a_report_before_the_helper_is_ready_counts_once_it_is(units: list[Unit]) -> None:
    found = Availability(units[:1], 0.0)
    found.report(1.0, units[0], "refused")
    assert (found.trouble, found.down_since) == ("", 0.0)
    make_ready(found, units[0], now=2.0)
    assert (found.trouble, found.trouble_since) == ("refused", 2.0)


def test_without_an_outage_nothing_returns(units: list[Unit]) -> None:
    """Greylisting is no outage: a message that is refused while the server answers waits for its time."""
    found = Availability(units, 0.0)
    make_ready(found, *units)
    found.answered(units[0], AnswerKind.REJECTED)
    found.answered(units[0], AnswerKind.OK)
    assert not found.returns(1.0)


def test_a_dead_filter_returns_its_messages_when_a_helper_is_ready(units: list[Unit]) -> None:
    found = Availability(units, 0.0)
    found.unavailable()
    assert not found.returns(1.0)
    make_ready(found, units[0], now=2.0)
    assert [found.returns(2.0), found.returns(2.0)] == [True, False]


def test_a_hung_filter_returns_its_messages_only_when_it_answers_one(units: list[Unit]) -> None:
    """A new process does not prove that the filter scans: it may hang over the same messages."""
    found = Availability(units, 0.0)
    make_ready(found, *units)
    found.overdue(others=False)
    units[0].ready = False
    found.leaving(1.0)
    make_ready(found, units[0], now=2.0)
    assert not found.returns(2.0)
    found.answered(units[0], AnswerKind.OK)
    assert found.returns(3.0)


def test_a_message_that_is_overdue_alone_returns_nothing(units: list[Unit]) -> None:
    found = Availability(units, 0.0)
    make_ready(found, *units)
    found.overdue(others=True)
    found.answered(units[0], AnswerKind.OK)
    assert not found.returns(1.0)


def test_a_server_that_comes_and_goes_is_not_flooded_each_time(units: list[Unit]) -> None:
    """The pauses double up to a minute. An answer about a message resets them."""
    found = Availability(units[:1], 0.0)
    make_ready(found, units[0])
    returns = []
    for second in range(600):
        found.report(second, units[0], "" if second % 2 else "refused")
        if found.returns(second):
            returns.append(second)
    pauses = [later - sooner for sooner, later in itertools.pairwise(returns)]
    assert pauses == sorted(pauses)
    assert len(returns) < 20
    assert MAX_PAUSE <= pauses[-1] < MAX_PAUSE + 2
    found.answered(units[0], AnswerKind.OK)
    found.unavailable()
    assert found.returns(returns[-1] + MAX_PAUSE)
    found.unavailable()
    assert found.returns(returns[-1] + MAX_PAUSE + 0.1)
