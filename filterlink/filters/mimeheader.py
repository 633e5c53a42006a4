"""The header of a MIME part, read the way a lenient mail program would: nothing in it is an error. Pure.

Where readers differ, all readings are kept: every file name that any field gives, every way to read a broken quote.
Each value has a limit, so that all of this is linear in the size of the header.
"""

import binascii
import re
from typing import NamedTuple

__all__ = ["Header", "clean_name", "read_header"]

MAX_HEADER = 1 << 20
"""Bytes of one part's header that are looked at; mail programs and relays refuse far smaller ones."""
MAX_VALUE = 16 << 10
"""Bytes of one Content-Type or Content-Disposition; a file name is at most some hundred characters."""
MAX_NAME = 255
"""Characters of a file name that are kept, from its end: the extension says what a double click does."""
_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_FROM = re.compile(rb">?From [^\n]*\n")
_BLANK_LINE = re.compile(rb"\n\r?\n")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_WANTED = frozenset({b"content-type", b"content-disposition", b"content-transfer-encoding"})
_PARAMETER = re.compile(rb';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*+)("?)|([^;]*))', re.DOTALL)
_KEY = re.compile(r"(name|filename|boundary)(?:\*(\d{1,4}))?(\*)?")
_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=(?:\s+(?==\?))?")
_PERCENT = re.compile(rb"%([0-9a-fA-F]{2})")
_ENCODINGS = ("base64", "quoted-printable", "x-uuencode", "uuencode", "x-uue")


class Header(NamedTuple):
    """What the header of a part says of its body."""

    type: str = "text/plain"
    boundaries: tuple[bytes, ...] = ()
    encoding: str = ""
    names: tuple[str, ...] = ()


class _Value(NamedTuple):
    """A structured field: the first word in lower case and the parameters, repeated ones as well."""

    word: str
    parameters: tuple[tuple[str, bytes], ...]


def read_header(data: bytes, start: int, end: int) -> tuple[Header, int]:
    """Read the header of the part at data[start:end]; return it and where the body starts.

    A part whose first line is no header field is all body. Lines inside of the header that are no fields are skipped.
    """
    line = _FROM.match(data, start, end)
    begin = line.end() if line else start
    for empty in (b"\n", b"\r\n"):
        if data.startswith(empty, begin, end):
            return Header(), begin + len(empty)
    if not _FIELD.match(data, begin, end):
        return Header(), start
    blank = _BLANK_LINE.search(data, begin, end)
    stop = blank.start() if blank else end
    return _interpret(data[begin : min(stop, begin + MAX_HEADER)]), blank.end() if blank else end


def clean_name(name: str) -> str:
    """Reduce a file name to its last component, without control characters and of bounded length."""
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return "".join(char for char in last if char >= " " and char != "\x7f").strip()[-MAX_NAME:]


def _interpret(text: bytes) -> Header:
    fields: dict[bytes, list[_Value]] = {name: [] for name in _WANTED}
    for line in _FOLD.sub(b"", text).split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon and (known := fields.get(name.strip().lower())) is not None:
            known.append(_read_value(value[:MAX_VALUE]))
    types = fields[b"content-type"]
    kind = next((value for value in types if value.word.startswith("multipart/")), types[0] if types else _Value("text/plain", ()))
    encodings = [value.word for value in fields[b"content-transfer-encoding"]]
    names = [name for value in fields[b"content-disposition"] + types for name in _names(value)]
    return Header(kind.word, _boundaries(kind), next((e for e in encodings if e in _ENCODINGS), ""), tuple(dict.fromkeys(names)))


def _read_value(value: bytes) -> _Value:
    word = value.partition(b";")[0].split()
    parameters: list[tuple[str, bytes]] = []
    for match in _PARAMETER.finditer(value):
        key = match[1].decode("latin-1").lower()
        quoted, bare = match[2], match[4]
        if bare is not None:
            parameters.append((key, bare.strip()))
            continue
        parameters.append((key, re.sub(rb"\\(.)", rb"\1", quoted, flags=re.DOTALL)))
        if not match[3]:  # the quote is never closed: some take all that follows, some end at the semicolon
            parameters.append((key, quoted.partition(b";")[0].strip()))
    return _Value(word[0].decode("latin-1").lower() if word else "", tuple(parameters))


def _boundaries(value: _Value) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(found.rstrip() for key, found in value.parameters if key == "boundary" and found.strip()))


# File names


def _names(value: _Value) -> list[str]:
    """List every file name that the parameters give: plain, RFC 2047, RFC 2231, whole and in sections."""
    found: list[str] = []
    sections: dict[str, dict[int, tuple[bytes, bool]]] = {}
    for key, raw in value.parameters:
        match = _KEY.fullmatch(key)
        if match is None or match[1] == "boundary":
            continue
        if match[2] is None:
            found.append(_extended(raw) if match[3] else _decoded(raw))
        else:
            sections.setdefault(match[1], {}).setdefault(int(match[2]), (raw, bool(match[3])))
    found += [_joined(parts) for parts in sections.values()]
    return [name for raw_name in found for name in _readings(raw_name) if name]


def _readings(name: str) -> list[str]:
    """A NUL ends the name for some programs and is nothing to others."""
    return [clean_name(name)] + ([clean_name(name.partition("\0")[0])] if "\0" in name else [])


def _joined(parts: dict[int, tuple[bytes, bool]]) -> str:
    ordered = [parts[number] for number in sorted(parts)]
    if not any(extended for _, extended in ordered):
        return _decoded(b"".join(raw for raw, _ in ordered))
    first, charset = ordered[0][0], b"utf-8"
    if ordered[0][1] and first.count(b"'") >= 2:
        charset, _, first = first.split(b"'", 2)
    texts = [(first, ordered[0][1]), *ordered[1:]]
    return _text(b"".join(_percent(raw) if extended else raw for raw, extended in texts), charset.decode("latin-1"))


def _extended(raw: bytes) -> str:
    charset, _, text = raw.split(b"'", 2) if raw.count(b"'") >= 2 else (b"utf-8", b"", raw)
    return _text(_percent(text), charset.decode("latin-1"))


def _percent(raw: bytes) -> bytes:
    return _PERCENT.sub(lambda match: bytes([int(match[1], 16)]), raw)


def _decoded(raw: bytes) -> str:
    """Decode a plain parameter, which by rights is ASCII, but holds raw UTF-8 or encoded words in real mail."""
    return _WORD.sub(_word, _text(raw))


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
    except (LookupError, ValueError):  # an unknown or a wrong one: what stands in ASCII is still right
        return raw.decode("latin-1")
