"""The condition of a rule as a tree, which both spellings give: the arrays and the sentence of `when`. Pure.

conditions = [["Any Recipient", "in", "a@example.org,b@example.org"], ["Message Size", "less than", "10K"]]
when = 'any recipient is in "a@example.org,b@example.org" and size is less than 10K'

AllOf((Test("recipient", "in", "a@example.org,b@example.org", quantifier="any"), Test("size", "less than", "10K")))

Both spellings give the normal form: AllOf and AnyOf have two parts or more, no AllOf is a part of an AllOf, no AnyOf of an AnyOf, and
no Not of a Not. ALWAYS means no condition at all, and is never a part.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from enqueuer.policy.vocabulary import Operation

__all__ = ["ALWAYS", "AllOf", "AnyOf", "Node", "Not", "Quantifier", "Test", "all_of", "any_of", "negation", "tests"]

Quantifier = Literal["", "any", "each"]


class Test(msgspec.Struct, frozen=True):
    """One condition."""

    __test__ = False  # pytest must not collect it

    data: str
    """The word of `when` (vocabulary.BY_WORD)."""
    operation: Operation = ""
    parameter: str = ""
    """As it was written: a picture, a comma list of pictures and #lists, a size, a time; "" for a flag."""
    argument: str = ""
    """Of header, verdict and score: the name in the brackets. A header condition of the arrays has none: it is about whole lines."""
    quantifier: Quantifier = ""


class AllOf(msgspec.Struct, frozen=True):
    """All of them must hold. None: always."""

    parts: tuple["Node", ...] = ()


class AnyOf(msgspec.Struct, frozen=True):
    """At least one of them must hold."""

    parts: tuple["Node", ...]


class Not(msgspec.Struct, frozen=True):
    part: "Node"


Node = Test | AllOf | AnyOf | Not
ALWAYS = AllOf()


def all_of(parts: Iterable[Node]) -> Node:
    """Join parts, each in its normal form, to a tree in its normal form."""
    flat = [each for part in parts for each in (part.parts if isinstance(part, AllOf) else (part,))]
    return flat[0] if len(flat) == 1 else AllOf(tuple(flat))


def any_of(parts: Iterable[Node]) -> Node:
    """Join one part or more, each in its normal form, to a tree in its normal form."""
    flat = [each for part in parts for each in (part.parts if isinstance(part, AnyOf) else (part,))]
    return flat[0] if len(flat) == 1 else AnyOf(tuple(flat))


def negation(part: Node) -> Node:
    """Return the tree in its normal form that holds if `part` does not."""
    return part.part if isinstance(part, Not) else Not(part)


def tests(node: Node) -> list[Test]:
    """Return all conditions of a tree, in the order in which they were written."""
    match node:
        case Test():
            return [node]
        case Not(part):
            return tests(part)
        case AllOf(parts) | AnyOf(parts):
            return [test for part in parts for test in tests(part)]
