"""Read and write the sentence of `when`. Pure.

    when = 'any recipient is in "*@example.org,#partners" and not (human or size is greater than 10K)'

`or` binds weakest, then `and`, then `not`. A condition is [any|each] WORD [("NAME")] [OPERATION PARAMETER]. Case of the words does not
matter. A parameter is in quotation marks, or it is #List, or it begins with a digit (10K). Inside "..." a backslash protects only `"` and
`\\`. So the `\\*` and `\\,` of a picture need no second backslash. Inside '...' each character means itself. The tree is in the normal form
of tree.py.
"""

import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from enqueuer.policy import whenfaults
from enqueuer.policy.spelling import SpellingError, expect_sense
from enqueuer.policy.tree import AllOf, AnyOf, Node, Not, Quantifier, Test, all_of, any_of, negation
from enqueuer.policy.vocabulary import BY_WORD, Datum, Operation
from enqueuer.policy.whenfaults import WhenError

if TYPE_CHECKING:
    from lark import Lark, Token

__all__ = ["MAX_LEVELS", "MAX_SENTENCE", "WhenError", "parse", "print_when"]

MAX_SENTENCE = 64 << 10
"""Bytes of a sentence."""
MAX_LEVELS = 100
"""Levels of a tree: functions that walk through it call themselves for each level. Brackets without effect do not count."""

GRAMMAR = r"""
start: either
either: both (_OR both)*
both: negated (_AND negated)*
?negated: NOT negated -> negation | _OPEN either _CLOSE | condition
condition: quantifier? WORD argument? (operation parameter)?
!quantifier: ANY | EACH
argument: _OPEN (DOUBLE | SINGLE) _CLOSE
!operation: IS NOT? IN? | NOT? IN | IS? LESS THAN | IS? GREATER THAN | IS? BELOW | IS? ABOVE
!parameter: DOUBLE | SINGLE | LIST | BARE
_OR.2: /or(?![\w-])/i
_AND.2: /and(?![\w-])/i
NOT.2: /not(?![\w-])/i
ANY.2: /any(?![\w-])/i
EACH.2: /each(?![\w-])/i
IS.2: /is(?![\w-])/i
IN.2: /in(?![\w-])/i
LESS.2: /less(?![\w-])/i
GREATER.2: /greater(?![\w-])/i
THAN.2: /than(?![\w-])/i
BELOW: "<"
ABOVE: ">"
_OPEN: "("
_CLOSE: ")"
WORD: /[a-z_][\w-]*/i
DOUBLE: /"(?:[^"\\\n]|\\.)*"/
SINGLE: /'[^'\n]*'/
LIST: /#[\w-]+/
BARE: /-?\d[\w.:\/-]*/
%ignore /\s+/
"""
SIGNS = {"<": "less than", ">": "greater than", "less": "less than", "greater": "greater than"}
_ESCAPED = re.compile(r'\\(["\\])')
_BARE = re.compile(r"-?[0-9][\w.:/-]*", re.ASCII)
_LIST = re.compile(r"#[\w-]+", re.ASCII)


class _Built(NamedTuple):
    """A part of the tree, its levels, and the place of its first word."""

    node: Node
    levels: int
    at: int


class _Misplaced(Exception):
    """A condition that makes no sense, and its place."""

    def __init__(self, text: str, at: int | None) -> None:
        super().__init__(text)
        self.at = at or 0


def parse(sentence: str) -> Node:
    """Read a sentence. Raises WhenError."""
    if len(sentence.encode("utf-8", "replace")) > MAX_SENTENCE:
        raise WhenError(f"longer than {MAX_SENTENCE >> 10} KiB: put the addresses into a list", sentence, 0)
    if not sentence.strip():
        raise WhenError("the sentence is empty: leave out `when` if the rule is for every message", sentence, 0)
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

    try:
        return cast(Node, _parser().parse(sentence))
    except UnexpectedCharacters as error:
        raise WhenError(whenfaults.character(sentence, error.pos_in_stream or 0), sentence, error.pos_in_stream or 0) from None
    except UnexpectedToken as error:
        raise whenfaults.unexpected(sentence, error.token, error.expected) from None
    except _Misplaced as error:
        raise WhenError(str(error), sentence, error.at) from None


@functools.cache
def _parser() -> "Lark":
    from lark import Lark  # loaded only if a file has a sentence: it takes 30 ms

    return Lark(GRAMMAR, parser="lalr", lexer="basic", transformer=_Builder(), maybe_placeholders=False)


class _Builder:
    """Makes the tree while the sentence is read. The grammar's rules have the names of the methods, which get the parts of the rule."""

    def start(self, parts: list[_Built]) -> Node:
        return parts[0].node

    def either(self, parts: list[_Built]) -> _Built:
        return parts[0] if len(parts) == 1 else _bounded(any_of(part.node for part in parts), parts)

    def both(self, parts: list[_Built]) -> _Built:
        return parts[0] if len(parts) == 1 else _bounded(all_of(part.node for part in parts), parts)

    def negation(self, parts: "tuple[Token, _Built]") -> _Built:
        return _bounded(negation(parts[1].node), [parts[1]])

    def quantifier(self, parts: "list[Token]") -> "tuple[str, list[Token]]":
        return "quantifier", parts

    def argument(self, parts: "list[Token]") -> "tuple[str, list[Token]]":
        return "argument", parts

    def operation(self, parts: "list[Token]") -> "tuple[str, list[Token]]":
        return "operation", parts

    def parameter(self, parts: "list[Token]") -> "tuple[str, list[Token]]":
        return "parameter", parts

    def condition(self, parts: "list[Any]") -> _Built:
        """Make a Test of a word, which is a token, and of pairs: the name of the part, and its tokens."""
        words: dict[str, list[Token]] = {part[0]: part[1] for part in parts if isinstance(part, tuple)}
        words["data"] = [part for part in parts if not isinstance(part, tuple)]
        return _Built(_test(words), 1, _place(parts))


def _bounded(node: Node, parts: Sequence[_Built]) -> _Built:
    """Count the levels of a node that was made of `parts`. Raises _Misplaced if there are too many."""
    levels = max(part.levels + _added(node, part.node) for part in parts)
    if levels > MAX_LEVELS:
        raise _Misplaced(f"conditions are nested in more than {MAX_LEVELS} levels of and, or, not: write several rules", parts[0].at)
    return _Built(node, levels, parts[0].at)


def _added(node: Node, part: Node) -> int:
    """Return how many levels a node has more than a part that it was made of: brackets of the same kind vanish, two `not` as well."""
    if isinstance(part, Not) and part.part is node:
        return -1
    return 0 if type(node) is type(part) and isinstance(node, AllOf | AnyOf) else 1


def _place(parts: "list[Any]") -> int:
    first = parts[0][1][0] if isinstance(parts[0], tuple) else parts[0]
    return first.start_pos or 0


def _test(words: "dict[str, list[Token]]") -> Test:
    data = words["data"][0]
    name = data.lower()
    if name not in BY_WORD:
        raise _Misplaced(whenfaults.unknown(data), data.start_pos)
    operation = _operation(words.get("operation", []))
    quantifier = cast(Quantifier, str(words["quantifier"][0]).lower() if "quantifier" in words else "")
    found = Test(name, operation, _text(words.get("parameter")), _text(words.get("argument")), quantifier)
    if "argument" in words and not found.argument:
        raise _Misplaced("the name in the brackets is empty", words["argument"][0].start_pos)
    try:
        expect_sense(found, _shown)
    except SpellingError as error:
        raise _Misplaced(str(error), words.get(error.part, words["data"])[0].start_pos) from None
    if operation not in ("", "in", "not in") and words["parameter"][0].type == "LIST":
        raise _Misplaced("a list needs the operation `is in` or `is not in`", words["operation"][0].start_pos)
    return found


def _operation(words: "list[Token]") -> Operation:
    kept = [SIGNS.get(word, word) for word in map(str.lower, words) if word != "than"]
    if len(kept) > 1 and kept[0] == "is" and kept[1:] != ["not"]:
        kept = kept[1:]
    return cast(Operation, " ".join(kept))


def _text(tokens: "list[Token] | None") -> str:
    if not tokens:
        return ""
    token = tokens[0]
    if token.type == "DOUBLE":
        return _ESCAPED.sub(r"\1", token[1:-1])
    return str(token[1:-1] if token.type == "SINGLE" else token)


def _shown(datum: Datum, quantifier: Quantifier) -> str:
    return f"{quantifier} {datum.word}".lstrip()


def print_when(node: Node) -> str:
    """Return the sentence of a tree, on one line. parse() of it gives the same tree. ALWAYS has none: ""."""
    match node:
        case Test():
            return _print_test(node)
        case Not(part):
            return f"not {_print_part(part)}"
        case AllOf(parts):
            return " and ".join(map(_print_part, parts))
        case AnyOf(parts):
            return " or ".join(map(_print_part, parts))


def _print_part(node: Node) -> str:
    return f"({print_when(node)})" if isinstance(node, AllOf | AnyOf) else print_when(node)


def _print_test(test: Test) -> str:
    datum = BY_WORD[test.data]
    name = _shown(datum, test.quantifier) + (f"({_quoted(test.argument)})" if test.argument else "")
    if not test.operation:
        return name
    operation = test.operation if test.operation.startswith("is") else f"is {test.operation}"
    bare = datum.kind in ("size", "number", "time") and _BARE.fullmatch(test.parameter)
    listed = test.operation in ("in", "not in") and _LIST.fullmatch(test.parameter)
    return f"{name} {operation} {test.parameter if bare or listed else _quoted(test.parameter)}"


def _quoted(text: str) -> str:
    protected = re.sub(r'\\(?=["\\]|\Z)', r"\\\\", text).replace('"', '\\"')
    return f'"{protected}"'
