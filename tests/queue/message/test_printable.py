"""Text from outside steers no terminal, whatever it is."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from enqueuer.queue.message.printable import printable, printable_json


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Gr\u00fc\u00dfe", "Gr\u00fc\u00dfe"),
        ("a\tb\r\n", r"a\tb\r\n"),
        ("\x1b[31m\x7f\x9b31m", r"\x1b[31m\x7f\x9b31m"),
        ("\u061c\u200b\u200e\u200f\u2028\u2029\u202e\u2066\u2069", r"\u061c\u200b\u200e\u200f\u2028\u2029\u202e\u2066\u2069"),
        ("\udcff\ud800", r"\udcff\ud800"),
        (b"\xff\na\x1b.eml", r"\xff\na\x1b.eml"),
    ],
)
def test_what_cannot_be_seen_is_escaped(text: str | bytes, plain: str) -> None:
    assert printable(text) == plain


@given(st.text(st.characters(codec=None)) | st.binary())
def test_all_text_becomes_printable(text: str | bytes) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


@given(st.text(st.characters(codec=None)))
@example("\x7f")
def test_a_document_says_the_same(text: str) -> None:
    document = printable_json(json.dumps({"a": text}, indent=1, ensure_ascii=False))

    assert document.replace("\n", "").isprintable()
    assert json.loads(document) == {"a": text}
