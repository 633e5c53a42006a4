"""Lines of both formats are read alike, and a query accepts what all of its conditions name."""

import json
import logging
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.log import dayfiles, logline
from enqueuer.log.entries import LogEntry, LogQuery, parse
from enqueuer.queue.message import timestamps

DAY = "2026-11-28"
LINE = parse(b"14:30:00.123 2 QUEUE([17]) enqueued: OUT(1); to=<Bob@b.example>", DAY)
PROBLEM = parse(b"14:31:00.123 3 EXTFILTER(Scan) it ended", DAY)


def made(text: str, trace: str | None = None) -> logline.Line:
    return logline.Line(1_764_340_200.125, 35, "QUEUE([17])", text, trace)


def test_a_line_of_text() -> None:
    assert LogEntry("2026-11-28 14:30:00.123", 2, "QUEUE([17])", "enqueued: OUT(1); to=<Bob@b.example>") == LINE
    assert (LINE.id, PROBLEM.id) == (17, None)
    assert LINE.shown() == ["2026-11-28 14:30:00.123 2 QUEUE([17]) enqueued: OUT(1); to=<Bob@b.example>"]


def test_the_form_of_a_line_in_json() -> None:
    """docs/log.md describes what collectors get."""
    found = json.loads(logline.in_json(made('a "b"\x1b[31m', "Traceback\n  line \x07")))

    assert found == {
        "time": "2025-11-28T14:30:00.125Z",
        "level": 2,
        "level_name": "major",
        "tag": "QUEUE([17])",
        "text": 'a "b"\\x1b[31m',
        "id": 17,
        "traceback": "Traceback\n  line \\x07",
    }
    assert list(json.loads(logline.in_json(logline.Line(0.0, 30, "LOG", "x")))) == ["time", "level", "level_name", "tag", "text"]


def test_the_page_has_the_forms() -> None:
    """docs/log.md: its examples are lines, and its names and defaults are ours."""
    page = Path("docs/log.md").read_text()
    shown = [line.strip() for line in page.splitlines() if re.match(r"    (\d\d:|\{)", line)]
    rows = dict(re.findall(r"^\|(?: `\[\w+\]`)? `([^`]+)` \|([^|]*)", page, re.MULTILINE))

    assert [parse(line.encode(), DAY).id for line in shown] == [1764000000000000, 17]
    assert shown[1] == logline.in_json(logline.Line(1_795_872_600.123456, 35, "QUEUE([17])", "enqueued: OUT(1)"))
    assert [dayfiles.parse(name) is not None for name in rows if name.startswith("2026")] == [True, True, True, False]
    settings = re.findall(r"^\| `\[(\w+)\]` `(\w+)` \| `\"(\w+)\"`", page, re.MULTILINE)
    written = tomllib.loads(resources.files("enqueuer.config").joinpath("default.toml").read_text())
    assert len(settings) == 3
    assert [written[table][key] for table, key, _ in settings] == [default for _, _, default in settings]


@given(st.text(), st.sampled_from([50, 40, 35, 30, 20, 10]))
def test_both_formats_are_read_alike(text: str, level: int) -> None:
    line = logline.line_of(logging.LogRecord("X", level, "", 0, text.replace("%", "%%"), None, None))
    day = timestamps.day(int(line.created))
    in_text = parse(logline.shown(line).encode(), day)
    in_json = parse(logline.in_json(line).encode(), "2000-01-01")

    assert in_json == in_text
    assert parse(in_text.in_json().encode(), "2000-01-01") == in_text


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"no line",
        b"{",
        b'{"time": 5}',
        b'{"time": "2026-11-28T10:00:00", "level": 2, "tag": "", "text": ""}',
        b"\xff\xfe",
        b"[" * 9999,
    ],
)
def test_what_is_no_line_has_no_time(line: bytes) -> None:
    found = parse(line, DAY)

    assert (found.at, found.level, found.tag) == (DAY, 5, "")
    assert found.text == line.decode(errors="backslashreplace")


@given(st.binary())
def test_any_bytes_become_a_line_that_steers_no_terminal(line: bytes) -> None:
    found = parse(line, DAY)
    json.loads(found.in_json())
    assert all(each.isprintable() for each in found.shown())


@pytest.mark.parametrize(
    ("entry", "conditions", "accepted"),
    [
        (LINE, {}, True),
        (LINE, {"texts": ("bob@B.example",)}, True),
        (LINE, {"texts": ("bob@b.example", "OUT(1)")}, True),
        (LINE, {"texts": ("bob@b.example", "OUT(2)")}, False),
        (LINE, {"texts": ("queue([17]) enqueued",)}, True),
        (LINE, {"ids": frozenset({17})}, True),
        (LINE, {"ids": frozenset({1})}, False),
        (PROBLEM, {"ids": frozenset({17})}, False),
        (LINE, {"tag": "queue"}, True),
        (LINE, {"tag": "QUEUE([17])"}, True),
        (LINE, {"tag": "QUEUE([1"}, False),
        (PROBLEM, {"tag": "extfilter(scan)"}, True),
        (PROBLEM, {"levels": frozenset({0, 1, 2})}, False),
        (LINE, {"since": "2026-11-28 14:30"}, True),
        (LINE, {"since": "2026-11-28 14:31"}, False),
        (LINE, {"before": "2026-11-28 14:30:00.123"}, False),
        (LINE, {"before": "2026-11-28 14:30:00.124"}, True),
    ],
)
def test_a_query(entry: LogEntry, conditions: dict[str, Any], accepted: bool) -> None:
    assert LogQuery(**conditions).accepts(entry) is accepted


@given(st.text(), st.text(), st.text(), st.booleans())
def test_the_needle_hides_no_line(before: str, text: str, after: str, as_json: bool) -> None:
    """Each line that a query accepts contains the needle of the query, in both formats."""
    line = made(before + text + after)
    shown = (logline.in_json(line) if as_json else logline.shown(line)).encode()
    query = LogQuery(texts=(text,))
    if query.accepts(parse(shown, DAY)):
        assert query.needle in shown.lower()


@pytest.mark.parametrize(
    ("since", "before", "days"),
    [("", "~", [27, 28, 29]), ("2026-11-28 10:00", "~", [28, 29]), ("", "2026-11-28", [27]), ("2026-11-28", "2026-11-28 10:00", [28])],
)
def test_whole_days_are_left_out(since: str, before: str, days: list[int]) -> None:
    query = LogQuery(since=since, before=before)

    assert [day for day in (27, 28, 29) if query.has_day(f"2026-11-{day}")] == days
