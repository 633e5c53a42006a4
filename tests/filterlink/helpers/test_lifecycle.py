"""Demands on the life of a helper, on a clock of the test's own."""

import math
from collections.abc import Callable

import pytest

from filterlink.config.settings import Filter
from filterlink.helpers.lifecycle import GENTLE, INTF_WAIT, MAX_PAUSE, Life, LifeStep, Phase

Make = Callable[..., Filter]


@pytest.fixture
def life(settings: Make) -> Life:
    return Life(settings("ok.sh", auto_restart=5), 0.0)


def test_from_start_to_ready(life: Life) -> None:
    """It is started at once, and ready when INTF is answered; then nothing is due."""
    assert life.tick(0.0) is LifeStep.START
    life.started(0.0)
    assert (life.phase, life.greeted()) == (Phase.STARTING, True)
    assert (life.phase, life.due) == (Phase.READY, math.inf)
    assert life.greeted() is False


def test_intf_unanswered(life: Life) -> None:
    """After a wait an old helper is assumed."""
    life.started(0.0)

    assert life.tick(INTF_WAIT - 0.1) is None
    assert life.tick(INTF_WAIT) is LifeStep.ASSUME
    assert life.phase is Phase.READY


def test_stop_goes_in_steps(life: Life) -> None:
    """QUIT, end of input, SIGTERM, SIGKILL, each a while after the other; then it is to be given up, again and again."""
    life.started(0.0)
    life.greeted()
    life.stop(10.0)
    steps = []
    for _ in range(6):
        steps.append(life.tick(life.due))

    assert steps == [LifeStep.QUIT, LifeStep.CLOSE, LifeStep.TERM, LifeStep.KILL, LifeStep.ABANDON, LifeStep.ABANDON]
    assert life.due == 10.0 + sum(wait for _, wait in GENTLE) + GENTLE[-1][1]


def test_a_helper_that_agrees_to_quit_need_not_wait(life: Life) -> None:
    """Its input is closed as soon as it has answered QUIT."""
    life.started(0.0)
    life.stop(1.0)
    life.tick(1.0)
    life.quit_answered(1.1)

    assert life.tick(1.1) is LifeStep.CLOSE


def test_back_off_doubles_for_those_who_never_answered(life: Life) -> None:
    """Deaths before the first answer make the pause longer, up to a limit; an answer makes it short again."""
    pauses = []
    for _ in range(7):
        life.started(0.0)
        life.ended(0.0)
        pauses.append(life.due)
    life.started(0.0)
    life.proven = True
    life.ended(0.0)

    assert pauses == [5, 10, 20, 40, MAX_PAUSE, MAX_PAUSE, MAX_PAUSE]
    assert life.due == 5


def test_a_planned_exit_needs_no_pause(life: Life) -> None:
    """Who leaves in order after an answer is started again at once; who answered nothing is not."""
    life.started(0.0)
    life.ended(3.0, planned=True)
    assert life.due == 8.0
    life.started(8.0)
    life.proven = True
    life.ended(9.0, planned=True)
    assert life.due == 9.0


def test_never_restarted(settings: Make) -> None:
    """With auto_restart = "never" an end is the end."""
    life = Life(settings("ok.sh", auto_restart=math.inf), 0.0)
    life.started(0.0)
    life.ended(1.0)

    assert (life.phase, life.due) == (Phase.OVER, math.inf)


@pytest.mark.parametrize("running", [True, False])
def test_final_stop(life: Life, running: bool) -> None:
    """After a final stop nothing is started again, whether a process runs or is only waited for."""
    if running:
        life.started(0.0)
    life.stop(1.0, final=True)
    if running:
        life.ended(2.0)

    assert life.phase is Phase.OVER
    assert life.tick(1000.0) is None
