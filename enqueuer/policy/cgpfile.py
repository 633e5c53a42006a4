"""Read and write the text form of CommuniGate Pro's settings: strings and arrays. Pure.

( (6, "SIGN DKIM", ((Source, in, "trusted,authenticated")), ((ExternalFilter, SIGN), ("Stop Processing"))) )

A string is a bare word or in quotation marks. In these, `\\\\ \\" \\r \\n \\t`, `\\e` (line end) and `\\nnn` (a code of three decimal
digits) are escapes; any other character after a backslash means itself. Comments are `//` to the end of the line, and `/* */`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from enqueuer.queue.message.printable import printable

__all__ = ["MAX_CGP_FILE", "CgpItem", "CgpSyntaxError", "read", "write"]

MAX_CGP_FILE = 1 << 20
"""Bytes. Thousands of rules are smaller."""
MAX_DEPTH = 8
"""Arrays in arrays: a file of rules needs four."""
_TOKEN = re.compile(
    r"""(?P<blank>[\s\ufeff]++|//[^\n]*+|/\*.*?\*/)
      | "(?P<quoted>[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+)"
      | (?P<mark>[(),])
      | (?P<word>(?!/\*)[^\s(),"{}=;\x00-\x1f]++)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\([0-9]{3}|.)", re.DOTALL)
_MEANING = {"n": "\n", "e": "\n", "r": "\r", "t": "\t"}
_WRITTEN = {"\n": r"\e", "\r": r"\r", "\t": r"\t", "\\": r"\\", '"': r"\""}
_BARE = re.compile(r"[A-Za-z0-9]+")
Value = str | Sequence["Value"]


class CgpSyntaxError(ValueError):
    """The file is not of this form, or not about rules. The text is one line that begins with the number of a line."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(f"line {line}: {text}")


class CgpItem(NamedTuple):
    """A string, or an array, and the line where it begins."""

    line: int
    text: str = ""
    array: list["CgpItem"] | None = None


class _Token(NamedTuple):
    line: int
    mark: str
    """( ) or , and "" for a string."""
    text: str


def read(data: bytes) -> CgpItem:
    """Read one object. Raises CgpSyntaxError. The time is linear."""
    if len(data) > MAX_CGP_FILE:
        raise CgpSyntaxError(1, f"the file is larger than {MAX_CGP_FILE >> 20} MiB: this is not a file of rules")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise CgpSyntaxError(data.count(b"\n", 0, error.start) + 1, "not UTF-8: convert the file, e.g. with iconv") from None
    top: list[CgpItem] = []
    last = _fill(top, text)
    if not top:
        raise CgpSyntaxError(last, "the file is empty: expected an array of rules, ( ... )")
    return top[0]


def _fill(top: list[CgpItem], text: str) -> int:
    """Read all tokens into arrays; return the last line. Between two elements of an array there is a comma."""
    arrays = [top]
    begun: list[int] = []
    complete = False
    line = 1
    for token in _tokens(text):
        line = token.line
        if token.mark == "," and complete and begun:
            complete = False
        elif token.mark == ")" and begun:
            if not complete and arrays[-1]:
                raise CgpSyntaxError(line, "an element is missing between `,` and `)`")
            arrays.pop()
            begun.pop()
            complete = True
        elif complete or token.mark in (",", ")"):
            raise CgpSyntaxError(line, f"`{_shown(token)}` cannot be here: expected " + _expected(complete, bool(begun)))
        else:
            arrays[-1].append(CgpItem(line, token.text, [] if token.mark else None))
            complete = not token.mark
            if (inner := arrays[-1][-1].array) is not None:
                arrays.append(inner)
                begun.append(line)
        if len(begun) > MAX_DEPTH:
            raise CgpSyntaxError(line, f"more than {MAX_DEPTH} arrays in arrays: this is not a file of rules")
    if begun:
        raise CgpSyntaxError(begun[-1], "`(` is not closed")
    return line


def _expected(complete: bool, inside: bool) -> str:
    if complete:
        return "`,` or `)`" if inside else "the end of the file"
    return "a word or `(`"


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise CgpSyntaxError(line, _fault(text, at))
        if match["mark"]:
            yield _Token(line, match["mark"], "")
        elif not match["blank"]:
            yield _Token(line, "", match["word"] if match["word"] is not None else _unescaped(match["quoted"], line))
        line += match[0].count("\n")
        at = match.end()


def _fault(text: str, at: int) -> str:
    if text[at] == '"':
        return "a quotation mark is not closed on this line"
    if text.startswith("/*", at):
        return "a comment is not closed"
    if text[at] in "{}=;":
        return f"`{text[at]}`: a dictionary is not a rule; expected an array of rules, ( ... )"
    return f"`{printable(text[at : at + 20])}` is not of this form"


def _unescaped(text: str, line: int) -> str:
    def meaning(match: re.Match[str]) -> str:
        found = match[1]
        if len(found) == 3:
            if not 0 < int(found) < 256:
                raise CgpSyntaxError(line, f"\\{found} is no character: write a code of 001 to 255")
            return chr(int(found))
        return _MEANING.get(found, found)

    return _ESCAPE.sub(meaning, text)


def _shown(token: _Token) -> str:
    return token.mark or printable(token.text[:20])


def write(value: Value, indent: int = 0) -> str:
    """Write a string or an array: on one line if it has no array of arrays, else each element on its own."""
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) else '"' + "".join(map(_written, value)) + '"'
    if all(isinstance(each, str) for each in value):
        return f"({', '.join(write(each) for each in value)})"
    blanks = "  " * (indent + 1)
    inner = ",\n".join(blanks + write(each, indent + 1) for each in value)
    return f"(\n{inner}\n{'  ' * indent})"


def _written(character: str) -> str:
    if character in _WRITTEN:
        return _WRITTEN[character]
    return f"\\{ord(character):03d}" if character < " " or character == "\x7f" else character
