"""Demands on the committer: nothing is told durable before a sync that began after it was added."""

import threading
from collections.abc import Callable, Iterator

import pytest

from enqueuer.manager.committer import PIECE, CommitStep, Committer
from filterlink.wire.loop import Loop


class _Bench:
    """A committer whose syncs wait for a word."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.may_sync = threading.Semaphore(0)
        self.began = threading.Semaphore(0)
        self.fails: Exception | None = None
        self.syncs: list[int] = []
        self.told: list[tuple[list[int], bool]] = []
        self.then: list[list[int]] = []
        second = CommitStep[int](self.then.append, lambda _items, _error: [])
        self.committer = Committer(self.loop, [CommitStep(self._sync, self._done), second])

    def _done(self, items: list[int], error: OSError | None) -> list[int]:
        self.told.append((items, error is None))
        return [item for item in items if item >= 10 and error is None]

    def _sync(self, items: list[int]) -> None:
        self.syncs.append(len(items))
        self.began.release()
        assert self.may_sync.acquire(timeout=10)
        if self.fails:
            raise self.fails

    def until_told(self, count: int) -> None:
        self.until(lambda: len(self.told) >= count)

    def until_then(self, count: int) -> None:
        self.until(lambda: len(self.then) >= count)

    def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(2000):
            if holds():
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
    bench.fails = OSError(5, "Input/output error")
    bench.committer.add(1)
    bench.committer.pump()
    bench.may_sync.release()
    bench.until_told(1)

    assert bench.told == [([1], False)]


def test_the_next_step_is_for_those_that_go_on(bench: _Bench) -> None:
    """A batch has gone through all its steps before the next one begins."""
    for item in (1, 10, 11):
        bench.committer.add(item)
    bench.committer.pump()
    bench.committer.add(12)
    bench.may_sync.release(2)
    bench.until_told(2)

    assert bench.told == [([1, 10, 11], True), ([12], True)]
    assert bench.then[0] == [10, 11]


def test_a_huge_crowd_is_cut_into_batches(bench: _Bench) -> None:
    for item in range(2500):
        bench.committer.add(item)
    bench.committer.pump()
    bench.may_sync.release(3)
    bench.until(lambda: sum(len(items) for items, _ in bench.told) == 2500)

    assert bench.syncs == [1000, 1000, 500]


def test_the_loop_turns_between_the_pieces_of_a_batch(bench: _Bench) -> None:
    """Who is idle gets a message while hundreds are being published."""
    for item in range(20):
        bench.committer.add(item)
    bench.committer.pump()
    bench.may_sync.release()
    bench.until_told(1)

    assert len(bench.told) < 3
    bench.until_then(1)
    assert [len(items) for items, _ in bench.told] == [PIECE] * (20 // PIECE)
    assert bench.then == [list(range(10, 20))]


def test_a_failed_batch_is_told_in_one(bench: _Bench) -> None:
    bench.fails = OSError(5, "Input/output error")
    for item in range(20):
        bench.committer.add(item)
    bench.committer.pump()
    bench.may_sync.release()
    bench.until_told(1)

    assert bench.told == [(list(range(20)), False)]


def test_any_other_error_of_a_sync_ends_the_loop(bench: _Bench) -> None:
    """The thread is gone then. The process must end, and be replaced, as no message would leave any more."""
    bench.fails = ValueError("embedded null byte")
    bench.committer.add(1)
    bench.may_sync.release()

    with pytest.raises(ValueError, match="null byte"):
        bench.until_told(1)
