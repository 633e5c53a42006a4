"""How long a process waits for its next start, and which processes are reported as failing."""

from enqueuer.supervisor.restarts import LONGEST_PAUSE, Failing, Pauses, Throttle


def test_early_deaths_pause_longer_and_longer() -> None:
    """The pause doubles up to a limit, and ends with the first success."""
    throttle = Throttle()
    pauses = [throttle.died(now=100.0 * n, early=True, killed=False) for n in range(8)]

    assert [round(pause, 3) for pause in pauses] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_PAUSE, LONGEST_PAUSE]
    throttle.worked()
    assert round(throttle.died(now=1000.0, early=True, killed=False), 3) == 0.1


def test_a_death_after_work_does_not_pause() -> None:
    """A processor that had done its work is replaced at once."""
    assert Throttle().died(now=1.0, early=False, killed=False) == 0.0


def test_one_kill_is_forgiven_a_second_in_a_row_is_not() -> None:
    """The first SIGKILL is somebody's doing; the next looks like the OOM killer."""
    throttle = Throttle()

    assert throttle.died(now=1.0, early=True, killed=True) == 0.0
    assert throttle.died(now=1.0, early=True, killed=True) > 0.0


def test_a_running_pause_holds_for_all() -> None:
    """A second process that dies during the pause does not start earlier than the first may."""
    throttle = Throttle()
    for _ in range(6):
        throttle.died(now=10.0, early=True, killed=False)

    assert throttle.died(now=10.1, early=False, killed=False) > 3.0


def test_what_fails_at_each_start_is_told() -> None:
    """From the second time on, with how it ended; no longer once one was of use, or some time has passed."""
    pauses = Pauses()
    for n in range(3):
        pauses.died("manager", float(n), 0.1, useful=False, killed=False, title="queue manager", how="ended with exit code 70")
    assert pauses.failing(3.0) == [Failing("queue manager", 3, "ended with exit code 70")]
    assert pauses.failing(3.0 + 3 * LONGEST_PAUSE) == []

    pauses.died("manager", 4.0, 100.0, useful=True, killed=True, title="queue manager", how="killed by SIGKILL")
    assert pauses.failing(4.0) == []
