"""Points of time as people write them."""

from datetime import datetime

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.cli._when import end_of_hold, span, then

NOW = datetime(2026, 11, 28, 14, 30, 15, 123456)


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("10m", "2026-11-28 14:20:15.123", "2026-11-28 14:20:15.123"),
        ("2h", "2026-11-28 12:30:15.123", "2026-11-28 12:30:15.123"),
        ("3d", "2026-11-25 14:30:15.123", "2026-11-25 14:30:15.123"),
        ("14:30", "2026-11-28 14:30:00.000", "2026-11-28 14:31:00.000"),
        ("9:05", "2026-11-28 09:05:00.000", "2026-11-28 09:06:00.000"),
        ("23:59:59", "2026-11-28 23:59:59.000", "2026-11-29 00:00:00.000"),
        ("2026-11-01", "2026-11-01 00:00:00.000", "2026-11-02 00:00:00.000"),
        ("2026-11-01 14:30", "2026-11-01 14:30:00.000", "2026-11-01 14:31:00.000"),
        ("2026-11-01T14:30:05", "2026-11-01 14:30:05.000", "2026-11-01 14:30:06.000"),
        (" today ", "2026-11-28 00:00:00.000", "2026-11-29 00:00:00.000"),
        ("yesterday", "2026-11-27 00:00:00.000", "2026-11-28 00:00:00.000"),
        ("yesterday 8:00", "2026-11-27 08:00:00.000", "2026-11-27 08:01:00.000"),
    ],
)
def test_a_point_of_time(text: str, begin: str, end: str) -> None:
    assert span(text, NOW, "--since") == (begin, end)


@pytest.mark.parametrize("text", ["", " ", "soon", "24:00", "2026-02-30", "10", "never", "-5m", "9999-12-31", "14:60", "\u0661\u0660:00"])
def test_what_is_no_point_of_time(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="write a duration"):
        span(text, NOW, "--since")


@given(st.text())
def test_nothing_else_comes_out(text: str) -> None:
    try:
        begin, end = span(text, NOW, "--since")
    except typer.BadParameter:
        return
    assert begin <= end


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", "2026-11-28 16:30:15"),
        ("3d", "2026-12-01 14:30:15"),
        ("18:00", "2026-11-28 18:00:00"),
        ("9:05", "2026-11-29 09:05:00"),
        ("2026-12-24", "2026-12-24 00:00:00"),
        (" 2026-11-28 14:31 ", "2026-11-28 14:31:00"),
    ],
)
def test_a_point_of_time_to_come(text: str, expected: str) -> None:
    """A time of day that is past is tomorrow's."""
    assert end_of_hold(then(text, NOW, "--until")) == expected


@pytest.mark.parametrize("text", ["", "soon", "24:00", "today", "yesterday", "2026-11-28", "2026-11-27 18:00", "9999999999999d", "0s"])
def test_what_is_no_time_to_come(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"write a duration|is past"):
        then(text, NOW, "--until")


@given(st.text())
def test_no_other_time_comes_out(text: str) -> None:
    try:
        found = then(text, NOW, "--until")
    except typer.BadParameter:
        return
    assert found > NOW.timestamp()


@pytest.mark.parametrize("until", [0, None, "x", [], -1, float("nan"), 1e300, 10**400])
def test_a_hold_without_an_end(until: object) -> None:
    assert end_of_hold(until) == "it is released"
