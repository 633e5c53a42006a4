"""Demands on the memory of what could not be taken: each drop has its own pause, and a flood of them costs a bounded memory."""

import pytest

from enqueuer.manager import denied
from enqueuer.manager.denied import Denied
from enqueuer.queue.directory.disk import MAX_TIME
from enqueuer.queue.directory.intake import Candidate


def test_pauses_grow_until_the_drop_is_changed() -> None:
    drops = Denied()
    now = 100.0
    for pause in (0.5, 1.0, 2.0, 4.0):
        drops.note(Candidate(1, 1, b"a"), now)
        assert drops.bars(Candidate(1, 1, b"a"), now + pause - 0.1)
        now += pause
        assert not drops.bars(Candidate(1, 1, b"a"), now)

    drops.note(Candidate(1, 1, b"a"), now)
    assert not drops.bars(Candidate(2, 1, b"a"), now)
    drops.note(Candidate(2, 1, b"a"), now)
    assert not drops.bars(Candidate(2, 1, b"a"), now + 0.5)


def test_what_has_gone_is_forgotten() -> None:
    drops = Denied()
    drops.note(Candidate(1, 1, b"a"), 100.0)
    drops.note(Candidate(1, 1, b"b"), 100.0)
    drops.bars(Candidate(1, 1, b"b"), 200.0)
    drops.forget_unseen_since(150.0)

    assert len(drops) == 1


def test_a_flood_has_a_pause_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is tried again after a minute, but for a few drops that are tried earlier."""
    monkeypatch.setattr(denied, "MAX_DENIED", 10)
    drops = Denied()
    flood = [Candidate(number, 1, b"%d" % number) for number in range(50_000)]
    for each in flood:
        drops.note(each, 100.0)

    assert len(drops) == 10
    assert sum(drops.bars(each, 159.0) for each in flood[10:]) > 40_000
    assert not any(drops.bars(each, 161.0) for each in flood)
    assert not drops.bars(Candidate(7, 1, flood[-1].name), 101.0)
    drops.note(flood[-1], 200.0)
    assert drops.bars(flood[-1], 259.0)
    assert not drops.bars(flood[-2], 259.0)


@pytest.mark.parametrize("changed", [500, MAX_TIME])
def test_a_flood_bars_nothing_else(monkeypatch: pytest.MonkeyPatch, changed: int) -> None:
    """Whatever its times are: a drop that was never tried is tried, however old it is."""
    monkeypatch.setattr(denied, "MAX_DENIED", 10)
    drops = Denied()
    for number in range(1000):
        drops.note(Candidate(changed, 1, b"%d" % number), 100.0)

    assert not any(drops.bars(Candidate(number, 1, b"good%d" % number), 101.0) for number in range(1000))
