"""Pictures of CommuniGate Pro: text with `*` for zero or more characters. Case does not matter. Pure, and linear in time.

`\\*` is an asterisk, `\\,` a comma, `\\\\` a backslash. A list of pictures has commas between them; `#NAME` in it is a named list.
Long lists cost little: exact entries and those with one `*` at an end are looked up, and only the others are compared one by one.
"""

import re
from collections.abc import Callable, Iterable, Iterator

__all__ = ["LIST_NAME", "Matcher", "escape", "fold", "items", "literal_head", "matcher", "one"]

Matcher = Callable[[str], bool]
"""Says whether a folded text fits."""
LIST_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PIECE = re.compile(r"\\([*,\\])|(\*)", re.DOTALL)


def fold(text: str) -> str:
    """Return a text in the form in which texts are compared."""
    return text.casefold()


def escape(text: str) -> str:
    """Return the picture that only this text fits."""
    return re.sub(r"([*,\\])", r"\\\1", text)


def one(picture: str) -> Matcher:
    """Compile one picture; a comma in it is a comma."""
    return _fitting(_pieces(picture))


def matcher(pictures: Iterable[str]) -> Matcher:
    """Compile many pictures: a text fits if it fits one of them."""
    exact = set[str]()
    tails: dict[int, set[str]] = {}
    heads: dict[int, set[str]] = {}
    others = list[Matcher]()
    for picture in pictures:
        match _pieces(picture):
            case [text]:
                exact.add(text)
            case ["", text] if text:
                tails.setdefault(len(text), set()).add(text)
            case [text, ""] if text:
                heads.setdefault(len(text), set()).add(text)
            case pieces:
                others.append(_fitting(pieces))
    if not (tails or heads or others):
        return exact.__contains__

    def fits(text: str) -> bool:
        return (
            text in exact
            or any(text[-length:] in known for length, known in tails.items())
            or any(text[:length] in known for length, known in heads.items())
            or any(each(text) for each in others)
        )

    return fits


def items(text: str) -> Iterator[str]:
    """Split a list at its commas. Items keep their escapes; blanks around them and empty items go."""
    item = ""
    for match in re.finditer(r"\\.|[^,\\]++|,|\\", text, re.DOTALL):
        if match[0] == ",":
            if item := item.strip():
                yield item
            item = ""
        else:
            item += match[0]
    if item := item.strip():
        yield item


def literal_head(picture: str) -> str:
    """Return the folded text before the first `*`."""
    return _pieces(picture)[0]


def _pieces(picture: str) -> list[str]:
    """Return the folded texts between the asterisks."""
    pieces = [""]
    at = 0
    for match in _PIECE.finditer(picture):
        pieces[-1] += picture[at : match.start()] + (match[1] or "")
        at = match.end()
        if match[2]:
            pieces.append("")
    pieces[-1] += picture[at:]
    return [fold(piece) for piece in pieces]


def _fitting(pieces: list[str]) -> Matcher:
    """Match by pieces, not by a regular expression: so the time is linear for any text."""
    head, *rest = pieces
    if not rest:
        return head.__eq__
    *middle, tail = rest
    shortest = len(head) + len(tail)

    def fits(text: str) -> bool:
        if len(text) < shortest or not (text.startswith(head) and text.endswith(tail)):
            return False
        at = len(head)
        end = len(text) - len(tail)
        for piece in middle:
            found = text.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    return fits
