"""One filter's settings: defaults as documented, and a fault is named with its cure."""

import math
from typing import Any

import pytest

from filterlink.config.settings import LEVELS, Filter
from filterlink.config.units import Seconds


def test_defaults() -> None:
    """Name and program are enough."""
    settings = Filter(name="VirusScan", program="enqueuer filter yara")

    assert settings.enabled
    assert [settings.timeout, settings.auto_restart, settings.slow_after] == [Seconds(120), Seconds(5), Seconds(5)]
    assert (settings.instances, settings.max_in_flight, settings.slots) == (1, 16, 16)
    assert (settings.pipelining, settings.on_failure, settings.log_level) == (False, "defer", "problems")


def test_program_is_split_as_a_shell_would() -> None:
    """Quotes hold words together; nothing is expanded."""
    assert Filter(name="A", program="'/opt/my scanner' -x $HOME").words() == ["/opt/my scanner", "-x", "$HOME"]


def test_slots_are_those_of_all_instances() -> None:
    assert Filter(name="A", program="a", instances=3, max_in_flight=5).slots == 15


def test_never_means_no_restart() -> None:
    assert Filter(name="A", program="a").restarts
    assert not Filter(name="A", program="a", auto_restart=Seconds(math.inf)).restarts


def test_every_log_level_has_a_number() -> None:
    """From crashes to all, each lower than the one before."""
    assert list(LEVELS.values()) == sorted(LEVELS.values(), reverse=True)


@pytest.mark.parametrize(
    ("values", "cure"),
    [
        ({"name": ""}, "short name"),
        ({"name": "a(b"}, "without brackets"),
        ({"name": "a\nb"}, "printable"),
        ({"name": "ü" * 31}, "at most 60 bytes"),
        ({"program": " "}, "write the command"),
        ({"program": "a 'b"}, "a quote is not closed"),
        ({"instances": 0}, "from 1 to 64"),
        ({"max_in_flight": 1001}, "from 1 to 1000"),
        ({"timeout": Seconds(0)}, "longer than 0s"),
        ({"slow_after": Seconds(0)}, "longer than 0s"),
        ({"writable": ("/a",)}, "add confined = true"),
    ],
)
def test_faults_are_named(values: dict[str, Any], cure: str) -> None:
    with pytest.raises(ValueError, match=cure):
        Filter(**{"name": "A", "program": "a", **values})
