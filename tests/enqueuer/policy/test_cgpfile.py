"""The text form of CommuniGate Pro: what is read, what is written, and that nonsense costs little."""

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.policy.cgpfile import MAX_CGP_FILE, CgpItem, CgpSyntaxError, Value, read, write


def plain(item: CgpItem) -> Value:
    return item.text if item.array is None else [plain(each) for each in item.array]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("word", "word"),
        ("()", []),
        ("( a , b )", ["a", "b"]),
        ('("a b", (c), ())', ["a b", ["c"], []]),
        (r'"\"q\" \\ \* \e\n\r\t\065"', '"q" \\ * \n\n\r\tA'),
        ("// one\n( a /* two\n lines */, b) // end", ["a", "b"]),
        ("\ufeff(a)", ["a"]),
        ("(#5, a@b.c, x-y_z, ---)", ["#5", "a@b.c", "x-y_z", "---"]),
        (r'"SMTP\*"', "SMTP*"),
    ],
)
def test_read(text: str, value: Value) -> None:
    assert plain(read(text.encode())) == value


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "line 1: the file is empty"),
        (b"\n\n// c\n", "the file is empty"),
        (b"(a", "line 1: `(` is not closed"),
        (b"(\n(a\n", "line 2: `(` is not closed"),
        (b"(a))", "line 1: `)` cannot be here: expected the end of the file"),
        (b"(a,\n)", "line 2: an element is missing between `,` and `)`"),
        (b"(,a)", "`,` cannot be here: expected a word or `(`"),
        (b"(a b)", "`b` cannot be here: expected `,` or `)`"),
        (b"(a)\nb", "line 2: `b` cannot be here: expected the end"),
        (b'(a,\n "b\n)', "line 2: a quotation mark is not closed"),
        (b"{a=b;}", "line 1: `{`: a dictionary is not a rule"),
        (b"(a /* b", "a comment is not closed"),
        (b"\n\xff", "line 2: not UTF-8"),
        (b'("\\000")', "\\000 is no character"),
        (b"(" * 9, "more than 8 arrays in arrays"),
        (b"(" * 100_000, "more than 8 arrays in arrays"),
        (b"(" * (MAX_CGP_FILE + 1), "larger than 1 MiB"),
    ],
)
def test_an_error_has_its_line(data: bytes, error: str) -> None:
    with pytest.raises(CgpSyntaxError) as found:
        read(data)

    assert error in str(found.value)
    assert str(found.value).isprintable()


@pytest.mark.parametrize("piece", [b"a,", b"(),", b'"\\', b"//", b"\x00", b" ", b'""', b"(a,(b,(c,d),e),f),"])
def test_nonsense_costs_linear_time(piece: bytes) -> None:
    began = time.monotonic()
    for data in (piece * (MAX_CGP_FILE // 4 // len(piece)), b"(" + piece * (MAX_CGP_FILE // 4 // len(piece) - 4)):
        with pytest.raises(CgpSyntaxError):
            read(data)

    assert time.monotonic() - began < 20


@given(st.binary(max_size=80) | st.text(st.sampled_from(list('()",\\/* \nab{')), max_size=80).map(str.encode))
def test_any_bytes_are_an_object_or_an_error(data: bytes) -> None:
    try:
        found = plain(read(data))
    except CgpSyntaxError as error:
        line = str(error)
    else:
        line = "line 1"
        assert plain(read(write(found).encode())) == found

    assert line.startswith("line ")
    assert line.isprintable()


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=10)


@given(st.recursive(TEXTS, lambda inner: st.lists(inner, max_size=4), max_leaves=20).filter(lambda value: depth(value) <= 8))
def test_what_is_written_reads_the_same(value: Value) -> None:
    assert plain(read(write(value).encode())) == value


def depth(value: Value) -> int:
    return 0 if isinstance(value, str) else 1 + max(map(depth, value), default=0)


def test_an_array_of_arrays_has_a_line_for_each() -> None:
    value: Sequence[Value] = [["6", "SIGN DKIM", [["Source", "in", "a,b"]], [["Stop Processing"]]]]

    assert write(value) == (
        '(\n  (\n    6,\n    "SIGN DKIM",\n    (\n      (Source, in, "a,b")\n    ),\n    (\n      ("Stop Processing")\n    )\n  )\n)'
    )
