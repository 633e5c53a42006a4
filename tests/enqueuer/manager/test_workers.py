"""Demands on the queue manager's list of processors."""

import socket
from collections.abc import Iterator

import pytest

from enqueuer.ipc import frames
from enqueuer.manager.schedule import Entry
from enqueuer.manager.workers import ProcessorLink, Workers
from filterlink.wire.link import Channel, Link
from filterlink.wire.loop import Loop


class _Bench:
    def __init__(self) -> None:
        self.loop = Loop()
        self.workers = Workers(first=5)
        self.theirs = dict[int, Channel]()
        self.links: list[Link] = []
        self.channels: list[Channel] = []
        self.heard: list[object] = []

    def come(self, generation: int) -> ProcessorLink | None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.theirs[generation] = Channel(theirs)
        self.channels.append(self.theirs[generation])
        self.links.append(Link(self.loop, ours, frames.decode_to_manager, lambda _, frame: self.heard.append(frame), lambda _: None))
        return self.workers.come(self.links[-1], frames.Hello("processor", 1, generation, 0))

    @property
    def idle(self) -> list[int]:
        return [worker.hello.generation for worker in self.workers.idle]


@pytest.fixture
def bench() -> Iterator[_Bench]:
    bench = _Bench()
    yield bench
    for link in bench.links:
        link.close()
    for channel in bench.channels:
        channel.close()
    bench.loop.close()


def _entry(id: int) -> Entry:
    return Entry(id, None, 10, 0.0)


def test_whoever_is_idle_for_longest_comes_first(bench: _Bench) -> None:
    one = bench.come(5)
    two = bench.come(6)
    assert one is not None
    assert two is not None
    bench.workers.begin(one, _entry(1))
    assert (bench.idle, bench.workers.busy) == ([6], True)

    bench.workers.rest(one)
    assert (bench.idle, bench.workers.busy) == ([6, 5], False)


def test_who_is_to_leave_works_to_the_end_and_gets_nothing_more(bench: _Bench) -> None:
    one = bench.come(5)
    two = bench.come(6)
    assert one is not None
    bench.workers.begin(one, _entry(1))
    bench.workers.leave(5)
    bench.workers.leave(6)
    assert bench.idle == []
    assert frames.decode_from_manager(bench.theirs[6].receive()) == frames.Leave(6)
    assert two is not None

    bench.workers.rest(one)
    assert bench.idle == []
    assert frames.decode_from_manager(bench.theirs[5].receive()) == frames.Leave(5)


def test_the_dead_leave_their_message_and_do_not_come_again(bench: _Bench) -> None:
    """Also one whose call is heard only after its end, or that is older than the queue manager."""
    one = bench.come(5)
    entry = _entry(1)
    assert one is not None
    bench.workers.begin(one, entry)

    assert bench.workers.bury(5) is entry
    assert bench.links[0].closed
    assert bench.workers.bury(7) is None
    assert [bench.come(generation) for generation in (5, 7, 4)] == [None, None, None]
    assert (bench.idle, bench.workers.busy) == ([], False)
    assert [link.closed for link in bench.links] == [True] * 4


def test_the_oldest_that_may_come_is_of_the_first_generation(bench: _Bench) -> None:
    assert [bench.come(generation) is not None for generation in (4, 5)] == [False, True]


def test_the_last_answers_of_the_dead_are_taken_before_their_message_is_free(bench: _Bench) -> None:
    """A processor may have sent its outcome, and then have died."""
    one = bench.come(5)
    assert one is not None
    bench.workers.begin(one, _entry(1))
    for frame in (frames.Trouble(1, 1, "read"), frames.SpoolChanged()):
        bench.theirs[5].send(frames.encode(frame))
    bench.theirs[5].close()

    bench.workers.bury(5)
    assert bench.heard == [frames.Trouble(1, 1, "read"), frames.SpoolChanged()]
    assert not bench.workers.busy


def test_what_the_dead_answered_last_makes_them_idle_no_more(bench: _Bench) -> None:
    """Their answer ends their work while they are buried: they get no other message."""
    one = bench.come(5)
    assert one is not None
    bench.workers.begin(one, _entry(1))
    bench.links[0].handle(lambda _link, _frame: bench.workers.rest(one), lambda _: None)
    bench.theirs[5].send(frames.encode(frames.SpoolChanged()))

    assert bench.workers.bury(5) is None
    assert (bench.idle, one.entry, bench.workers._idle) == ([], None, {})


def test_an_idle_one_that_dies_is_forgotten(bench: _Bench) -> None:
    assert bench.come(5) is not None
    bench.workers.bury(5)

    assert (bench.idle, bench.workers._idle, bench.workers._all) == ([], {}, {})


def test_one_that_is_to_leave_before_it_has_called_leaves_at_once(bench: _Bench) -> None:
    """The order to leave may overtake the call of a new processor."""
    bench.workers.leave(6)
    assert bench.come(5) is not None
    assert bench.come(6) is not None

    assert bench.idle == [5]
    assert frames.decode_from_manager(bench.theirs[6].receive()) == frames.Leave(6)


def test_one_whose_link_has_ended_gets_no_message(bench: _Bench) -> None:
    """It has not been reaped yet: until then its message is its own."""
    one = bench.come(5)
    assert one is not None
    bench.workers.begin(one, _entry(1))
    bench.links[0].close()
    assert bench.workers.busy
    bench.workers.rest(one)

    assert (bench.idle, bench.workers.busy) == ([], False)
