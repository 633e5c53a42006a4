"""Demands on the multiplexer under many clients: whoever waits gets its verdict, and nobody is refused."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from filterlink.wire.frames import AnswerKind

BOUND = 60.0
"""Seconds for all of it; two cores that do nothing else need less than one."""


def test_ten_thousand_requests_of_many_clients(rig: Callable[..., Any]) -> None:
    """10,000 questions of 160 clients that wait, to a helper of 8 slots, are all answered OK: none is refused."""
    here = rig("ok.pl", max_in_flight=8)
    answers = here.ask_many(range(1, 10_001), clients=160, seconds=BOUND)

    assert Counter(each.answer.kind for each in answers.values()) == {AnswerKind.OK: 10_000}
