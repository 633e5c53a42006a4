"""Demands on the memory of drops that rest: it is bounded, and no account keeps the drops of another out of it."""

import os

import pytest

from enqueuer.queue.directory import rest
from enqueuer.queue.directory.rest import Rests


def _status(owner: int) -> os.stat_result:
    return os.stat_result((0o100644, 1, 1, 1, owner, 0, 5, 0, 0, 0))


def _watched(rests: Rests, owner: int, count: int) -> int:
    """How many of this many drops of the account are watched, each looked at twice."""
    names = [b"%d %d" % (owner, number) for number in range(count)]
    for _ in range(2):
        for name in names:
            rests.rested(name, _status(owner))
    return sum(map(rests.has, names))


def test_one_account_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is none, the newest drop of the account with the most gives way."""
    monkeypatch.setattr(rest, "MAX_SEEN", 12)
    rests = Rests()
    assert _watched(rests, 1, 50) == 12

    assert _watched(rests, 2, 4) == 4
    assert _watched(rests, 1, 50) == 8
    assert _watched(rests, 3, 50) == 4
    assert (_watched(rests, 2, 4), len(rests.names())) == (4, 12)
    assert all(rests.has(b"1 %d" % number) for number in range(4))


def test_room_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """When drops are settled."""
    monkeypatch.setattr(rest, "MAX_SEEN", 3)
    rests = Rests()
    assert _watched(rests, 1, 5) == 3
    for name in rests.names():
        rests.forget(name)
    assert _watched(rests, 2, 3) == 3
