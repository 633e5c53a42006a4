"""The condition of a rule as a tree, which both spellings give: the arrays and the sentence of `when`. Pure.

conditions = [["Any Recipient", "in", "a@example.org,b@example.org"], ["Message Size", "less than", "10K"]]
when = 'any recipient is in "a@example.org,b@example.org" and size is less than 10K'

AllOf((Test("recipient", "in", "a@example.org,b@example.org", quantifier="any"), Test("size", "less than", "10K")))
"""

from typing import Literal

import msgspec

from enqueuer.policy.vocabulary import Operation

__all__ = ["ALWAYS", "AllOf", "AnyOf", "Node", "Not", "Quantifier", "Test", "tests"]

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


def tests(node: Node) -> list[Test]:
    """Return all conditions of a tree, in the order in which they were written."""
    match node:
        case Test():
            return [node]
        case Not(part):
            return tests(part)
        case AllOf(parts) | AnyOf(parts):
            return [test for part in parts for test in tests(part)]
