"""Demands on the mail that does not need a filter which is hung or slow: it goes on as if that filter were not there."""

import socket
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest

from enqueuer.ipc import frames
from enqueuer.lab.trial import Trial
from enqueuer.manager.filterpeer import CROSSED, CROSSED_WITHIN, FilterPeer
from enqueuer.manager.schedule import Entry, Schedule
from enqueuer.policy.lanes import Lanes
from filterlink.wire.link import Link
from filterlink.wire.loop import Loop

Make = Callable[..., bytes]
Config = Callable[..., str]
Trials = Callable[[str], Trial]
HUNG = """
[[filters]]
name = "Hung"
program = "sh -c 'read n rest; echo \\"$n INTF 4\\"; exec sleep 1000'"
slow_after = "500ms"
[[rules]]
name = "the long ones"
priority = 9
conditions = [["Message Size", "greater than", "10K"]]
actions = [["ExternalFilter", "Hung"]]
"""


def burst(trial: Trial, mail: Make, tag: str, count: int) -> float:
    """Seconds until so many messages of 20 ms are enqueued."""
    before = time.monotonic()
    was = trial.status()["totals"]["enqueued"]
    for n in range(count):
        trial.drop(f"{tag}{n}", mail(f"{tag}{n}", "0.02 OK"))
    trial.wait(lambda: trial.status()["totals"]["enqueued"] >= was + count, f"burst {tag}", 60)
    return time.monotonic() - before


@pytest.mark.alone
def test_a_hung_filter_stops_no_mail_that_does_not_need_it(trials: Trials, config: Config, mail: Make) -> None:
    """With 4 processors and 12 messages in a hung filter 200 others pass at the speed that they have without it."""
    free = trials(config(more=HUNG))
    hung = trials(config(more=HUNG))
    with free, hung:
        for n in range(12):
            hung.drop(f"long{n}", mail(f"long{n}", size=20_000))
        hung.wait(lambda: hung.status()["filters"][1]["state"] == "stalled", "it is stalled")
        burst(hung, mail, "first", 20)
        pairs = [(burst(free, mail, f"r{n}-", 200), burst(hung, mail, f"r{n}-", 200)) for n in range(3)]
        filter = hung.status()["filters"][1]
        queue = hung.status()["queue"]

    assert statistics.median(there / here for here, there in pairs) < 1.2
    assert (filter["in_flight"], filter["parked"], queue["parked"]) == (12, 12, 12)


@pytest.mark.alone
def test_small_messages_do_not_wait_for_slow_small_ones(trials: Trials, config: Config, mail: Make) -> None:
    """1000 messages of 20 ms behind 50 of 20 s in one warm filter of 100 slots take at most three times as long as alone."""
    with trials(config(slots=100)) as trial:
        alone = burst(trial, mail, "alone", 1000)
        for n in range(50):
            trial.drop(f"slow{n}", mail(f"slow{n}", "20 OK"))
        beside = burst(trial, mail, "beside", 1000)

    assert beside < 3 * alone  # 50 graces of a tenth of a second on 4 processors


def test_a_late_answer_reaches_its_message(trials: Trials, config: Config, mail: Make) -> None:
    """It is scanned once, though its processor did other things meanwhile."""
    with trials(config(processors=1)) as trial:
        trial.drop("slow", mail("slow", '3 ERROR "late but true"'))
        trial.wait(lambda: trial.status()["processors"]["busy"] == 1, "it is scanned")
        for n in range(5):
            trial.drop(str(n), mail(str(n)))
        trial.wait(lambda: len(trial.outbound()) == 5, "the others pass")
        assert trial.status()["filters"][0]["in_flight"] == 1
        trial.wait(lambda: trial.status()["totals"]["quarantined"] == 1, "its answer counts")

        trial.wait(lambda: trial.status()["filters"][0]["answered"] == 6, "nothing was scanned twice")


@pytest.mark.parametrize("processors", [1, 4])
def test_without_other_work_processors_wait(trials: Trials, config: Config, mail: Make, processors: int) -> None:
    """Nothing is parked where nothing is gained by it."""
    with trials(config(processors=processors)) as trial:
        trial.wait(lambda: trial.status()["filters"][0]["state"] == "ready", "the filter is ready")
        trial.drop("slow", mail("slow", "2 OK"))
        parked: list[int] = []

        def enqueued() -> bool:
            parked.append(trial.status()["queue"]["parked"])
            return len(trial.outbound()) == 1

        trial.wait(enqueued, "it is enqueued")

    assert max(parked) == 0


def test_a_deferral_that_crossed_the_return_of_its_filter_waits_a_second_only() -> None:
    """The filter answers again, and the last refusal of the outage is still on its way through a processor."""
    loop = Loop()
    blame: Any = None  # no frame of this test blames a message
    schedule = Schedule(Lanes(1000, 0.5, 4))
    peer = FilterPeer(schedule, blame)
    schedule.add(Entry(1, b"", 1, 0.0))
    schedule.add(Entry(2, b"", 1, 0.0))
    for _ in range(2):
        schedule.next()
    schedule.defer(schedule.entries[1], "A", time.monotonic() + 3600)
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there:
        link = Link(loop, here, frames.decode_to_manager, lambda *_: None, lambda _: None)
        peer.called(link)
        there.send(frames.encode(frames.Renewed("A")))
        loop.turn(20)
        link.close()
    now = time.monotonic()

    assert schedule.entries[1].until <= now
    assert [peer.pause(filter, now, 300.0) for filter in ("A", "B")] == [CROSSED, 300.0]
    assert (peer.pause("A", now, 0.5), peer.pause("A", now + CROSSED_WITHIN, 300.0)) == (0.5, 300.0)
