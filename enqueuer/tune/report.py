"""Write the final report of `enqueuer tune`: lines for people, one document for programs. Pure."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from enqueuer.tune.advice import LEAST, Advice
from enqueuer.tune.chart import chart
from enqueuer.tune.verdict import TuneStep
from enqueuer.tune.waiting import Expected, expect

__all__ = ["HEAD", "ROWS", "ReportFacts", "document", "doubts", "lines", "row", "settings", "show"]

TIMES = (1, 2, 5)
"""Multiples of today's load."""
PARTS = (0.5, 0.8, 0.95)
"""Parts of the capacity, for a report without today's load."""
HEAD = f"{'PROCESSORS':>10} {'SLOTS':>6} {'MESSAGES/S':>11} {'±':>5} {'BUSY':>6} {'CPU':>5} {'DISK':>5}  HALF / 99% OUT WITHIN"
ROWS = (
    "Each row: messages/s with more mail than that many processors can take, how much it varied, and how busy processors, CPU and disk "
    "were. Then, with 70% of that mail, the time in which half of the messages and 99% of them are out."
)
"""The explanation of the table."""


class ReportFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known apart from the steps."""

    mail: str
    filters: dict[str, int]
    """max_in_flight of the filters in use, as configured."""
    instances: dict[str, int]
    configured: int
    """`processors` as configured; for "auto" its maximum."""
    auto: bool = False
    alone: float
    load: float | None
    load_source: str
    notes: list[str]
    whole: bool = True
    """Every number that might bring something was measured."""


def row(step: TuneStep) -> str:
    """Return a line of the table below HEAD."""
    wait = step.wait
    told = f"{show(wait.median)} / {show(wait.p99)}" if wait else "too few messages"
    spread = "?" if step.spread is None else f"{step.spread:.0%}"
    return (
        f"{step.processors:>10} {step.slots or '-':>6} {step.rate:>11.4g} {spread:>5} {step.busy / step.processors:>6.0%}"
        f" {step.cpu.busy:>5.0%} {step.disk:>5.0%}  {told}"
    )


def show(seconds: float) -> str:
    """Return a duration in its shortest form."""
    if seconds == math.inf:
        return "without end"
    if 0 < seconds < 0.00005:
        return "under 0.1 ms"
    if seconds < 0.0995:
        return f"{seconds * 1000:.2g} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


def pace(rate: float) -> str:
    """Return messages/s, in three digits or more."""
    return f"{rate:.0f}/s" if rate >= 99.5 else f"{rate:.3g}/s"


def settings(advice: Advice, facts: ReportFacts) -> tuple[int, dict[str, int]]:
    """Return the recommendation: `processors`, and `max_in_flight` of each filter in use."""
    if advice.raised is None:
        return advice.processors, dict(facts.filters)
    slots = {each.name: each.slots for each in advice.raised.scans}
    return advice.processors, {name: slots[name] // facts.instances[name] for name in facts.filters}


def doubts(advice: Advice, facts: ReportFacts) -> list[str]:
    """Return why nothing is recommended, each reason with its cure; nothing if there is a recommendation."""
    if not facts.whole and not facts.auto and advice.now is None and advice.processors < facts.configured:
        early = f"it ended before processors = {facts.configured}, the configured count, was measured. Run it again with more --seconds."
        return [*advice.doubts, early]
    return list(advice.doubts)


def expected(advice: Advice, facts: ReportFacts) -> list[tuple[str, Expected]]:
    """Return the waits with the recommended settings, and the load of each."""
    best = advice.best
    if facts.load is None:
        loads = [(f"{part:.0%} of the capacity", part * best.rate) for part in PARTS]
    else:
        loads = [("today's load" if times == 1 else f"{times} times today's", times * facts.load) for times in TIMES]
    return [(name, expect(load, advice.servers, best.rate, advice.beside(facts.alone))) for name, load in loads]


def lines(advice: Advice, facts: ReportFacts, steps: Sequence[TuneStep]) -> Iterator[str]:
    """The whole report below the table."""
    why = "recommended" if advice.raised is None else "enough with these slots"
    cap = steps[-1].rate if advice.verdict.kind == "filter slots" else math.inf
    doubtful = doubts(advice, facts)
    marked = None if doubtful else min(max(LEAST, advice.step.at_once), steps[-1].processors)
    yield from chart([(step.processors, step.rate) for step in steps], advice.fit.law, marked, cap, why)
    yield "           ● measured   · estimated in between"
    yield ""
    if doubtful:
        yield f"No recommendation: {doubtful[0]}"
        yield from (f"  Also: {doubt}" for doubt in doubtful[1:])
    else:
        yield from _found(advice, facts, steps)
    yield from (f"Note: {note}" for note in facts.notes)


def _found(advice: Advice, facts: ReportFacts, steps: Sequence[TuneStep]) -> Iterator[str]:
    """What limits the throughput, what is recommended, and what that brings."""
    yield from _growth(steps)
    yield f"What limits it: {advice.verdict.kind}. With {_processors(steps[-1].processors)}, {advice.verdict.why}."
    if advice.verdict.cure:
        yield f"  What would help: {advice.verdict.cure}."
    yield from _now(advice, facts)
    yield ""
    yield from _recommended(advice, facts)
    yield ""
    yield from _waits(advice, facts)
    yield from _checked(advice, facts)


def _processors(count: int) -> str:
    return "1 processor" if count == 1 else f"{count} processors"


def _growth(steps: Sequence[TuneStep]) -> Iterator[str]:
    """Say what more processors bring, from the first count to the fastest and the last one."""
    first = steps[0]
    last = steps[-1]
    best = max(steps, key=lambda step: step.rate)
    if best is first:
        yield f"{_processors(first.processors).capitalize()} did {pace(first.rate)}; more processors did not more."
        return
    times = f"{best.rate / first.rate:.1f} times as much"
    yield f"{_processors(first.processors)} did {pace(first.rate)}, {best.processors} did {pace(best.rate)}: {times}."
    if best is not last:
        yield f"More than {best.processors} did not more: {last.processors} did {pace(last.rate)}."


def _now(advice: Advice, facts: ReportFacts) -> Iterator[str]:
    if advice.now is not None and advice.now.processors < advice.step.processors and not facts.auto:
        more = f"{advice.step.processors} do {advice.step.rate / advice.now.rate:.1f} times as much"
        yield f"With processors = {facts.configured}, as configured, processors are too few: {more}."


def _recommended(advice: Advice, facts: ReportFacts) -> Iterator[str]:
    processors, slots = settings(advice, facts)
    yield f"Recommended: processors = {processors}{_was(processors, facts.configured, facts.auto)}"
    for name, count in slots.items():
        yield f'             max_in_flight = {count} of filter "{name}"{_was(count, facts.filters[name])}'
    yield f"             {pace(advice.best.rate)} measured"
    if advice.raised is not None:
        step = advice.step
        yield f"With max_in_flight as it is, processors = {step.processors} are enough: {pace(step.rate)}."


def _was(count: int, before: int, auto: bool = False) -> str:
    if auto:
        return f' (now "auto", up to {before}: it finds such a number by itself, if auto_max allows it)'
    return ", unchanged" if count == before else f" (now {before})"


def _waits(advice: Advice, facts: ReportFacts) -> Iterator[str]:
    if facts.load is None:
        yield "Today's load is unknown: no log of arrivals, and no engine that has run for a minute. Expected wait:"
    else:
        yield f"Today's load is {pace(facts.load)} ({facts.load_source}). Expected wait:"
    for name, found in expected(advice, facts):
        if found.wait == math.inf:
            yield f"  {name:>20}: {pace(found.load)} exceed the capacity ({pace(advice.best.rate)}): the queue grows"
        else:
            yield f"  {name:>20}: {pace(found.load)}: {show(found.wait)} until its scan begins, {show(found.whole)} until it is out"


def _checked(advice: Advice, facts: ReportFacts) -> Iterator[str]:
    """Yield the prediction of the formula beside the measurement, to show how exact it is."""
    if wait := advice.best.wait:
        said = expect(wait.load, advice.servers, advice.best.rate, advice.beside(facts.alone)).whole
        yield f"  Calculated in the same way, {pace(wait.load)} take {show(said)} on average; {show(wait.mean)} were measured."


def document(advice: Advice, facts: ReportFacts, steps: Sequence[TuneStep], raised: Sequence[TuneStep]) -> dict[str, Any]:
    """Return everything, for programs."""
    processors, slots = settings(advice, facts)
    doubtful = doubts(advice, facts)
    recommended = {"processors": processors, "max_in_flight": slots, "rate": advice.best.rate}
    waits = [{"load_per_s": each.load, "wait_s": _number(each.wait), "whole_s": _number(each.whole)} for _, each in expected(advice, facts)]
    found: dict[str, Any] = {
        "mail": facts.mail,
        "one_alone_s": facts.alone,
        "steps": msgspec.to_builtins(steps),
        "more_slots": msgspec.to_builtins(raised),
        "law": msgspec.to_builtins(advice.fit.law) | {"error": advice.fit.error},
        "knee": advice.knee,
        "bottleneck": msgspec.to_builtins(advice.verdict),
        "recommended": None if doubtful else recommended,
        "doubts": doubtful,
        "configured": {"processors": facts.configured, "max_in_flight": facts.filters},
        "load_per_s": facts.load,
        "expected": waits,
        "notes": facts.notes,
    }
    return found


def _number(value: float) -> float | None:
    """Replace infinity, which JSON does not have."""
    return value if math.isfinite(value) else None
