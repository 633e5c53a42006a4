from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.lab.trial import TrialError
from enqueuer.tune.rig import Stop
from enqueuer.tune.session import TuneListener, TunePlan, measure
from enqueuer.tune.verdict import TuneStep, judge

MESSAGE = b"From: a@b.c\nTo: b@b.c\nSubject: x\n\ntext\n"


class Teller(TuneListener):
    """Notes what was told; says stop after some steps."""

    def __init__(self, enough: int = 99) -> None:
        self.enough = enough
        self.counts = list[tuple[int, bool]]()

    def step(self, step: TuneStep, raised: bool) -> None:
        self.counts.append((step.processors, raised))


class Enough(Stop):
    def __init__(self, view: Teller) -> None:
        self._view = view

    def __call__(self, pause: float = 0.0) -> bool:
        return super().__call__(pause) or len(self._view.counts) >= self._view.enough


def plan(base: Path, seconds: float, **more: bool) -> TunePlan:
    return TunePlan(base=base, messages=[MESSAGE], seconds=seconds, **more)


@pytest.mark.alone
def test_full_slots_are_found_and_doubled(make_base: Callable[..., Path]) -> None:
    """Two slots of a filter that waits: two processors are what they want, and more slots bring more."""
    view = Teller()
    found = measure(plan(make_base(seconds=0.04, slots=2), 9.0), view, Stop())
    last = found.steps[-1]
    counts = [each.processors for each in found.steps]

    # other tests have the CPU, perhaps: so no more than the evidence is held to its values, and rates only to their order
    assert last.processors > last.slots == 2
    assert 1 < last.scans[0].in_flight <= 2
    assert last.parked >= 1
    assert counts == [1, 2, 4, 8, 16, 32, 64][: len(counts)]
    assert found.steps[0].rate < found.steps[1].rate < 60
    assert found.steps[1].wait is None or 0.04 < found.steps[1].wait.median < 2
    assert view.counts == [(each, False) for each in counts] + [(each.processors, True) for each in found.raised]
    assert (found.stopped, found.trouble) == (False, "")
    assert judge(last).kind == "filter slots" or not found.raised
    assert [each.slots for each in found.raised] == [4, 8, 16, 32, 64][: len(found.raised)]


def test_who_stops_it_has_what_there_is(make_base: Callable[..., Path]) -> None:
    """And leaves nothing behind."""
    view = Teller(enough=1)
    base = make_base()
    found = measure(plan(base, 9.0), view, Enough(view))

    assert (found.stopped, len(found.steps)) == (True, 1)
    assert not list((base / "Run").iterdir())


def test_a_time_that_was_too_short_is_told(make_base: Callable[..., Path]) -> None:
    """Higher counts were not measured: that is no bottleneck."""
    found = measure(plan(make_base(), 1.0), TuneListener(), Stop())

    assert (found.late, [each.processors for each in found.steps]) == (True, [1])


def test_what_cannot_be_judged_is_said(make_base: Callable[..., Path]) -> None:
    """A filter whose server is away holds all mail: there is nothing to measure."""
    base = make_base()
    message = MESSAGE.replace(b"Subject: x", b"X-Judge: 0 REJECTED away")

    with pytest.raises(TrialError, match="cannot scan"):
        measure(TunePlan(base=base, messages=[message], seconds=9.0), TuneListener(), Stop())
