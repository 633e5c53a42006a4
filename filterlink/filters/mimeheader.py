"""The fields of a MIME part's header, read the way a lenient mail program would: nothing in them is an error. Pure.

Where readers differ, all readings are kept: every file name that any field gives, every way to read a broken quote, each
type and encoding of several. What goes beyond a limit is flagged, so all of this is linear in the size of the header.
Where a header begins and ends: readings.py.
"""

import binascii
import re
from typing import NamedTuple

__all__ = ["MAX_READINGS", "Header", "clean_name", "interpret"]

MAX_READINGS = 12
"""Ways to read one header; two are seen in real mail."""
MAX_BOUNDARIES = 4
"""Of one multipart: each is looked for in all of its body. An open quote gives two."""
MAX_FIELDS = 100
"""Content- fields of one header that are read."""
MAX_NAMES = 100
"""File names of one part, each of which the rules look at."""
MAX_VALUE = 16 << 10
"""Bytes of one Content-Type or Content-Disposition; a file name is at most some hundred characters."""
MAX_NAME = 255
"""Characters of a file name that are kept, from its end: the extension says what a double click does."""
_CONTENT = re.compile(rb"(?im)^[ \t\r\v\f]*+Content-(Type|Disposition|Transfer-Encoding)[ \t\r\v\f]*+:([^\n]*)")
_COMMENT = re.compile(rb"\([^()]*\)")
_TOKEN = re.compile(rb"[!#-'*+.0-9A-Z^-~-]+")
_PARAMETER = re.compile(rb';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*+)("?)|([^;]*))', re.DOTALL)
_KEY = re.compile(r"(name|filename|boundary)(?:\*(\d{1,9}))?(\*)?")
_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=(?:\s+(?==\?))?")
_PERCENT = re.compile(rb"%([0-9a-fA-F]{2})")
_ENCODINGS = ("base64", "quoted-printable", "x-uuencode", "uuencode", "x-uue")


class Header(NamedTuple):
    """What the header of a part says of its body; `flag` is "" or "limit": there is more in it."""

    type: str = "text/plain"
    boundaries: tuple[bytes, ...] = ()
    encoding: str = ""
    names: tuple[str, ...] = ()
    flag: str = ""


class _Value(NamedTuple):
    """A structured field: the first word in lower case and the parameters, repeated ones as well."""

    word: str
    parameters: tuple[tuple[str, bytes], ...]


def clean_name(name: str) -> str:
    """Reduce a file name to its last component, without control characters and of bounded length."""
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return "".join(char for char in last if char >= " " and char != "\x7f").strip()[-MAX_NAME:]


def interpret(text: bytes, flag: str = "") -> list[Header]:
    """List every way to read these fields, at least one; the one that shows the most comes first.

    Lines that are no fields are skipped. `flag`: that of all that is found.
    """
    types, dispositions, encodings, seen = list[_Value](), list[_Value](), list[str](), 0
    for match in _CONTENT.finditer(_unfolded(text)):
        name, value = match[1].lower(), match[2]
        seen += 1
        flag = "limit" if len(value) > MAX_VALUE or seen > MAX_FIELDS else flag
        if seen > MAX_FIELDS:
            break
        value = value[:MAX_VALUE]
        if name == b"transfer-encoding":
            encodings += _encodings(value)
            continue
        known = types if name == b"type" else dispositions
        known.append(_read_value(value))
        if b"(" in value:
            known.append(_read_value(_COMMENT.sub(b" ", value)))
    return _combined(types or [_Value("text/plain", ())], dispositions, encodings or [""], flag)


def _unfolded(text: bytes) -> bytes:
    for end in (b"\r\n", b"\n"):
        text = text.replace(end + b" ", b" ").replace(end + b"\t", b"\t")
    return text


def _combined(types: list[_Value], dispositions: list[_Value], encodings: list[str], flag: str) -> list[Header]:
    names = list(dict.fromkeys(name for value in dispositions + types for name in _names(value)))
    found = dict[Header, None]()
    for kind in sorted(types, key=lambda value: not value.word.startswith("multipart/")):
        boundaries = _boundaries(kind) if kind.word.startswith("multipart/") else ()
        for encoding in sorted(dict.fromkeys(encodings), key=lambda word: not word):
            kept = dict.fromkeys((*boundaries[: MAX_BOUNDARIES // 2], *boundaries[-MAX_BOUNDARIES // 2 :]))
            over = len(names) > MAX_NAMES or len(kept) < len(boundaries) or len(found) >= MAX_READINGS
            found[Header(kind.word, tuple(kept), encoding, tuple(names[:MAX_NAMES]), "limit" if over else flag)] = None
            if len(found) > MAX_READINGS:
                return list(found)
    return list(found)


def _encodings(value: bytes) -> list[str]:
    """Read a Content-Transfer-Encoding: where there is more than one word, as each that is known, and as none."""
    if (plain := value.strip().lower().decode("latin-1")) in _ENCODINGS:
        return [plain]
    words = [word.decode("latin-1") for word in _TOKEN.findall(value.upper())]
    return [*(word.lower() for word in words if word.lower() in _ENCODINGS), ""]


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
    given = (raw for key, raw in value.parameters if key == "boundary")
    other = (text.encode("utf-8", "replace") for text in _texts(value, ("boundary",), plain=False))
    return tuple(dict.fromkeys(found.rstrip() for found in (*given, *other) if found.strip()))


# File names


def _names(value: _Value) -> list[str]:
    return [name for raw_name in _texts(value, ("name", "filename")) for name in _readings(raw_name) if name]


def _texts(value: _Value, keys: tuple[str, ...], plain: bool = True) -> list[str]:
    """List what parameters of these names give: RFC 2231, whole and in sections, and the plain ones, also in RFC 2047."""
    found: list[str] = []
    sections: dict[str, dict[int, tuple[bytes, bool]]] = {}
    for key, raw in value.parameters:
        match = _KEY.fullmatch(key)
        if match is None or match[1] not in keys:
            continue
        if match[2] is not None:
            sections.setdefault(match[1], {}).setdefault(int(match[2]), (raw, bool(match[3])))
        elif match[3] or plain:
            found.append(_extended(raw) if match[3] else _decoded(raw))
    return found + [_joined(parts) for parts in sections.values()]


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
