"""Check one condition against vocabulary.py, for both spellings: the arrays and the sentence of `when`. Pure."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Literal

from enqueuer.policy.tree import Quantifier, Test
from enqueuer.policy.vocabulary import ACCOUNT_DATA, BY_WORD, DATA, OPERATIONS, Datum

__all__ = ["PICTURES", "Part", "SpellingError", "account_only", "expect_sense", "listed", "nearest", "word_of"]

PICTURES = {"contains": "*text*", "matches": "*text*", "like": "*text*", "begins": "text*", "starts": "text*", "ends": "*text"}
"""Operations of other languages that are a picture here."""
Part = Literal["data", "quantifier", "argument", "operation", "parameter"]


class SpellingError(ValueError):
    """A condition is wrong: one line, and the part of the condition that it is about."""

    def __init__(self, text: str, part: Part) -> None:
        super().__init__(text)
        self.part: Part = part


Show = Callable[[Datum, Quantifier], str]
"""The words for a datum in one of the spellings: any recipient, or "Any Recipient"."""


def expect_sense(test: Test, show: Show) -> None:
    """Check a condition whose data is a known word. Raises SpellingError."""
    datum = BY_WORD[test.data]
    name = show(datum, test.quantifier)
    if datum.quantified and not test.quantifier:
        raise SpellingError(f"a message may have several: write {show(datum, 'any')} or {show(datum, 'each')}", "quantifier")
    if test.quantifier and not datum.quantified:
        raise SpellingError(f"write {show(datum, '')} without {test.quantifier}", "quantifier")
    if datum.argument and not test.argument and datum.word != "header":
        raise SpellingError(f"{name} needs a name in brackets", "argument")
    if test.argument and not datum.argument:
        raise SpellingError(f"{name} takes no name in brackets", "argument")
    operations = OPERATIONS[datum.kind]
    if test.operation not in operations:
        text = f'{name} has no "{test.operation}"' if test.operation else f"{name} needs an operation"
        raise SpellingError(text + (f": write {listed(operations)}" if any(operations) else ": write it alone"), "operation")
    if not test.operation and test.parameter:
        raise SpellingError(f"{name} takes no parameter: write it alone", "parameter")
    if any((character < " " and character != "\t") or character == "\x7f" for character in test.parameter + test.argument):
        raise SpellingError("a control character (e.g. a line end) cannot be here", "parameter")


def account_only(name: str) -> str | None:
    """Return why a condition of account rules cannot be here; None if it is no such condition. Case and `_` do not matter."""
    wanted = _folded(name)
    return next((f'"{each}" is for account rules only: there is no account here' for each in ACCOUNT_DATA if _folded(each) == wanted), None)


def word_of(name: str) -> str | None:
    """Return the word of `when` for a name of the arrays, or None. Case, quotation marks, `-` and `_` do not matter."""
    return _BY_FOLDED.get(_folded(name))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is meant, if one is near. Case does not matter."""
    folded = {each.lower(): each for each in known}
    close = get_close_matches(word.lower()[:100], folded, 1)
    return folded[close[0]] if close else None


def listed(words: Iterable[str]) -> str:
    """Join words: `is, is not or in`."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _folded(name: str) -> str:
    return name.lower().replace("_", " ").replace("-", " ").replace("'", "").strip()


_BY_FOLDED = {_folded(text): datum.word for datum in DATA for text in (datum.word, datum.name)}
