"""The tallies of doors."""

import pytest

from enqueuer.ipc.doortallies import DoorTallies, DoorTally, summed


@pytest.mark.parametrize(
    ("action", "name"),
    [("accept", "accepted"), ("reject", "refused"), ("tempfail", "tempfailed"), ("discard", "discarded"), ("quarantine", "quarantined")],
)
def test_each_action_has_its_count(action: str, name: str) -> None:
    tally = DoorTally("a")
    tally.count(action)
    assert (tally.asked, getattr(tally, name)) == (1, 1)


def test_the_tallies_of_all_processes_are_summed() -> None:
    one = DoorTally("a", sessions=1, asked=2, cancelled=1, oldest=50.0)
    two = DoorTally("a", sessions=2, asked=3, oldest=40.0)
    idle = DoorTally("b", asked=1)
    found = summed([DoorTallies((one, idle)), DoorTallies((two,)), DoorTallies()])
    assert (found["a"].sessions, found["a"].asked, found["a"].cancelled, found["a"].oldest) == (3, 5, 1, 40.0)
    assert (found["b"].asked, found["b"].oldest) == (1, 0.0)
