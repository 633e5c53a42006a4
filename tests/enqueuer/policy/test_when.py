"""The sentence of `when`: what it means, its errors, and that printing loses nothing."""

import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.policy.tree import ALWAYS, AllOf, AnyOf, Node, Not, Test
from enqueuer.policy.when import MAX_LEVELS, WhenError, parse, print_when
from enqueuer.policy.whenfaults import pointed
from tests.helpers.trees import nodes

HUMAN = Test("human")
SMALL = Test("size", "less than", "10K")
SPAM = Test("header", "is", "yes*", "X-Spam")
OURS = Test("recipient", "in", "#ours", quantifier="any")


@pytest.mark.parametrize(
    ("sentence", "node"),
    [
        ("human", HUMAN),
        ("HUMAN And Not SIZE Is Less Than 10K", AllOf((HUMAN, Not(SMALL)))),
        ("size < 10K", SMALL),
        ("size is < 10K", SMALL),
        ("size less than 10K", SMALL),
        ("size > 5", Test("size", "greater than", "5")),
        ('header("X-Spam") is "yes*"', SPAM),
        ("header('X-Spam') is 'yes*'", SPAM),
        ('header is "X-Spam: yes*"', Test("header", "is", "X-Spam: yes*")),
        ("any recipient is in #ours", OURS),
        ('any recipient in "#ours"', OURS),
        ('from is not "a@b"', Test("from", "is not", "a@b")),
        ('from is not in "a@b,c"', Test("from", "not in", "a@b,c")),
        ('from not in "a@b,c"', Test("from", "not in", "a@b,c")),
        ('return_path is ""', Test("return_path", "is", "")),
        ("time_of_day is greater than 17:30", Test("time_of_day", "greater than", "17:30")),
        ('score("Spam") > -2.5', Test("score", "greater than", "-2.5", "Spam")),
        (r'subject is "a\"b\\c\*\,"', Test("subject", "is", r"a\"b\c\*\,".replace('\\"', '"'))),
        (r"subject is 'a\"b\\c'", Test("subject", "is", r"a\"b\\c")),
        ("human or size < 10K and human", AnyOf((HUMAN, AllOf((SMALL, HUMAN))))),
        ("(human or size < 10K) and human", AllOf((AnyOf((HUMAN, SMALL)), HUMAN))),
        ("not human and size < 10K", AllOf((Not(HUMAN), SMALL))),
        ("not (human and size < 10K)", Not(AllOf((HUMAN, SMALL)))),
        ("not not human", HUMAN),
        ("human and (size < 10K and human)", AllOf((HUMAN, SMALL, HUMAN))),
        ("human\n  and\n  size < 10K", AllOf((HUMAN, SMALL))),
        ("((human))", HUMAN),
    ],
)
def test_sentences(sentence: str, node: Node) -> None:
    assert parse(sentence) == node


@pytest.mark.parametrize(
    ("sentence", "error"),
    [
        ("", "line 1, column 1, at its end: the sentence is empty: leave out `when`"),
        ("human and", "line 1, column 10, at its end: expected a condition, e.g. `size"),
        ('any recipiant is "x"', 'line 1, column 5, at `recipiant is "x"`: "recipiant" is unknown: did you mean "recipient"?'),
        ('recipiant equals "x"', '"recipiant" is unknown: did you mean "recipient"?'),
        ("human\nand zzzzzz", 'line 2, column 5, at `zzzzzz`: "zzzzzz" is unknown; known words: from, sender'),
        ('message_size is "x"', 'did you mean "size"?'),
        ("Message Size < 5", "column 1, at `Message Size < 5`: write `size`"),
        ('recipient is "x"', 'column 1, at `recipient is "x"`: a message may have several: write any recipient or each recipient'),
        ("any size < 10K", "column 1, at `any size < 10K`: write size without any"),
        ('any is "x"', 'column 5, at `is "x"`: expected a condition'),
        ('size("x") < 10K', 'column 6, at `"x") < 10K`: size takes no name in brackets'),
        ("score > 5", "score needs a name in brackets"),
        ('score("") > 5', "the name in the brackets is empty"),
        ("header(X) is 5", 'column 8, at `X) is 5`: expected a name in quotation marks, e.g. ("Subject")'),
        ("size in 10K", 'column 6, at `in 10K`: size has no "in": write is, is not, less than or greater than'),
        ("size", "size needs an operation: write is, is not"),
        ('human is "yes"', 'human has no "is": write it alone'),
        ("size 10K", "column 6, at `10K`: expected an operation: is, is not, less than or greater than"),
        ("size les than 10K", 'did you mean "less than"?'),
        ("size less 10K", "expected `than`"),
        ("size over 10K", "write `greater than`"),
        ("size = 10K", "column 6, at `= 10K`: write `is`"),
        ('subject contains "x"', 'write `is "*text*"`'),
        ("source is trusted", 'column 11, at `trusted`: write it in quotation marks: "trusted"'),
        ("size is", "at its end: expected a parameter"),
        ('subject is "x', 'column 12, at `"x`: the quotation mark is not closed on this line'),
        (r'subject is "x\"', "a backslash before a quotation mark protects it"),
        ("subject is “x”", "write plain quotation marks"),
        ("from is in #a,#b", "write several in one pair of quotation marks"),
        ("from is #a", "column 6, at `is #a`: a list needs the operation `is in`"),
        ("human & human", "write `and`"),
        ("human human", "column 7, at `human`: expected `and` or `or`"),
        ("(human human", "expected `and` or `or`"),
        ("(human", "a bracket is not closed: expected `)`"),
        ("human)", "column 6, at `)`: no bracket is open here"),
        ('preference is "x"', '"Preference" is for account rules only'),
        ('existing_mailbox is "x"', '"Existing Mailbox" is for account rules only'),
        ("size < 10K and \x1b", "\\x1b"),
        ('subject is "\x1b"', "a control character (e.g. a line end) cannot be here"),
        ("size is " + "9" * 5000 + " x", "expected `and`"),
    ],
)
def test_an_error_has_its_place_and_its_cure(sentence: str, error: str) -> None:
    with pytest.raises(WhenError) as found:
        parse(sentence)

    assert error in str(found.value)
    assert "\n" not in str(found.value)
    assert str(found.value).isprintable()
    assert len(str(found.value)) < 700


@given(nodes())
def test_a_printed_tree_parses_to_the_same_tree(node: Node) -> None:
    assert parse(print_when(node)) == node


WORDS = [*"()\"'#<>=, \n\\ab5", "not ", "and ", "human ", "size ", "is ", "any ", "recipient ", "in "]


@given(st.lists(st.sampled_from(WORDS), max_size=40).map("".join))
def test_any_text_is_a_tree_or_an_error_of_one_line(sentence: str) -> None:
    try:
        node = parse(sentence)
    except WhenError as error:
        text = str(error)
    else:
        text = print_when(node)
        assert parse(text) == node

    assert text.isprintable()


def test_a_caret_points_to_the_place() -> None:
    with pytest.raises(WhenError) as found:
        parse("human and\n\tsize over 10K")

    assert pointed("human and\n\tsize over 10K", found.value.line, found.value.column) == (" size over 10K", "      ^")
    assert pointed("a" * 1000, 1, 900) == ("a" * 76, " " * 38 + "^")
    assert pointed("a" * 20, 1, 21) == ("a" * 20, " " * 20 + "^")


def test_always_has_no_sentence() -> None:
    assert print_when(ALWAYS) == ""


def test_the_canonical_sentence() -> None:
    node = AllOf((OURS, AnyOf((HUMAN, Not(SMALL), SPAM)), Not(AnyOf((HUMAN, SMALL)))))

    assert print_when(node) == (
        'any recipient is in #ours and (human or not size is less than 10K or header("X-Spam") is "yes*") '
        "and not (human or size is less than 10K)"
    )


def test_many_brackets_are_no_levels() -> None:
    """3,000 brackets parse in a moment; so does a sentence of the longest kind."""
    began = time.monotonic()

    assert parse("(" * 3000 + "human" + ")" * 3000) == HUMAN
    assert parse("not " * 3001 + "human") == Not(HUMAN)
    assert len(print_when(parse("human and " * 6000 + "human"))) == 60_005
    assert parse("(human and " * 3000 + "human" + ")" * 3000) == AllOf((HUMAN,) * 3001)
    assert time.monotonic() - began < 5


def test_too_many_levels_and_too_long_a_sentence_are_refused() -> None:
    """The deepest tree that is taken prints and compares."""
    deepest = "not (human or " * (MAX_LEVELS // 2 - 1) + "not human" + ")" * (MAX_LEVELS // 2 - 1)

    assert parse(print_when(parse(deepest))) == parse(deepest)
    with pytest.raises(WhenError, match="nested in more than 100 levels"):
        parse("not (human or " * 3000 + "human" + ")" * 3000)
    with pytest.raises(WhenError, match="longer than 64 KiB"):
        parse("human and " * 7000 + "human")


def test_lark_is_loaded_by_the_first_sentence() -> None:
    """A configuration without `when` does not pay for it."""
    code = (
        "import sys; from enqueuer.policy import when; assert 'lark' not in sys.modules; when.parse('human'); assert 'lark' in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
