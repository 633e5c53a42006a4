"""Demands on the memory of what could not be taken: each drop has its own pause, and a flood of them costs a bounded memory."""

import pytest

from enqueuer import denied
from enqueuer.denied import Denied
from enqueuer.queue.intake import Candidate


def test_pauses_grow_until_the_drop_is_changed() -> None:
    drops, now = Denied(), 100.0
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
    """What is newer than it is tried at once; all of it after a minute."""
    monkeypatch.setattr(denied, "MAX_DENIED", 10)
    drops = Denied()
    for number in range(50_000):
        drops.note(Candidate(number, 1, b"%d" % number), 100.0)

    assert len(drops) == 10
    assert drops.bars(Candidate(49_000, 1, b"49000"), 159.0)
    assert not drops.bars(Candidate(49_000, 1, b"49000"), 161.0)
    assert not drops.bars(Candidate(50_001, 1, b"new"), 101.0)
