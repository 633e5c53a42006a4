r"""The grammar of mail that all programs read alike, so that one reader is enough for it. Pure and linear.

- Lines end all with LF or all with CR LF. There is no other CR, and no NUL.
- A header is lines `Name: value`, and lines that begin with a blank and hold more than blanks. An empty line ends it.
- Content-Type, Content-Disposition and Content-Transfer-Encoding come at most once, and Content-Name does not come. Parameters are
  `key=token` or `key="text"`, each key once. There is no RFC 2231 (`*`), no RFC 2047 (`=?`), no comment, and in a text no backslash,
  semicolon, percent sign or character beyond ASCII.
- The type is not message/... or multipart/digest. The encoding is 7bit, 8bit, binary, base64 or quoted-printable.
- A base64 body is its alphabet and line ends, with padding at its end only. In quoted-printable each = begins two upper-case hexadecimal
  digits or a line end, no line ends with a blank, and all is ASCII.
- A multipart has no encoding. Each line that begins with a delimiter is one. The last one closes it, and only blanks follow.
"""

import re

from filterlink.filters.content.mail.encodings import is_plain_base64
from filterlink.filters.content.mail.mimeheader import PartHeader

__all__ = ["body", "header", "lines"]

_HEADER = re.compile(rb"(?:[!-9;-~]++:[^\r\n]*+\r?\n(?:[ \t]++[^ \t\r\n][^\r\n]*+\r?\n)*+)*+\r?\n")
_CONTENT = re.compile(rb"(?im)^content-(type|disposition|transfer-encoding|name)(.*(?:\n[ \t].*)*)")
_WORD = rb"[!#-&+.0-9A-Z^-~-]++"
_PARAMETERS = re.compile(rb'(?:[ \t]*+;[ \t\r\n]*+([!#-&+.0-9A-Z^-z|~-]++)=(?:%b|"[ !#$&-:<-\[\]-~]*+"))*+[ \t]*+;?[ \t]*+\r?\n?' % _WORD)
_VALUE = re.compile(rb":[ \t]*+(%b(?:/%b)?+)" % (_WORD, _WORD))
_KEY = re.compile(rb'(?<![^\s;])([^\s;="]++)=(?:"[^"]*+"|[^\s;"]*+)')
_ENCODINGS = (b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable")
_PRINTABLE = re.compile(rb"(?:[\t\r\n !-<>-~]++|=[0-9A-F]{2}|=\r?\n)*+")
_BLANKS_AT_END = re.compile(rb"[ \t]\r?\n")


def lines(message: bytes) -> bool:
    """Return whether all line ends are the same, and there is no other CR and no NUL."""
    returns = message.count(b"\r")
    return (not returns or returns == message.count(b"\r\n") == message.count(b"\n")) and b"\0" not in message


def header(text: bytes) -> bool:
    """Return whether a header follows the grammar; `text` is all of it, with the empty line."""
    if not _HEADER.fullmatch(text):
        return False
    seen = set()
    for field in _CONTENT.finditer(text):
        name = field[1].lower()
        if name in seen or name == b"name" or not _field(name, field[2]):
            return False
        seen.add(name)
    return True


def _field(name: bytes, text: bytes) -> bool:
    value = _VALUE.match(text)
    if value is None or b"=?" in text:
        return False
    word = value[1].lower()
    rest = text[value.end() :]
    if name == b"transfer-encoding":
        return word in _ENCODINGS and not rest.strip(b"\r\n")
    if (b"/" in word) != (name == b"type") or word.startswith(b"message/") or word == b"multipart/digest":
        return False
    keys = [key.lower() for key in _KEY.findall(rest)]
    return bool(_PARAMETERS.fullmatch(rest)) and len(keys) == len(set(keys)) and not any(b"*" in key for key in keys)


def body(header: PartHeader, text: bytes) -> bool:
    """Return whether the body of a part that is not a multipart follows the grammar."""
    if header.encoding == "base64":
        return is_plain_base64(text)
    if header.encoding == "quoted-printable":
        return bool(_PRINTABLE.fullmatch(text)) and not _BLANKS_AT_END.search(text)
    return not header.encoding
