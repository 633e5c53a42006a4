"""`processors = "auto"` in running engines: there are as many as the load wants, and the log says why."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from enqueuer.config.schema import load
from enqueuer.lab.trial import Trial
from enqueuer.supervisor.autoscale import Room
from enqueuer.supervisor.processors import room
from filterlink.wire.frames import FilterState

Config = Callable[..., str]
Make = Callable[..., bytes]
Trials = Callable[[str], Trial]
PATIENCE = 60.0
"""Seconds: while other programs use all of the CPU nothing grows."""
GREW = re.compile(r'\d+ messages? waits?, filter "Judge" has \d+ free slots, CPU \d+ %')
SHRANK = re.compile(r"at most \d+ busy in the last \d+ s")


def auto(low: int, high: int, idle: str = "1s") -> str:
    return f'"auto"\nauto_min = {low}\nauto_max = {high}\nauto_idle = "{idle}"'


def pool(trial: Trial) -> dict[str, Any]:
    found: dict[str, Any] = trial.status()["processors"]
    return found


def changes(trial: Trial) -> list[tuple[int, int, str]]:
    """What the log says: from, to, why."""
    return [(int(old), int(new), why) for old, new, why in re.findall(r"2 ENQUEUER processors (\d+) -> (\d+): (.*)", trial.log())]


@pytest.mark.alone
def test_a_pile_brings_processors_and_its_end_lets_them_leave(trials: Trials, config: Config, mail: Make) -> None:
    """Each change is in the log once, with its reason; no message is lost over it."""
    with trials(config(processors=auto(1, 12))) as trial:
        assert (pool(trial)["configured"], pool(trial)["auto"]) == (1, {"min": 1, "max": 12, "last_change": None})
        for n in range(60):
            trial.drop(str(n), mail(str(n), "0.5 OK"))
        trial.wait(lambda: pool(trial)["running"] >= 6, "six run", PATIENCE)
        trial.wait(lambda: len(trial.outbound()) == 60, "all are enqueued", PATIENCE)
        trial.wait(lambda: pool(trial)["running"] == 1 == len(trial.pids("processor")), "one is left", PATIENCE)
        said = changes(trial)

        assert [1, *(new for _, new, _ in said)] == [*(old for old, _, _ in said), 1]
        assert all((GREW if new > old else SHRANK).fullmatch(why) for old, new, why in said)
        assert pool(trial)["auto"]["last_change"] == "processors {} -> {}: {}".format(*said[-1])
        assert trial.status()["totals"]["enqueued"] == 60


@pytest.mark.alone
def test_large_messages_bring_processors_too(trials: Trials, config: Config, mail: Make) -> None:
    """Their lane grows with the processors: the queue manager goes by the number that there is now."""
    with trials(config(processors=auto(2, 12), engine='[enqueuer.lanes]\nlarge_over = "1K"')) as trial:
        for n in range(24):
            trial.drop(str(n), mail(str(n), "1 OK", size=3000))
        trial.wait(lambda: trial.status()["lanes"]["large"]["active"] >= 3, "three large ones at once", PATIENCE)
        trial.wait(lambda: len(trial.outbound()) == 24, "all are enqueued", PATIENCE)


def test_from_a_number_to_auto_and_back(trials: Trials, config: Config) -> None:
    """It begins with what there is, within the bounds; a number is taken as ever."""
    with trials(config(processors=8)) as trial:
        assert pool(trial)["auto"] is None
        trial.configure(config(processors=auto(2, 5, "1h")))
        trial.wait(lambda: pool(trial)["running"] == 5, "five run")
        trial.configure(config(processors=auto(6, 7, "1h")))
        trial.wait(lambda: pool(trial)["running"] == 6, "six run")
        trial.configure(config(processors=3))
        trial.wait(lambda: pool(trial)["running"] == 3 and pool(trial)["auto"] is None, "three run")


def test_the_filter_with_the_most_room_counts() -> None:
    """Of those that rules ask, and that are ready; a rule that is off asks nobody."""
    text = b"""
        rules = [{name = "a", actions = [["ExternalFilter", "A"], ["ExternalFilter", "B"]]},
                 {name = "off", priority = 0, actions = [["ExternalFilter", "C"]]}]
        filters = [{name = "A", program = "a"}, {name = "B", program = "b", instances = 2, max_in_flight = 5}, {name = "C", program = "c"}]
        routes = [{recipient = "*", to = "OUT"}]
    """
    a = FilterState("A", "ready", in_flight=12)
    b = FilterState("B", "ready", in_flight=3)

    assert room(load(text), (a, b)) == Room("B", 7)
    assert room(load(text), (a, FilterState("B", "stalled", in_flight=3))) == Room("A", 4)
    assert room(load(text), ()) == Room("A", 0)
    assert room(load(b'rules = []\nroutes = [{recipient = "*", to = "OUT"}]'), (a, b)) is None
