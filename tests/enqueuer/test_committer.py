"""Demands on the committer: nothing is told durable before a sync that began after it was added."""

import threading
from collections.abc import Iterator

import pytest

from enqueuer.committer import Committer
from filterlink.loop import Loop


class _Bench:
    """A committer whose syncs wait for a word."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.may_sync = threading.Semaphore(0)
        self.began = threading.Semaphore(0)
        self.fails = False
        self.told: list[tuple[list[int], bool]] = []
        self.committer: Committer[int] = Committer(self.loop, self._sync, lambda items, error: self.told.append((items, error is None)))

    def _sync(self) -> None:
        self.began.release()
        assert self.may_sync.acquire(timeout=10)
        if self.fails:
            raise OSError(5, "Input/output error")

    def until_told(self, count: int) -> None:
        for _ in range(1000):
            if len(self.told) >= count:
                return
            self.loop.turn(0.01)
            self.committer.pump()
        raise AssertionError(self.told)


@pytest.fixture
def bench() -> Iterator[_Bench]:
    bench = _Bench()
    yield bench
    bench.may_sync.release(100)
    bench.committer.close()
    bench.loop.close()


def test_what_comes_while_a_sync_runs_waits_for_the_next(bench: _Bench) -> None:
    """One sync for all that gathered; an item added during a sync is not durable by that one."""
    bench.committer.add(1)
    bench.committer.pump()
    assert bench.began.acquire(timeout=10)
    bench.committer.add(2)
    bench.committer.add(3)
    bench.committer.pump()
    bench.may_sync.release()
    bench.until_told(1)
    assert bench.told == [([1], True)]

    bench.may_sync.release()
    bench.until_told(2)
    assert bench.told[1] == ([2, 3], True)
    assert not bench.committer.busy


def test_a_failed_sync_fails_its_whole_batch(bench: _Bench) -> None:
    bench.fails = True
    bench.committer.add(1)
    bench.committer.pump()
    bench.may_sync.release()
    bench.until_told(1)

    assert bench.told == [([1], False)]
