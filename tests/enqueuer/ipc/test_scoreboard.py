"""Demands on the board: what one process writes another reads, and a death in the middle leaves sense."""

import contextlib
import multiprocessing

from enqueuer.ipc.scoreboard import Scoreboard
from filterlink.wire.frames import FilterState


def test_another_process_sees_what_is_written() -> None:
    board = Scoreboard()

    def child() -> None:
        board.work(3, "filter", 17, large=True, filter="VirusScan é")
        board.add("enqueued", 5)
        board.set_gauges(range(10))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()

    task = board.task(3)
    assert (task.state, task.message, task.large, task.filter) == ("filter", 17, True, "VirusScan é")
    assert board.total("enqueued") == 5
    assert board.gauges()["large_active"] == 9


def test_an_announced_fate_is_counted_once() -> None:
    """A queue manager that died after counting left its total one too high; its successor puts it back and counts."""
    board = Scoreboard()
    board.add("discarded", 7)
    board.announce(17, "discarded")
    board.add("discarded")

    assert board.announced == 17
    board.take_back()
    assert board.total("discarded") == 7
    assert board.announced == 0


def test_a_whole_batch_of_decisions_is_known_to_a_successor() -> None:
    """What was decided but not counted is called by its name, and no total is put back for it; old ones are forgotten."""
    board = Scoreboard()
    for id in range(1, 5001):
        board.decide(id, "discarded" if id % 2 else "quarantined")
    board.add("discarded", 7)

    assert [board.decided(id) for id in (5000, 4999, 2)] == ["quarantined", "discarded", None]
    assert board.total("discarded") == 7


def test_dispatch_numbers_go_on() -> None:
    board = Scoreboard()

    assert [board.next_dispatch(), board.next_dispatch()] == [1, 2]


def test_filters_are_read_whole_or_as_they_were() -> None:
    board = Scoreboard()
    states = [FilterState("A", "ready", (1,), 2, 3, 4, 5, None, 0.1, 0.2)]
    assert board.filters() == ()
    board.publish_filters(states)
    assert list(board.filters()) == states

    board._words[64 + 2000 * 16] += 1  # somebody died while writing

    assert list(board.filters()) == states
    board.publish_filters([])
    assert board.filters() == ()


def test_a_sync_that_nobody_heard_the_end_of_is_distrusted() -> None:
    """The kernel tells of an error once. A queue manager that was killed over it leaves word that there may have been one."""
    board = Scoreboard()
    with board.syncing():
        assert board.distrusts
    assert not board.distrusts

    with contextlib.suppress(OSError), board.syncing():
        raise OSError(5, "Input/output error")
    assert board.distrusts
    board.distrust()
    with board.syncing():
        pass
    assert board.distrusts  # a sync that succeeds says nothing of what was lost before
