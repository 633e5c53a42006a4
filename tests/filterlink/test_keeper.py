"""Demands on what is logged of a helper; how it is kept running is held to its promises in test_server."""

import logging

import pytest

from filterlink.keeper import LINES_A_SECOND, TAIL, Grumble

LOG = logging.getLogger("EXTFILTER(Grumble)")


def test_stderr_lines_are_problems(caplog: pytest.LogCaptureFixture) -> None:
    """Each line is logged once, however it was cut into reads; empty lines are not."""
    grumble = Grumble(LOG)
    for piece in (b"first li", b"ne\n\nsecond", b" line\r\n"):
        grumble.stderr(piece)

    assert [record.getMessage().strip() for record in caplog.records] == ["stderr: first line", "stderr: second line"]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_flood_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """So many lines a second at most are logged; no line without end is kept."""
    grumble = Grumble(LOG)
    for _ in range(1000):
        grumble.stderr(b"x" * 1000)
    grumble.stderr(b"\nmore\n" * 1000)

    assert 0 < len(caplog.records) <= 3 * LINES_A_SECOND  # a second may have passed meanwhile
    assert max(len(record.getMessage()) for record in caplog.records) < 1100
    assert len(grumble.tail) <= TAIL


def test_last_words() -> None:
    """The tail of stderr is the reason in one line, unfinished lines included; it begins anew for the next helper."""
    grumble = Grumble(LOG)
    grumble.stderr(b"Traceback:\n  cannot open key\nbye")

    assert grumble.last_words() == "Traceback: / cannot open key / bye"
    assert grumble.last_words() == ""
