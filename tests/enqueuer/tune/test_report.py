import json
import math

import msgspec

from enqueuer.tune.advice import Advice, advise
from enqueuer.tune.report import ReportFacts, document, lines, premature, row, settings, show
from enqueuer.tune.verdict import Cpu, Scans, TuneStep, Wait

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

    assert "Bottleneck: filter slots. With 32 processors" in told
    assert 'Recommended: processors = 16 (now 4)\n             max_in_flight = 8 of filter "F", unchanged' in told
    assert "With processors = 4, as configured, the bottleneck is processors: 16 do 4.0 times as much." in told
    assert "Knee: 16.0 processors" in told
    assert "Today's load is 100/s (a log)" in told
    assert "5 times today's: 500/s: " in told
    assert "▲ recommended" in told
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

    assert "For 560/s it predicts 31 ms until a message is out, on average; measured: 33 ms." in text(advise(steps, [], 4))


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
    assert row(STEPS[0]).split() == ["1", "16", "50", "1%", "100%", "20%", "0%", "35/s:", "21", "ms,", "150", "ms"]
    assert row(msgspec.structs.replace(STEPS[1], scans=())).split()[1] == "-"
    assert row(STEPS[1]).endswith("too few")


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
    """Stopped after two counts, four being configured: two are the best so far, and no recommendation to go down."""
    early = msgspec.structs.replace(FACTS, whole=False)
    advice = advise(STEPS[:2], [], 4)

    assert premature(advice, early)
    assert "The best so far: processors = 2 (now 4)" in text(advice, early)
    assert not premature(advice, FACTS)
    assert not premature(advise(STEPS[:3], [], 4), early)  # today's count was tried
    assert not premature(advice, msgspec.structs.replace(early, configured=1))  # more than there are
    assert not premature(advice, msgspec.structs.replace(early, auto=True))  # not a count that --apply writes
