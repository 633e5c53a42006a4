"""Demands on strings and header fields of the helper protocol."""

import re

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from filterlink.protocol.strings import check_fields, decode_report, take_quoted
from filterlink.wire.frames import MAX_TEXT


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb'"plain"', b"plain"),
        (rb'""', b""),
        (rb'"a\"b\\c\'d"', b"a\"b\\c'd"),
        (rb'"a\nb\ec\td\r"', b"a\nb\nc\td\r"),
        (rb'"\q\%"', b"q%"),
        (rb'"ends here" not here"', b"ends here"),
    ],
)
def test_quoted_strings(text: bytes, value: bytes) -> None:
    """Escapes mean what real helpers mean by them; an unknown one is the character itself."""
    taken = take_quoted(text, 0)

    assert taken is not None
    assert taken[0] == value


@pytest.mark.parametrize("text", [b"bare", b'"no end', b'"no end\\"', b""])
def test_no_quoted_string(text: bytes) -> None:
    """What is no complete quoted string is told apart, not guessed."""
    assert take_quoted(text, 0) is None


def test_a_megabyte_without_end_takes_no_time() -> None:
    """A hostile string costs linear time: no backtracking."""
    assert take_quoted(b'"' + b'\\"' * 500_000, 0) is None


def test_reports_are_bounded_text() -> None:
    """A report is text of at most MAX_TEXT bytes, whatever bytes came."""
    assert decode_report(b"infected: \xff") == "infected: �"
    assert len(decode_report(b"\xff" * 2 * MAX_TEXT).encode()) <= MAX_TEXT


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (b"X-A: 1\nX-B: 2", (b"X-A: 1", b"X-B: 2")),
        (b"X-A: 1\r\nX-B: 2\r\n", (b"X-A: 1", b"X-B: 2")),
        (b"\n\nX-A: 1\n\n\nX-B: 2\n", (b"X-A: 1", b"X-B: 2")),
        (b"X-A: 1\n\tfolded\n more\nX-B:", (b"X-A: 1\n\tfolded\n more", b"X-B:")),
        ("X-A: Grüße".encode(), ("X-A: Grüße".encode(),)),
        (b"X-A: 1\n \n\t\nX-B: 2", (b"X-A: 1", b"X-B: 2")),
    ],
)
def test_good_fields_come_through(text: bytes, fields: tuple[bytes, ...]) -> None:
    """Fields are split at any line end, folds stay, empty lines never end a header."""
    assert check_fields(text) == (list(fields), [])


@pytest.mark.parametrize(
    "bad",
    [
        b"no field",
        b": value",
        b"X A: 1",
        b"X-A : 1",
        b" continues nothing",
        b"X-A: a\rBcc: b",
        b"X-A: \0",
        b"X-A: \x1b[31m",
        b"X\xe9: 1",
        b"From me Mon",
    ],
)
def test_bad_fields_are_refused_and_told(bad: bytes) -> None:
    """What is no field of RFC 5322 is not added; the good ones beside it are."""
    fields, complaints = check_fields(bad + b"\nX-Good: 1")

    assert fields == [b"X-Good: 1"]
    assert len(complaints) == 1


def test_fields_are_bounded() -> None:
    """Together they are never longer than MAX_TEXT; one of 5000 bytes comes whole."""
    long = b"X-Long: " + b"x" * 5000
    fields, complaints = check_fields(b"\n".join([long] * 20))

    assert fields[0] == long
    assert sum(map(len, fields)) <= MAX_TEXT
    assert complaints


@profile(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text("aX:-\n\r \t\0", max_size=60).map(str.encode))
def test_no_text_breaks_a_header(text: bytes) -> None:
    """Whatever a helper writes, what comes out is a name and its value, in lines that begin with a blank after the first."""
    for field in check_fields(text)[0]:
        first, *folds = field.split(b"\n")
        assert re.fullmatch(rb"[!-9;-~]+:.*", first)
        assert all(fold[:1] in (b" ", b"\t") and fold.strip() for fold in folds)
        assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", field)
