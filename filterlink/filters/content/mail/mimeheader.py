"""Read the fields of a MIME part's header as lenient mail programs do: no field is an error. Pure.

Where readers differ, all readings are kept: every file name in any field (filenames.py), every way to read a
broken quote, each type and encoding of several. What exceeds a limit is flagged, so all of this is linear in the size
of the header. Where a header begins and ends: readings.py.
"""

import re
from typing import NamedTuple

from filterlink.filters.content.mail.filenames import Parameter, names, parameters, texts, values, without_comments
from filterlink.filters.content.mail.filenames import readings as name_readings

__all__ = ["ENCODINGS", "MAX_READINGS", "MAX_VALUE", "PartHeader", "interpret"]

MAX_READINGS = 12
"""Ways to read one header; two are seen in real mail."""
MAX_BOUNDARIES = 4
"""Boundaries of one multipart: each is searched in all of its body. An open quote gives two."""
MAX_FIELDS = 100
"""Content- fields of one header that are read."""
MAX_NAMES = 100
"""File names of one part, each of which the rules look at."""
MAX_VALUE = 16 << 10
"""Bytes of one Content-Type or Content-Disposition; a file name is at most some hundred characters."""
ENCODINGS = ("base64", "quoted-printable", "x-uuencode", "uuencode", "x-uue", "uue")
_IDENTITY = ("7bit", "8bit", "binary", "")
_CONTENT = re.compile(rb"(?im)^[ \t\r\v\f]*+Content-(Type|Disposition|Transfer-Encoding|Name)[ \t\r\v\f]*+:([^\n]*)")
_SQUEEZED = re.compile(rb"[\s\"';]+")


class PartHeader(NamedTuple):
    """What a part's header says about its body. `flag`: "" or "limit": there is more in it."""

    type: str = "text/plain"
    boundaries: tuple[bytes, ...] = ()
    encoding: str = ""
    names: tuple[str, ...] = ()
    flag: str = ""


class _Value(NamedTuple):
    """A structured field: each reading of its first word, in lower case, the parameters, also repeated ones, and whether there are more."""

    words: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    more: bool = False


def interpret(text: bytes, flag: str = "") -> list[PartHeader]:
    """Return every way to read these fields, at least one. The one with the most parts comes first.

    Lines that are not fields are skipped. `flag`: that of all readings.
    """
    types = list[_Value]()
    others = list[_Value]()
    encodings = list[str]()
    plain_names = list[str]()
    seen = 0
    for match in _CONTENT.finditer(_unfolded(text)):
        name = match[1].lower()
        value = match[2]
        seen += 1
        flag = "limit" if len(value) > MAX_VALUE or seen > MAX_FIELDS else flag
        if seen > MAX_FIELDS:
            break
        value = value[:MAX_VALUE]
        if name == b"transfer-encoding":
            encodings += _encodings(value)
            continue
        if name == b"name":
            plain_names += [found for raw in values(value.strip()) for found in name_readings(raw.decode("utf-8", "replace"))]
        for read in _read_value(value):
            flag = "limit" if read.more else flag
            (types if name == b"type" else others).append(read)
    found = list(dict.fromkeys([*(name for value in [*others, *types] for name in names(list(value.parameters))), *plain_names]))
    return _combined(types or [_Value(("text/plain",), ())], found, encodings or [""], flag)


def _unfolded(text: bytes) -> bytes:
    for end in (b"\r\n", b"\n"):
        text = text.replace(end + b" ", b" ").replace(end + b"\t", b"\t")
    return text


def _combined(types: list[_Value], names: list[str], encodings: list[str], flag: str) -> list[PartHeader]:
    found = dict[PartHeader, None]()
    read = [(word, value) for value in types for word in value.words]
    for word, value in sorted(read, key=lambda each: not each[0].startswith("multipart")):
        boundaries = _boundaries(value) if word.startswith("multipart") else ()
        for encoding in sorted(dict.fromkeys(encodings), key=lambda word: not word):
            kept = dict.fromkeys((*boundaries[: MAX_BOUNDARIES // 2], *boundaries[-MAX_BOUNDARIES // 2 :]))
            over = len(names) > MAX_NAMES or len(kept) < len(boundaries) or len(found) >= MAX_READINGS
            found[PartHeader(word, tuple(kept), encoding, tuple(names[:MAX_NAMES]), "limit" if over else flag)] = None
            if len(found) > MAX_READINGS:
                return list(found)
    return list(found)


def _encodings(value: bytes) -> list[str]:
    """Read a Content-Transfer-Encoding: a plain one as that, any other as each named encoding, and as none."""
    plain = value.strip().lower().decode("latin-1")
    if plain in ENCODINGS or plain in _IDENTITY:
        return [plain if plain in ENCODINGS else ""]
    squeezed = _SQUEEZED.sub(b"", without_comments(value, b"").lower()).decode("latin-1")
    return [*(word for word in ENCODINGS if word in plain or word in squeezed), ""]


def _read_value(value: bytes) -> list[_Value]:
    """Read a Content-Type or Content-Disposition: as it is, and without its comments."""
    found = []
    for text in dict.fromkeys((value, without_comments(value))):
        head = text.partition(b";")[0]
        first = (head.split() or [b""])[0]
        words = dict.fromkeys((first, _SQUEEZED.sub(b"", first)))
        if b"," in head or b"/" not in first or first.endswith(b"/"):
            words |= dict.fromkeys((first.partition(b",")[0], _SQUEEZED.sub(b"", head)))
        given, more = parameters(text)
        found.append(_Value(tuple(word.decode("latin-1").lower() for word in words if word) or ("",), tuple(given), more))
    return found


def _boundaries(value: _Value) -> tuple[bytes, ...]:
    """Return each reading of the boundary; an empty one is b"", whose delimiter lines are two hyphens."""
    plain = [given for given in value.parameters if given.key == "boundary" and given.section is None and not given.extended]
    raw = [reading for given in plain for reading in given.values or (b"",)]
    other = (text.encode("utf-8", "replace") for text in texts(list(value.parameters), ("boundary",), plain=False))
    return tuple(dict.fromkeys(found.rstrip() for found in (*raw, *other)))
