import json
import math
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.config import lint, schema
from enqueuer.tune.advice import Advice, advise
from enqueuer.tune.report import HEAD, ROWS, ReportFacts, document, doubts, lines, row, settings, show
from enqueuer.tune.verdict import Cpu, Scans, TuneStep, Wait

CONFIG = """
[enqueuer]
processors = {}
[[filters]]
name = "F"
program = "./helper"
max_in_flight = {}
[[rules]]
name = "all"
actions = [["ExternalFilter", "F"]]
[[routes]]
recipient = "*"
to = "OUT"
"""
FACTS = ReportFacts(
    mail="made", filters={"F": 8}, instances={"F": 2}, configured=4, alone=0.03, load=100.0, load_source="a log", notes=["so it is"]
)


def step(processors: int, rate: float, slots: int = 16) -> TuneStep:
    parked = max(0.0, processors - slots)
    at_once = float(min(processors, slots))
    cpu = Cpu(cores=2, busy=0.2)
    scans = (Scans("F", at_once, slots),)
    return TuneStep(
        processors=processors,
        rate=rate,
        spread=0.01,
        busy=at_once,
        scanning=at_once,
        parked=parked,
        piled_up=0.0,
        scans=scans,
        cpu=cpu,
        disk=0.0,
    )


STEPS = [
    msgspec.structs.replace(step(1, 50), wait=Wait(35.0, 100, 0.03, 0.021, 0.15)),
    *(step(n, min(n, 16) * 50.0) for n in (2, 4, 8, 16, 32)),
]
RAISED = [step(32, 1550.0, 32)]


def text(advice: Advice, facts: ReportFacts = FACTS) -> str:
    return "\n".join(lines(advice, facts, STEPS))


def test_what_people_want_to_know_is_said() -> None:
    """Bottleneck, counts, waits at 1, 2 and 5 times the load, the plot, the notes."""
    told = text(advise(STEPS, [], 4))

    assert "1 processor did 50/s, 16 did 800/s: 16.0 times as much.\nMore than 16 did not more: 32 did 800/s." in told
    assert "What limits it: filter slots. With 32 processors" in told
    assert 'Recommended: processors = 16 (now 4)\n             max_in_flight = 8 of filter "F", unchanged' in told
    assert "With processors = 4, as configured, processors are too few: 16 do 4.0 times as much." in told
    assert "Today's load is 100/s (a log)" in told
    assert "5 times today's: 500/s: " in told
    assert "recommended ▲" in told  # before the arrow: behind it there is no room
    assert told.endswith("Note: so it is")


def test_more_slots_are_recommended_by_filter_and_instance() -> None:
    """Thirty-two of two processes are sixteen each; what is enough as it is stands there too."""
    advice = advise(STEPS, RAISED, 4)

    assert settings(advice, FACTS) == (32, {"F": 16})
    assert 'max_in_flight = 16 of filter "F" (now 8)' in text(advice)
    assert "With max_in_flight as it is, processors = 16 are enough: 800/s." in text(advice)


def test_the_formula_stands_beside_what_was_measured() -> None:
    """So that one can doubt it."""
    steps = [*STEPS[:4], msgspec.structs.replace(STEPS[4], wait=Wait(560.0, 900, 0.0334, 0.03, 0.05)), STEPS[5]]

    assert "Calculated in the same way, 560/s take 31 ms on average; 33 ms were measured." in text(advise(steps, [], 4))


def test_a_load_that_is_too_much_is_said() -> None:
    """No wait is made up for it."""
    told = text(advise(STEPS, [], 4), msgspec.structs.replace(FACTS, load=500.0))

    assert "2 times today's: 1000/s exceed the capacity (800/s): the queue grows" in told


def test_an_unknown_load_is_said() -> None:
    """Then parts of the capacity stand for it."""
    told = text(advise(STEPS, [], 4), msgspec.structs.replace(FACTS, load=None))

    assert "Today's load is unknown" in told
    assert "80% of the capacity: 640/s" in told


def test_the_document_is_json() -> None:
    """With everything, and no number that JSON does not know."""
    found = document(advise(STEPS, RAISED, 4), msgspec.structs.replace(FACTS, load=1000.0), STEPS, RAISED)
    again = json.loads(json.dumps(found, allow_nan=False))

    assert again["recommended"] == {"processors": 32, "max_in_flight": {"F": 16}, "rate": 1550.0}
    assert again["bottleneck"]["kind"] == "filter slots"
    assert again["expected"][2]["wait_s"] is None
    assert [each["processors"] for each in again["steps"]] == [1, 2, 4, 8, 16, 32]


def test_a_row_has_all_columns() -> None:
    """Too few for a wait, and no filter, too."""
    assert row(STEPS[0]).split() == ["1", "16", "50", "1%", "100%", "20%", "0%", "21", "ms", "/", "150", "ms"]
    assert row(msgspec.structs.replace(STEPS[1], scans=())).split()[1] == "-"
    assert row(STEPS[1]).endswith("too few messages")
    assert row(msgspec.structs.replace(STEPS[0], spread=None)).split()[3] == "?"
    assert len(HEAD) <= 80


def test_durations_are_short() -> None:
    """From microseconds to never."""
    assert [show(each) for each in (0.00002, 0.0002, 0.0213, 0.15, 1.234, 75.0, math.inf)] == [
        "under 0.1 ms",
        "0.2 ms",
        "21 ms",
        "150 ms",
        "1.23 s",
        "75 s",
        "without end",
    ]


def test_a_count_that_finds_itself_is_left() -> None:
    """With "auto" it is said that it is."""
    told = text(advise(STEPS, [], 4), msgspec.structs.replace(FACTS, auto=True))

    assert 'processors = 16 (now "auto", up to 4: it finds such a number by itself, if auto_max allows it)' in told


def test_what_was_not_tried_is_not_taken_away() -> None:
    """It stopped after three counts, and eight processors are configured: it does not recommend fewer."""
    early = msgspec.structs.replace(FACTS, whole=False, configured=8)
    advice = advise(STEPS[:3], [], 8)

    assert "No recommendation: it ended before processors = 8, the configured count, was measured." in text(advice, early)
    assert not doubts(advice, msgspec.structs.replace(early, whole=True))
    assert not doubts(advise(STEPS[:4], [], 8), early)  # today's count was tried
    assert not doubts(advice, msgspec.structs.replace(early, configured=1))  # more than there are
    assert not doubts(advice, msgspec.structs.replace(early, auto=True))  # not a count that --apply writes


def test_a_doubtful_measurement_recommends_nothing() -> None:
    """The report gives the reason and the cure, and no number that looks like advice."""
    cpu = Cpu(cores=2, busy=1.0, outside=1.4, idle_outside=1.9)
    advice = advise([msgspec.structs.replace(each, cpu=cpu) for each in STEPS], [], 4)
    told = text(advice)
    reason = "other programs used up to 1.4 of 2 cores during the measurement. Run it again when the machine is quiet."

    assert f"No recommendation: {reason}" in told
    assert "Recommended" not in told
    assert "recommended" not in told
    found = document(advice, FACTS, STEPS, [])
    assert (found["recommended"], found["doubts"]) == (None, [reason])


@pytest.mark.parametrize(
    "advice",
    [advise(STEPS, [], 4), advise(STEPS, RAISED, 4), advise(STEPS[:2], [], 4), advise([step(n, 50 / n) for n in (1, 2, 4)])],
    ids=["slots", "more slots", "too few counts", "slower and slower"],
)
def test_the_report_needs_no_knowledge_of_queueing_theory(advice: Advice) -> None:
    """Its words are those of an administrator."""
    told = f"{ROWS}\n{HEAD}\n{text(advice)}".lower()

    assert re.findall(r"\b(law|knee|sigma|kappa|median|p99|capacity of|verdict|disposition|bottleneck)\b", told) == []


@given(
    st.lists(st.floats(1, 1000), min_size=3, max_size=7),
    st.sampled_from([0, 1, 2, 3, 5, 16, 100]),
    st.sampled_from([0.0, 0.05, 0.3, None]),
)
def test_no_recommendation_is_one_that_the_config_check_warns_of(rates: list[float], slots: int, spread: float | None) -> None:
    """Two lanes need two processors, and the slots limit how many processors can work."""
    steps = [msgspec.structs.replace(step(2**power, rate, slots), spread=spread) for power, rate in enumerate(rates)]
    facts = msgspec.structs.replace(FACTS, filters={"F": max(1, slots)}, instances={"F": 1})
    advice = advise(steps, [], 4)
    processors, found = settings(advice, facts)
    config = schema.load(CONFIG.format(processors, found["F"]).encode())

    assert [each for each in lint.warnings(config) if "processors" in each] == []


@pytest.mark.parametrize("width", [80, 120])
def test_the_screen_fits(width: int) -> None:
    """What cannot be folded: the table and the plot."""
    told = text(advise(STEPS, RAISED, 4)).splitlines()

    assert [line for line in [HEAD, *map(row, STEPS), *told[:16]] if len(line) > width] == []
