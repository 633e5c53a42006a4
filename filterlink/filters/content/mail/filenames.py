"""Find the file names in a header field of a MIME part, in each way that mail programs read it. Pure and linear.

Programs differ if a value has no quotes but blanks, commas or comments, if sections of RFC 2231 have gaps, and if
encoded words of RFC 2047 split a group of base64. Each reading is a name. An ordinary field has one.
"""

import binascii
import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["MAX_NAME", "Parameter", "clean_name", "decoded", "names", "parameters", "readings", "texts", "values", "without_comments"]

MAX_NAME = 255
"""Characters of a file name that are kept, from its end: the extension says what a double click does."""
MAX_PARAMETERS = 200
"""Parameters of one field that are read."""
MAX_NESTED = 8
"""Comments in comments that are removed."""
_COMMENT = re.compile(rb"\([^()]*\)")
_PARAMETER = re.compile(
    rb"(?<![^\s;,\")])(filename|name|boundary)[ \t]*+(?:\*[ \t]*+([0-9]{1,9}))?[ \t]*+(\*)?[ \t\r\n]*+=[ \t\r\n]*+", re.IGNORECASE
)
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*+)("?)', re.DOTALL)
_BEHIND_QUOTED = re.compile(rb"\s*+(?:;|\Z)")
_PLAIN = re.compile(rb"[!#-&*+.0-9A-Z^-~-]*+\Z")
_PART_OF_WORDS = tuple(re.compile(part) for part in (rb"[^\s]*+", rb"[^,]*+", rb"[^(]*+", rb"[^=?:<>\[\]]*+", rb"[!#-'*+.0-9A-Z^-~-]*+"))
"""Up to a blank, a comma, a comment, a character that no value has, and the end of a token (RFC 2045)."""
_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=(?:\s+(?==\?))?")
_SPLIT_WORDS = re.compile(r"(=\?[^?\s]{1,60}\?([bBqQ])\?[^?]*)\?=\s*=\?[^?\s]{1,60}\?\2\?")
_PERCENT = re.compile(rb"%([0-9a-fA-F]{2})")


class Parameter(NamedTuple):
    """A parameter of a field, its key in lower case, with each reading of its value. `section`: None without sections."""

    key: str
    section: int | None
    extended: bool
    values: tuple[bytes, ...]


def clean_name(name: str) -> str:
    """Reduce a file name to its last component, without control characters and of bounded length."""
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return "".join(char for char in last if char >= " " and char != "\x7f").strip()[-MAX_NAME:]


def parameters(value: bytes) -> tuple[list[Parameter], bool]:
    """Return the name, filename and boundary parameters of a field, and whether there are more than MAX_PARAMETERS."""
    found = list[Parameter]()
    quotes = _QUOTED.finditer(value)
    quoted_until = 0
    opened = len(value)
    for match in _PARAMETER.finditer(value):
        if len(found) >= MAX_PARAMETERS:
            return found, True
        while quoted_until <= match.start() and (quoted := next(quotes, None)):
            opened, quoted_until = quoted.span()
        if opened < match.start() < quoted_until and not value[max(0, match.start() - 64) : match.start()].rstrip().endswith(b";"):
            continue  # in the quoted value of another parameter: only programs that split at each semicolon see it
        section = None if match[2] is None else int(match[2])
        found.append(Parameter(match[1].decode().lower(), section, bool(match[3]), tuple(values(value[match.end() :]))))
    return found, False


def without_comments(value: bytes, instead: bytes = b" ") -> bytes:
    """Replace each comment of RFC 5322 by a blank."""
    for _ in range(MAX_NESTED):
        if b"(" not in value or (shorter := _COMMENT.sub(instead, value)) == value:
            break
        value = shorter
    return value


def values(rest: bytes) -> list[bytes]:
    """Return each reading of a parameter's value, which begins `rest`."""
    if not rest.startswith(b'"'):
        return _unquoted(rest.partition(b";")[0].strip())
    quoted = _QUOTED.match(rest)
    assert quoted
    text = quoted[1]
    found = [re.sub(rb"\\(.)", rb"\1", text, flags=re.DOTALL)]
    if b"\\" in text:
        found.append(text)
    if not quoted[2]:  # the quote is never closed: some programs take all that follows, some end at the semicolon
        found.append(text.partition(b";")[0].strip())
    elif not _BEHIND_QUOTED.match(rest, quoted.end()):
        found.append(rest.partition(b";")[0].replace(b'"', b"").strip())
    return found


def _unquoted(text: bytes) -> list[bytes]:
    """Return the readings of a value without quotes: as a whole, without comments, and up to where some programs end it."""
    if _PLAIN.match(text):
        return [text]
    found = [text, without_comments(text, b"").strip(), text.replace(b'"', b""), text.strip(b"'")]
    found += [part.match(text)[0].strip() for part in _PART_OF_WORDS]  # type: ignore[index]
    return [reading for reading in dict.fromkeys(found) if reading]


def names(given: list[Parameter]) -> Iterator[str]:
    """Yield each file name in the parameters of one field."""
    for text in texts(given, ("name", "filename")):
        yield from readings(text)


def decoded(name: str) -> Iterator[str]:
    """Yield the file names that an undecoded parameter of another reader may mean."""
    for text in _plain(name.encode("utf-8", "surrogateescape")):
        yield from readings(text)


def readings(name: str) -> Iterator[str]:
    """Yield the file names that a text may mean: a NUL ends it for some programs, and others skip it."""
    for text in (name, name.partition("\0")[0]) if "\0" in name else (name,):
        if cleaned := clean_name(text):
            yield cleaned


def texts(given: list[Parameter], keys: tuple[str, ...], plain: bool = True) -> Iterator[str]:
    """Yield the values of the parameters with these keys by RFC 2231, whole and in sections. `plain`: the others too, by RFC 2047."""
    sections: dict[str, dict[int, tuple[list[bytes], bool]]] = {}
    for key, section, extended, readings in given:
        if key not in keys:
            continue
        if section is not None:
            sections.setdefault(key, {}).setdefault(section, (list(readings) or [b""], extended))
        elif extended or plain:
            for raw in readings:
                yield from _extended(raw) if extended else _plain(raw)
    for parts in sections.values():
        yield from _joined({number: (found[0], extended) for number, (found, extended) in parts.items()})
        if any(len(found) > 1 for found, _ in parts.values()):  # words or comments after a value without quotes
            yield from _joined({number: (min(found, key=len), extended) for number, (found, extended) in parts.items()})


def _joined(parts: dict[int, tuple[bytes, bool]]) -> Iterator[str]:
    """Yield the values of the sections: all together, and those before a gap."""
    ordered = sorted(parts)
    upto = next((place for place, number in enumerate(ordered) if place != number), len(ordered))
    yield from _together([parts[number] for number in ordered])
    if 0 < upto < len(ordered):
        yield from _together([parts[number] for number in ordered[:upto]])


def _together(ordered: list[tuple[bytes, bool]]) -> Iterator[str]:
    if not any(extended for _, extended in ordered):
        yield from _plain(b"".join(raw for raw, _ in ordered))
        return
    first = ordered[0][0]
    charset = b"utf-8"
    if ordered[0][1] and first.count(b"'") >= 2:
        charset, _, first = first.split(b"'", 2)
    pieces = [(first, ordered[0][1]), *ordered[1:]]
    yield _text(b"".join(_percent(raw) if extended else raw for raw, extended in pieces), charset.decode("latin-1"))


def _extended(raw: bytes) -> Iterator[str]:
    charset, _, text = raw.split(b"'", 2) if raw.count(b"'") >= 2 else (b"utf-8", b"", raw)
    for decoded in dict.fromkeys((_percent(text), _percent(text).replace(b"%", b""))):
        yield _text(decoded, charset.decode("latin-1"))


def _percent(raw: bytes) -> bytes:
    return _PERCENT.sub(lambda match: bytes([int(match[1], 16)]), raw)


def _plain(raw: bytes) -> Iterator[str]:
    """Decode a plain parameter. It should be ASCII, but real mail has raw UTF-8, encoded words or percents in it."""
    text = _text(raw)
    yield _WORD.sub(_word, text)
    if "?=" in text and (joined := _SPLIT_WORDS.sub(r"\1", text)) != text:
        yield _WORD.sub(_word, joined)
    if b"%" in raw and (decoded := _percent(raw)) != raw:
        yield _text(decoded)


def _word(match: re.Match[str]) -> str:
    text = match[3].encode("utf-8", "replace")
    if match[2] in "qQ":
        return _text(binascii.a2b_qp(text, header=True), match[1])
    try:
        return _text(binascii.a2b_base64(text + b"=="), match[1])
    except binascii.Error:
        return match[0]


def _text(raw: bytes, charset: str = "utf-8") -> str:
    try:
        return raw.decode(charset)
    except (LookupError, ValueError):  # an unknown or a wrong charset: its ASCII part is still right
        return raw.decode("latin-1")
