"""Write the final report of `enqueuer tune`: lines for people, one document for programs. Pure."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from enqueuer.tune.advice import Advice
from enqueuer.tune.chart import chart
from enqueuer.tune.verdict import TuneStep
from enqueuer.tune.waiting import Expected, expect

__all__ = ["HEAD", "ReportFacts", "document", "lines", "premature", "row", "settings", "show"]

TIMES = (1, 2, 5)
"""Multiples of today's load."""
PARTS = (0.5, 0.8, 0.95)
"""Parts of the capacity, for a report without today's load."""
HEAD = f"{'PROCESSORS':>10} {'SLOTS':>6} {'MESSAGES/S':>11} {'+-':>5} {'BUSY':>6} {'CPU':>5} {'DISK':>5}  STEADY LOAD: MEDIAN, P99"
ODD = 0.15
"""A law with a larger error somewhere is not trustworthy."""


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
    told = f"{pace(wait.load)}: {show(wait.median)}, {show(wait.p99)}" if wait else "too few"
    return (
        f"{step.processors:>10} {step.slots or '-':>6} {step.rate:>11.4g} {step.spread:>5.0%} {step.busy / step.processors:>6.0%}"
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
        return advice.best.processors, dict(facts.filters)
    slots = {each.name: each.slots for each in advice.raised.scans}
    return advice.best.processors, {name: slots[name] // facts.instances[name] for name in facts.filters}


def premature(advice: Advice, facts: ReportFacts) -> bool:
    """Return whether fewer than the configured processors are recommended only because the measurement ended before that number."""
    return not facts.whole and not facts.auto and advice.now is None and advice.best.processors < facts.configured


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
    yield from chart([(step.processors, step.rate) for step in steps], advice.fit.law, advice.step.processors, cap, why)
    yield ""
    yield from _law(advice)
    yield ""
    yield f"Bottleneck: {advice.verdict.kind}. With {_processors(steps[-1].processors)}, {advice.verdict.why}."
    if advice.verdict.cure:
        yield f"  What would help: {advice.verdict.cure}."
    yield from _now(advice, facts)
    yield ""
    yield from _recommended(advice, facts)
    yield ""
    yield from _waits(advice, facts)
    yield from _checked(advice, facts)
    yield from (f"Note: {note}" for note in facts.notes)


def _processors(count: int) -> str:
    return "1 processor" if count == 1 else f"{count} processors"


def _law(advice: Advice) -> Iterator[str]:
    law = advice.fit.law
    formula = f"{law.rate:.4g} N / (1 + {law.sigma:.3g} (N - 1) + {law.kappa:.3g} N (N - 1))"
    yield f"Law: {formula} messages/s, within {advice.fit.error:.0%} of what was measured."
    if advice.fit.error > ODD:
        yield "  This error is large: trust the table more than the law."
    peak = f"; the law turns down beyond {law.peak:.0f}" if law.peak < 1000 else ""
    yield f"Knee: {advice.knee:.1f} processors. There the line of one processor meets the best throughput{peak}."


def _now(advice: Advice, facts: ReportFacts) -> Iterator[str]:
    if advice.now is not None and advice.now.processors < advice.step.processors and not facts.auto:
        more = f"{advice.step.processors} do {advice.step.rate / advice.now.rate:.1f} times as much"
        yield f"With processors = {facts.configured}, as configured, the bottleneck is processors: {more}."


def _recommended(advice: Advice, facts: ReportFacts) -> Iterator[str]:
    processors, slots = settings(advice, facts)
    early = premature(advice, facts)
    yield f"{'The best so far' if early else 'Recommended'}: processors = {processors}{_was(processors, facts.configured, facts.auto)}"
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
        yield f"  For {pace(wait.load)} it predicts {show(said)} until a message is out, on average; measured: {show(wait.mean)}."


def document(advice: Advice, facts: ReportFacts, steps: Sequence[TuneStep], raised: Sequence[TuneStep]) -> dict[str, Any]:
    """Return everything, for programs."""
    processors, slots = settings(advice, facts)
    waits = [{"load_per_s": each.load, "wait_s": _number(each.wait), "whole_s": _number(each.whole)} for _, each in expected(advice, facts)]
    found: dict[str, Any] = {
        "mail": facts.mail,
        "one_alone_s": facts.alone,
        "steps": msgspec.to_builtins(steps),
        "more_slots": msgspec.to_builtins(raised),
        "law": msgspec.to_builtins(advice.fit.law) | {"error": advice.fit.error},
        "knee": advice.knee,
        "bottleneck": msgspec.to_builtins(advice.verdict),
        "recommended": {"processors": processors, "max_in_flight": slots, "rate": advice.best.rate},
        "configured": {"processors": facts.configured, "max_in_flight": facts.filters},
        "load_per_s": facts.load,
        "expected": waits,
        "notes": facts.notes,
    }
    return found


def _number(value: float) -> float | None:
    """Replace infinity, which JSON does not have."""
    return value if math.isfinite(value) else None
