from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.trial import TrialError
from enqueuer.tune.advice import advise
from enqueuer.tune.rig import Stop
from enqueuer.tune.session import Plan, View, measure
from enqueuer.tune.verdict import Step

MESSAGE = b"From: a@b.c\nTo: b@b.c\nSubject: x\n\ntext\n"


class Teller(View):
    """Notes what was told; says stop after some steps."""

    def __init__(self, enough: int = 99) -> None:
        self.enough, self.counts = enough, list[tuple[int, bool]]()

    def step(self, step: Step, raised: bool) -> None:
        self.counts.append((step.processors, raised))


class Enough(Stop):
    def __init__(self, view: Teller) -> None:
        self._view = view

    def __call__(self, pause: float = 0.0) -> bool:
        return super().__call__(pause) or len(self._view.counts) >= self._view.enough


def plan(base: Path, seconds: float, **more: bool) -> Plan:
    return Plan(base=base, messages=[MESSAGE], seconds=seconds, **more)


def test_full_slots_are_found_and_doubled(make_base: Callable[..., Path]) -> None:
    """Two slots of a filter that waits: two processors are what they want, and more slots bring more."""
    view = Teller()
    found = measure(plan(make_base(seconds=0.04, slots=2), 9.0), view, Stop())
    advice = advise(found.steps, found.raised, configured=4)

    assert advice.verdict.kind == "filter slots"
    assert advice.step.processors in (2, 4)  # so short a time tells no more on a machine that does other things
    assert found.steps[1].rate == pytest.approx(2 * found.steps[0].rate, rel=0.5)
    assert found.steps[1].wait is not None
    assert 0.04 < found.steps[1].wait.median < 2
    assert [each.processors for each in found.raised[:1]] == [4]
    assert found.raised[0].rate > 1.3 * advice.step.rate
    assert view.counts == [(1, False), (2, False), (4, False), *((each.processors, True) for each in found.raised)]
    assert (found.stopped, found.trouble) == (False, "")


def test_who_stops_it_has_what_there_is(make_base: Callable[..., Path]) -> None:
    """And leaves nothing behind."""
    view, base = Teller(enough=1), make_base()
    found = measure(plan(base, 9.0), view, Enough(view))

    assert (found.stopped, len(found.steps)) == (True, 1)
    assert not list((base / "Run").iterdir())


def test_what_cannot_be_judged_is_said(make_base: Callable[..., Path]) -> None:
    """A filter whose server is away holds all mail: there is nothing to measure."""
    base = make_base()
    message = MESSAGE.replace(b"Subject: x", b"X-Judge: 0 REJECTED away")

    with pytest.raises(TrialError, match="cannot judge"):
        measure(Plan(base=base, messages=[message], seconds=9.0), View(), Stop())
