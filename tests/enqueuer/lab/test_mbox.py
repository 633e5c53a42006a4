import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.lab.mbox import Piece, is_separator, split

FROM = b"From ann@example.org Tue Nov 24 06:40:00 2026\n"


def pieces(text: bytes, most: int = 1000, length: int = 1 << 16) -> list[bytes]:
    return [piece.data for piece in split(_lines(text, length), most)]


def _lines(text: bytes, length: int) -> list[bytes]:
    """As readline(length) gives them: long lines in pieces."""
    return [line[at : at + length] for line in text.splitlines(keepends=True) for at in range(0, len(line), length)]


def test_messages_are_parted_at_from_lines() -> None:
    """The line itself and the empty line above it belong to no message."""
    assert pieces(FROM + b"A: 1\n\none\n\n" + FROM + b"B: 2\n\ntwo\n") == [b"A: 1\n\none\n", b"B: 2\n\ntwo\n"]


def test_from_in_a_text_parts_nothing() -> None:
    """Neither without an empty line above it, nor without a time and a year, nor as a header field."""
    text = b"From: a\n\nx\n" + FROM + b"\nFrom here on all is text.\n\nFrom: 10:30 2026\n"

    assert pieces(FROM + text) == [text]


@pytest.mark.parametrize(
    "line",
    [
        b"From - Tue Nov 24 06:40:00 2026",
        b"From ann at example.org  Tue Nov 24 06:40:00 2026",
        b"From 1234@xxx Tue Nov 24 06:40:00 +0000 2026",
        b"From MAILER-DAEMON Tue, 24 Nov 2026 06:40 GMT\r\n",
    ],
)
def test_the_from_lines_of_many_writers(line: bytes) -> None:
    """Thunderbird, pipermail, Takeout, and those who write the date as mail does."""
    assert is_separator(line)


@pytest.mark.parametrize("line", [b"From: ann 06:40 2026", b"from a 06:40 2026", b">From a 06:40 2026", b"From here on", b""])
def test_what_is_no_from_line(line: bytes) -> None:
    """Header fields, quoted ones, plain text."""
    assert not is_separator(line)


def test_quoting_is_undone() -> None:
    """One > less before From, whatever its number; other quotes stay."""
    assert pieces(FROM + b"A: 1\n\n>From me\n>>From you\n> From him\n>Fromage\n") == [b"A: 1\n\nFrom me\n>From you\n> From him\n>Fromage\n"]


def test_line_ends_of_windows() -> None:
    """They part messages too, and stay in them."""
    text = (FROM + b"A: 1\n\n>From x\n\n" + FROM + b"B: 2\n\ntwo\n").replace(b"\n", b"\r\n")

    assert pieces(text) == [b"A: 1\r\n\r\nFrom x\r\n", b"B: 2\r\n\r\ntwo\r\n"]


def test_a_message_that_is_too_large_is_counted_not_kept() -> None:
    """The others are as they were."""
    text = FROM + b"A: 1\n\n" + b"x" * 100 + b"\n\n" + FROM + b"B: 2\n\ntwo\n"

    assert list(split(_lines(text, 60), 50)) == [Piece(b"", 108), Piece(b"B: 2\n\ntwo\n", 10)]


def test_what_stands_above_the_first_from_line_is_no_message() -> None:
    """Nothing is made up of it."""
    assert pieces(b"junk\n\n" + FROM + b"A: 1\n") == [b"A: 1\n"]
    assert pieces(b"junk\n") == pieces(b"") == []


@given(
    st.lists(st.lists(st.sampled_from([b"text", b"From x 10:00 2026", b">From y", b"", b"x" * 40]), max_size=6), max_size=4),
    st.integers(1, 50),
)
def test_what_was_written_is_read(texts: list[list[bytes]], length: int) -> None:
    """As mboxrd quotes it, in pieces of any length."""
    messages = [b"A: 1\n\n" + b"".join(line + b"\n" for line in text) for text in texts]
    quoted = [message.replace(b"\n>From ", b"\n>>From ").replace(b"\nFrom ", b"\n>From ") for message in messages]
    written = b"".join(FROM + message + b"\n" for message in quoted)
    cut = [each for line in written.splitlines(keepends=True) for each in ([line] if is_separator(line) else _lines(line, length))]

    assert [piece.data for piece in split(cut, 10_000)] == messages
