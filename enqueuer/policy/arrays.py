"""Read and write the rows of `conditions`, which must all hold. Pure.

conditions = [["Any Recipient", "in", "*@example.org,#partners"], ["Header Field(X-Spam)", "is", "yes*"], ["Human Generated"]]

A row is the name of CommuniGate Pro, an operation and a parameter. Case of the words does not matter. ["Header Field", "is", "X-Spam: *"]
is about whole lines of the header; the names in brackets are ours.
"""

import re
from collections.abc import Iterable, Sequence
from typing import cast

from enqueuer.policy.spelling import PICTURES, account_only, expect_sense, nearest, word_of
from enqueuer.policy.tree import AllOf, Node, Quantifier, Test, all_of
from enqueuer.policy.vocabulary import BY_WORD, DATA, OPERATIONS, Datum, Operation
from enqueuer.queue.message.printable import printable

__all__ = ["NO_OPERATION", "name_of", "of_rows", "to_rows"]

NO_OPERATION = "---"
"""CommuniGate Pro writes it into the rows of conditions that have no operation."""
_NAME = re.compile(r"(?:(any|each)\s+)?([^()]+)(?:\((.*)\))?", re.IGNORECASE | re.DOTALL)
_SPACES = re.compile(r"\s+")


def of_rows(rows: Iterable[Sequence[str]]) -> Node:
    """Read rows. Raises ValueError: one line, which names the condition."""
    return all_of([_of_row(row) for row in rows])


def to_rows(node: Node) -> tuple[tuple[str, ...], ...]:
    """Write a tree as rows. Raises ValueError if it has `or` or `not`."""
    parts = node.parts if isinstance(node, AllOf) else (node,)
    return tuple(_to_row(part) for part in parts)


def name_of(test: Test) -> str:
    """Return the name of its data in the arrays: "Any Recipient"."""
    name = _named(BY_WORD[test.data], test.quantifier)
    return f"{name}({test.argument})" if test.argument else name


def _of_row(row: Sequence[str]) -> Test:
    name, *words = row or ("",)
    try:
        return _test(name, words)
    except _UnknownName:
        raise ValueError(f'condition "{printable(name[:100])}" is unknown{_hint(name)}') from None
    except ValueError as error:
        raise ValueError(f'condition "{printable(name[:100])}": {error}') from None


class _UnknownName(Exception):
    """No condition has this name."""


def _test(name: str, words: Sequence[str]) -> Test:
    quantifier, data, argument = _split(name)
    if reason := account_only(data):
        raise ValueError(reason)
    word = word_of(data)
    if word is None:
        raise _UnknownName
    if len(words) > 2:
        raise ValueError("write three words: name, operation, parameter")
    test = Test(word, _operation(words, BY_WORD[word]), words[1] if len(words) > 1 else "", argument, cast(Quantifier, quantifier))
    expect_sense(test, _quoted)
    if test.operation and len(words) < 2:
        raise ValueError(f'the parameter after "{test.operation}" is missing')
    return test


def _split(name: str) -> tuple[str, str, str]:
    """Return quantifier, name and the name in brackets."""
    match = _NAME.fullmatch(name.strip())
    if match is None:
        raise _UnknownName
    if match[3] is not None and not match[3].strip():
        raise ValueError("the name in the brackets is empty")
    return (match[1] or "").lower(), match[2].strip(), (match[3] or "").strip()


def _operation(words: Sequence[str], datum: Datum) -> Operation:
    known = OPERATIONS[datum.kind]
    if not words or (words[0] in ("", NO_OPERATION) and "" in known):
        return ""
    operation = _SPACES.sub(" ", words[0].strip().lower())
    if operation in known and operation:
        return cast(Operation, operation)
    allowed = ", ".join(f'"{each}"' for each in known if each)
    if not allowed:
        raise ValueError("takes no operation: write the name alone")
    meant = nearest(operation, [each for each in known if each])
    hint = f': did you mean "{meant}"?' if meant else ""
    if (picture := PICTURES.get(operation.split(" ")[0])) and "in" in known:
        hint = f': write "is" with "{picture}"'
    raise ValueError(f'the operation "{printable(words[0][:100])}" is not one of {allowed}{hint}')


def _hint(name: str) -> str:
    """Return the name that is meant, or all names."""
    names = [_named(datum, quantifier) for datum in DATA for quantifier in (("any", "each") if datum.quantified else ("",))]
    meant = nearest(name, names)
    return f': did you mean "{meant}"?' if meant else "; known conditions: " + ", ".join(f'"{each}"' for each in names)


def _to_row(node: Node) -> tuple[str, ...]:
    if not isinstance(node, Test):
        raise ValueError("`or` and `not` have no place in `conditions`: write `when`")
    return (name_of(node), node.operation, node.parameter) if node.operation else (name_of(node),)


def _named(datum: Datum, quantifier: str) -> str:
    return f"{quantifier.title()} {datum.name}".lstrip()


def _quoted(datum: Datum, quantifier: Quantifier) -> str:
    return f'"{_named(datum, quantifier)}"'
