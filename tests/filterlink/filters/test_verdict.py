from filterlink.filters import verdict
from filterlink.filters.verdict import MAX_REPLY, quote, reply


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
