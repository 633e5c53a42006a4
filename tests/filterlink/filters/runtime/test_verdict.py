import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterlink.filters.runtime import verdict
from filterlink.filters.runtime.finding import Policy, ScannerFinding
from filterlink.filters.runtime.verdict import MAX_REPLY, quote, reply
from filterlink.protocol.strings import check_fields, take_quoted


def test_each_verdict_is_said_in_the_words_of_the_protocol() -> None:
    """The verb, then the text in quotes where there is one."""
    said = [reply(v) for v in (verdict.ok(), verdict.error("a b"), verdict.rejected("r"), verdict.discard(), verdict.failure("f"))]

    assert said == [b"OK", b'ERROR "a b"', b'REJECTED "r"', b"DISCARD", b'FAILURE "f"']


def test_quotes_backslashes_and_line_ends_are_escaped() -> None:
    """Nothing in a text can end the string or the line."""
    assert quote('a"b\\c\nd\te\x07f') == b'"a\\"b\\\\c\\nd\\te f"'


def test_header_fields_are_separated_by_e() -> None:
    """Several fields and folds are one string."""
    assert reply(verdict.header(("X-A: 1", "X-B: 2\n\t3"))) == b'ADDHEADER "X-A: 1\\eX-B: 2\\e\\t3"'


def test_no_reply_is_longer_than_the_protocol_allows() -> None:
    """Texts are shortened between characters, fields left out whole."""
    longest = [reply(verdict.error(char * 10_000)) for char in 'a"é\n']
    fields = reply(verdict.header(tuple(f"X-{n}: {'v' * 500}" for n in range(100))))

    assert all(len(said) <= MAX_REPLY - 70 and said.endswith(b'..."') for said in longest)
    assert len(fields) <= MAX_REPLY - 70
    assert all(len(field) > 500 for field in fields.decode()[11:-1].split("\\e"))
    assert longest[2].decode()


def test_fields_of_which_none_fits_are_ok() -> None:
    """An empty ADDHEADER is never said."""
    assert reply(verdict.header(("X-Long: " + "v" * 5000,))) == b"OK"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Eicar\nBcc: all@x.example", "Eicar Bcc: all@x.example"),
        ("Eicar\r\n\r\nbody", "Eicar body"),
        ("a\n b", "a b"),
        ("a\x0bb\x85c\u2028d\x00e", "a b c d e"),
        ("Win.Trojan\u202e\xe9", "Win.Trojan ?"),
        ("  a   b  ", "a b"),
        ("x" * 5000, "x" * 197 + "..."),
        ("", ""),
    ],
)
def test_a_value_of_a_server_is_one_line_of_ascii(name: str, safe: str) -> None:
    """Whatever a scanner calls what it found, it adds no field and ends no header."""
    assert verdict.field("X-Virus", name) == f"X-Virus: {safe}"
    assert reply(Policy("header").verdict(ScannerFinding(name or "x"), "clamd")) == b'ADDHEADER "X-Virus: %b"' % (safe or "x").encode()


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("X-A: 1\nBcc: x", b'ADDHEADER "X-A: 1 Bcc: x"'),
        ("X-A: 1\n\n body", b'ADDHEADER "X-A: 1\\e body"'),
        ("X-A: 1\r\n\t2\r3", b'ADDHEADER "X-A: 1\\e\\t2 3"'),
        ("X-A: \xe9", b'ADDHEADER "X-A: ?"'),
        ("X A: 1", b"OK"),
        ("no field", b"OK"),
        ("\nBcc: x", b"OK"),
    ],
)
def test_what_a_filter_adds_is_one_field(field: str, said: bytes) -> None:
    """Folds stay; what is no field is left out, and no line end begins another one."""
    assert reply(verdict.header((field,))) == said


@given(st.text())
def test_no_text_makes_a_second_field(text: str) -> None:
    """The multiplexer finds one safe field in the reply, whatever a server said."""
    said = reply(verdict.header((verdict.field("X-A", text), f"X-B: {text}")))
    taken = take_quoted(said, len(b"ADDHEADER "))
    assert taken is not None
    fields, complaints = check_fields(taken[0])

    assert ([field[:4] for field in fields], complaints) == ([b"X-A:", b"X-B:"], [])
    assert all(line.isascii() for line in fields)
