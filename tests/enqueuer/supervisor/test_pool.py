"""The pool: who starts and who leaves."""

from enqueuer.supervisor.pool import PoolPlan, Slot, plan


def test_missing_ones_are_started() -> None:
    """Those that are leaving count for nothing."""
    assert plan(3, []) == PoolPlan(start=3)
    assert plan(3, [Slot(1), Slot(2, leaving=True)]) == PoolPlan(start=2)
    assert plan(2, [Slot(1), Slot(2)]) == PoolPlan()


def test_those_that_are_free_soonest_stay() -> None:
    """Busy with a large message leaves first, then busy, then idle; of equals the highest number."""
    slots = [Slot(1), Slot(2, busy=True), Slot(3, busy=True, large=True), Slot(4), Slot(5, busy=True), Slot(6, leaving=True, busy=True)]

    assert plan(4, slots) == PoolPlan(leave=(3,))
    assert plan(1, slots) == PoolPlan(leave=(3, 5, 2, 4))
