"""Demands on what the bench shows: true figures, and nothing that steers a terminal."""

from collections import Counter

import pytest

from enqueuer.cli._benchview import BenchView, document, percentile, report, verdict
from filterlink.config.settings import Filter
from filterlink.config.units import Seconds
from filterlink.protocol.protocol import HelperReply
from filterlink.protocol.referee import RULES, BrokenRule
from filterlink.wire.frames import AnswerKind, FilterAnswer
from filterlink.workbench.testbench import BenchReport


@pytest.fixture
def found() -> BenchReport:
    """A run with three answers and one broken rule."""
    broken = {"length": BrokenRule(2, "\x1b[2Jlong")}
    return BenchReport(broken, 4, Counter({"OK": 2, "ERROR": 1}), [0.0001, 0.003, 0.004], 0.5, 1, 0, "", b"\x1b[2Jlast words\n")


def test_a_page_for_people(found: BenchReport, capsys: pytest.CaptureFixture[str]) -> None:
    """Verdicts, rate, times, a row a step of the histogram, the rule with its text."""
    report(found, 3, 29)
    page = capsys.readouterr().out

    assert "3 of 3 answered: 2 OK, 1 ERROR" in page
    assert "6 answers/s; median 3 ms, p90 4 ms, p99 4 ms, longest 4 ms" in page
    assert [line.split()[1:4] for line in page.splitlines() if "to " in line and " ms " in line and "█" in line] == [
        ["0.1", "ms", "1"],
        ["5", "ms", "2"],
    ]
    assert RULES["length"] in page
    assert "\x1b" not in page


def test_a_document_for_programs(found: BenchReport) -> None:
    """The same figures, each rule with its text."""
    told = document(found, 3)

    assert told["latency_s"] == {"p50": 0.003, "p90": 0.004, "p99": 0.004, "p100": 0.004}
    assert told["broken"] == [{"rule": "length", "says": RULES["length"], "count": 2, "first": "\x1b[2Jlong"}]
    assert document(BenchReport({}), 3)["latency_s"] == {}


@pytest.mark.parametrize(("part", "value"), [(50, 2), (90, 4), (99, 4), (100, 4), (1, 1)])
def test_percentiles(part: int, value: int) -> None:
    """The smallest value that so many of a hundred do not pass."""
    assert percentile([4, 1, 3, 2], part) == value


def test_the_dialogue_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """So many lines, then one that says so; with none wanted, none."""
    for lines in (2, 0):
        view = BenchView(lines)
        for number in range(5):
            view.line("<", b"%d \x1b[2J" % number)

    assert capsys.readouterr().out.splitlines() == ["< 0 \\x1b[2J", "< 1 \\x1b[2J", "  ... and so on"]


def test_a_verdict_in_one_line() -> None:
    """Verdict, report, added fields, time."""
    reply = HelperReply(1, FilterAnswer(AnswerKind.OK, "", (b"X-A: 1\n\tfolded",)))

    assert verdict(reply, 0.0042) == "OK, adds 'X-A: 1\\n\\tfolded' (4.2 ms)"
    assert verdict(HelperReply(1, FilterAnswer(AnswerKind.ERROR, "EICAR")), 12.0) == 'ERROR "EICAR" (12.0 s)'
    assert verdict(None, 1.0) == "no verdict"
    filter = Filter(name="F", program="x", slow_after=Seconds(5), on_failure="pass")
    assert verdict(HelperReply(1, FilterAnswer(AnswerKind.ERROR, "EICAR")), 12.0, filter) == 'ERROR "EICAR" (12.0 s, over slow_after)'
    assert verdict(None, 1.0, filter) == 'no verdict; an engine follows on_failure = "pass"'
