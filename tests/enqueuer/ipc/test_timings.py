"""Demands on the engine's own stopwatch: the sums stand for all messages, and each step has what it took."""

import select
import time
from collections.abc import Callable

from enqueuer.ipc.scoreboard import Scoreboard
from enqueuer.ipc.timings import MANAGER, PROCESSOR, SAMPLE, StageTimings, read
from enqueuer.lab.trial import Trial


def spin(seconds: float) -> None:
    """Use the processor for so long."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_each_step_has_what_it_took() -> None:
    """Wall and processor time; what waits uses none. One message in SAMPLE is measured, and stands for all of them."""
    board = Scoreboard()
    words = board.processor_timings(3)
    timings = StageTimings(words, PROCESSOR)
    for n in range(SAMPLE, 3 * SAMPLE):
        timings.start(n, "reading")
        if n % SAMPLE == 0:
            spin(0.002)
        timings.next("filter")
        if n % SAMPLE == 0:
            select.select([], [], [], 0.004)
        timings.next("")
    found = read(words, PROCESSOR)

    assert 0.004 * SAMPLE <= found["reading"][1] <= found["reading"][0]
    assert found["filter"][0] >= 0.008 * SAMPLE
    assert found["filter"][1] < found["filter"][0] / 2
    assert (found["rules"], found["writing"]) == ((0, 0), (0, 0))
    assert read(board.processor_timings(2), PROCESSOR)["reading"] == (0, 0)


def test_what_was_broken_off_counts_for_nothing() -> None:
    """An error between two steps must not make the next message's first step longer."""
    board = Scoreboard()
    timings = StageTimings(board.manager_timings, MANAGER)
    timings.start(0, "commit")
    spin(0.01)
    timings.start(SAMPLE, "commit")
    timings.next("")
    timings.next("unlink")

    assert read(board.manager_timings, MANAGER)["commit"][0] < 0.005 * SAMPLE


def test_a_running_engine_says_where_its_time_goes(
    trials: Callable[[str], Trial], config: Callable[..., str], mail: Callable[..., bytes]
) -> None:
    """Every step of a scanned message took some time, and the scans took at least what the helper takes."""
    with trials(config(processors=4)) as trial:
        for n in range(64):
            trial.drop(str(n), mail(str(n), "0.1 OK"))
        trial.wait(lambda: len(trial.outbound()) == 64, "all are enqueued")
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == 64, "and counted")
        steps = {(one["process"], one["step"]): one for one in trial.status()["steps"]}

        assert {step for _, step in steps} == {*MANAGER, *PROCESSOR}
        moved = {"publish", "count", "unlink"}  # where the message file itself is the output all is in one step
        assert [key for key, one in steps.items() if one["wall_s"] <= 0 and key[1] not in moved] == []
        assert 0.1 * 64 * 0.9 < steps["processors", "filter"]["wall_s"] < 0.1 * 64 * 10
        assert steps["processors", "filter"]["cpu_s"] < 1
