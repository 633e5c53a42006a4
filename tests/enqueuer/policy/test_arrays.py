"""The rows of `conditions`: what they mean, their errors, and that writing loses nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.policy.arrays import of_rows, to_rows
from enqueuer.policy.tree import ALWAYS, AllOf, AnyOf, Node, Not, Test, all_of
from enqueuer.policy.vocabulary import DATA, OPERATIONS
from tests.helpers.trees import conditions

HUMAN = Test("human")


@pytest.mark.parametrize(
    ("row", "test"),
    [
        (["Any Recipient", "in", "a,b"], Test("recipient", "in", "a,b", quantifier="any")),
        (["each RECIPIENT", "IN", "a,b"], Test("recipient", "in", "a,b", quantifier="each")),
        (["Human Generated"], HUMAN),
        (["Human Generated", "---"], HUMAN),
        (["Human Generated", "---", ""], HUMAN),
        (["Header Field", "is", "X-Spam: *"], Test("header", "is", "X-Spam: *")),
        (["Header Field(X-Spam)", "is", "*"], Test("header", "is", "*", "X-Spam")),
        (["Verdict(Name)", "is", "error"], Test("verdict", "is", "error", "Name")),
        (["'From' Name", "is not", "x"], Test("from_name", "is not", "x")),
        (["From Name", "is not", "x"], Test("from_name", "is not", "x")),
        (["Message-ID", "is", "x"], Test("message_id", "is", "x")),
        (["message size", "Greater  Than", "10K"], Test("size", "greater than", "10K")),
        (["Any To or Cc", "is", "x"], Test("to_or_cc", "is", "x", quantifier="any")),
        (["Return-Path", "is", ""], Test("return_path", "is", "")),
    ],
)
def test_rows(row: list[str], test: Test) -> None:
    assert of_rows([row]) == test


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ([], 'condition "" is unknown; known conditions: "From", "Sender"'),
        (["Message Sice", "is", "1"], 'condition "Message Sice" is unknown: did you mean "Message Size"?'),
        (["Anny Recipient", "is", "1"], 'condition "Anny Recipient" is unknown: did you mean "Any Recipient"?'),
        (["Recipient", "is", "x"], 'condition "Recipient": a message may have several: write "Any Recipient" or "Each Recipient"'),
        (["Any Subject", "is", "x"], 'condition "Any Subject": write "Subject" without any'),
        (["Subject(x)", "is", "x"], "takes no name in brackets"),
        (["Score", "less than", "5"], "needs a name in brackets"),
        (["Score()", "less than", "5"], "the name in the brackets is empty"),
        (["Message Size", "in", "5"], 'the operation "in" is not one of "is", "is not", "less than", "greater than"'),
        (["Subject", "contains", "x"], 'write "is" with "*text*"'),
        (["Any Recipient", "Begins With", "x"], 'write "is" with "text*"'),
        (["Message Size", "contains", "5"], 'is not one of "is", "is not", "less than", "greater than"'),
        (["Message Size", "grater than", "5"], 'did you mean "greater than"?'),
        (["Message Size", "is"], 'the parameter after "is" is missing'),
        (["Message Size"], '"Message Size" needs an operation'),
        (["Message Size", "is", "5", "6"], "write three words"),
        (["Human Generated", "is", "x"], "takes no operation: write the name alone"),
        (["Human Generated", "---", "x"], "takes no parameter"),
        (["Preference", "is", "x"], '"Preference" is for account rules only'),
        (["Existing Mailbox", "is", "x"], '"Existing Mailbox" is for account rules only'),
        (["FreeBusy", "is", "x"], '"FreeBusy" is for account rules only'),
        (["Subject", "is", "a\nb"], "a control character"),
        (["Subject((x", "is", "a"], "is unknown"),
        ([" " * 100_000 + "(", "is", "a"], "is unknown"),
    ],
)
def test_an_error_names_the_condition_and_the_cure(row: list[str], error: str) -> None:
    with pytest.raises(ValueError, match=r"^condition ") as found:
        of_rows([row])

    assert error in str(found.value)
    assert str(found.value).isprintable()


def test_each_datum_and_operation_has_a_row() -> None:
    for datum in DATA:
        name = f"Any {datum.name}" if datum.quantified else f"{datum.name}(X)" if datum.argument else datum.name
        for operation in OPERATIONS[datum.kind]:
            assert to_rows(of_rows([[name, operation, "5"] if operation else [name]])) == (
                (name, operation, "5") if operation else (name,),
            )


@given(st.lists(conditions(), max_size=4).map(all_of))
def test_written_rows_read_as_the_same_tree(node: Node) -> None:
    assert of_rows(to_rows(node)) == node


def test_no_row_is_always() -> None:
    assert of_rows(()) == ALWAYS
    assert to_rows(ALWAYS) == ()


@pytest.mark.parametrize("node", [AnyOf((HUMAN, HUMAN)), Not(HUMAN), AllOf((HUMAN, Not(HUMAN)))])
def test_or_and_not_have_no_rows(node: Node) -> None:
    with pytest.raises(ValueError, match="write `when`"):
        to_rows(node)
