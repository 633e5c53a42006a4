import pytest

from enqueuer.policy.hiddenfilters import Program, execute_name, hidden, parse_program
from filterlink.protocol.partfacts import FACTS


@pytest.mark.parametrize(
    ("text", "tags", "words"),
    [
        ("/bin/x", (), ("/bin/x",)),
        ("[STDERR] [FILE] [RETPATH] [RCPT] x -a 'b c'", ("STDERR", "FILE", "RETPATH", "RCPT"), ("x", "-a", "b c")),
        ("[rcpt][File]x", ("FILE", "RCPT"), ("x",)),
        (" [ FILE ]\tx [FILE] $(y);z", ("FILE",), ("x", "[FILE]", "$(y);z")),
    ],
)
def test_the_parameter_of_execute(text: str, tags: tuple[str, ...], words: tuple[str, ...]) -> None:
    """Tags come first; the words are those of a shell, but no shell reads them."""
    assert parse_program(text) == Program(tags, words)


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("[ARGS] x", r"\[ARGS\] is unknown: before the program write \[STDERR\], \[FILE\], \[RETPATH\], \[RCPT\]"),
        ("", "it names no program"),
        ("[FILE]", "it names no program"),
        ("''", "it names no program"),
        ("x 'y", "a quote is not closed"),
        ("x \0", "NUL"),
    ],
)
def test_faulty_parameters(text: str, cure: str) -> None:
    """Each error has its cure."""
    with pytest.raises(ValueError, match=cure):
        parse_program(text)


def test_the_hidden_filters() -> None:
    """Their lines are words for the same parser again, and FAILURE of them never lets a message pass."""
    filters = hidden(True, ["[FILE] x 'a b'", "--y"])

    assert [each.name for each in filters] == [FACTS, execute_name(1, "[FILE] x 'a b'"), execute_name(2, "--y")]
    assert [each.words()[1:] for each in filters] == [
        ["filter", "facts"],
        ["filter", "execute", "--file", "--", "x", "a b"],
        ["filter", "execute", "--", "--y"],
    ]
    assert not any(each.failure_passes for each in filters)
    assert hidden(False, ()) == ()
