"""Explain what is wrong with a sentence of `when`: the place, what was expected, and the word that is meant. Pure."""

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from enqueuer.policy.spelling import PICTURES, account_only, listed, nearest, word_of
from enqueuer.policy.vocabulary import BY_WORD, OPERATIONS
from enqueuer.queue.message.printable import printable

if TYPE_CHECKING:
    from lark import Token

__all__ = ["WhenError", "character", "pointed", "unexpected", "unknown"]

PIECE = 40
"""Characters of the sentence in an error."""
MEANT = {
    "=": "is",
    "!": "not",
    "&": "and",
    "|": "or",
    "equals": "is",
    "equal": "is",
    "isnt": "is not",
    "over": "greater than",
    "above": "greater than",
    "larger": "greater than",
    "more": "greater than",
    "under": "less than",
    "below": "less than",
    "smaller": "less than",
}
"""What is written in other languages, and our words for it."""
_WORD_BEFORE = re.compile(r"(?<![\w-])([A-Za-z_][\w-]{0,60}+)\s{0,60}+\Z")


class WhenError(ValueError):
    """A sentence that cannot be read: the problem, and its place, which counts from 1. The text is one line."""

    def __init__(self, problem: str, sentence: str, at: int) -> None:
        self.problem = problem
        self.line = sentence.count("\n", 0, at) + 1
        self.column = at - sentence.rfind("\n", 0, at)
        rest = sentence[at : at + PIECE + 1].split("\n")[0].rstrip()
        piece = printable(rest if len(rest) <= PIECE else rest[:PIECE] + "...")
        super().__init__(f"when: line {self.line}, column {self.column}, {f'at `{piece}`' if piece else 'at its end'}: {problem}")


def pointed(sentence: str, line: int, column: int, width: int = 76) -> tuple[str, str]:
    """Return the line of the sentence that has the place, cut to a width, and a line with a caret below the place."""
    text = sentence.split("\n")[line - 1]
    begin = max(0, min(column - 1 - width // 2, len(text) - width))
    shown = text[begin : begin + width]
    return "".join(each if each.isprintable() else " " for each in shown), " " * (column - 1 - begin) + "^"


def unknown(word: str) -> str:
    """Explain a word at the place of a condition that is none."""
    if reason := account_only(word):
        return reason
    meant = word_of(word) or nearest(word, BY_WORD)
    return f'"{printable(word[:PIECE])}" is unknown' + (f': did you mean "{meant}"?' if meant else f"; known words: {', '.join(BY_WORD)}")


def character(sentence: str, at: int) -> str:
    """Explain a character that begins no word."""
    found = sentence[at]
    if found in "\"'":
        escaped = ": a backslash before a quotation mark protects it" if found == '"' and '\\"' in sentence[at:].split("\n")[0] else ""
        return f"the quotation mark is not closed on this line{escaped}"
    if found in "“”„‘’«»":
        return "write plain quotation marks"
    if found in MEANT:
        return f"write `{MEANT[found]}`"
    if found == ",":
        return 'write several in one pair of quotation marks: "a,b"'
    return f'"{printable(found)}" begins no word: write text in quotation marks'


def unexpected(sentence: str, token: "Token", expected: Collection[str]) -> WhenError:
    """Explain a word that cannot be at its place. `expected`: the names of what may be there, in the grammar."""
    ends = token.type == "$END"
    at = len(sentence.rstrip()) if ends else token.start_pos or 0
    before = _WORD_BEFORE.search(sentence, max(0, at - 200), at)
    if "IS" in expected and before and not ends and before[1].lower() not in BY_WORD:
        both = word_of(f"{before[1]} {token}")
        return WhenError(f"write `{both}`" if both else unknown(before[1]), sentence, before.start(1))
    return WhenError(_problem(token, expected, before[1].lower() if before else ""), sentence, at)


def _problem(token: "Token", expected: Collection[str], before: str) -> str:
    word = str(token).lower()
    if "WORD" in expected:
        return "expected a condition, e.g. `size is greater than 10K`"
    if "DOUBLE" in expected:
        return _parameter(token, "BARE" in expected)
    if word in PICTURES and "_AND" in expected:
        return f'write `is "{PICTURES[word]}"`'
    if word in MEANT and "_AND" in expected:
        return f"write `{MEANT[word]}`"
    if "IS" in expected:
        operations = OPERATIONS[BY_WORD[before].kind]
        first = nearest(word, {each.split()[0] for each in operations if each}) if token.type == "WORD" else None
        meant = next((each for each in operations if first and each.startswith(first)), None)
        if any(operations):
            return f"expected an operation: {listed(operations)}" + (f'; did you mean "{meant}"?' if meant else "")
    if "THAN" in expected:
        return "expected `than`"
    if token.type == "_CLOSE":
        return "no bracket is open here"
    if "_CLOSE" in expected and token.type == "$END":
        return "a bracket is not closed: expected `)`"
    return "expected `and` or `or`"


def _parameter(token: "Token", any: bool) -> str:
    if not any:
        return 'expected a name in quotation marks, e.g. ("Subject")'
    if token.type == "WORD":
        return f'write it in quotation marks: "{printable(token[:PIECE])}"'
    return 'expected a parameter, e.g. "*@example.org", #List or 10K'
