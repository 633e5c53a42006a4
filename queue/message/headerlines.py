"""Read the header of a message for conditions: its fields by name, addresses, display names, decoded words. Pure, linear in time."""

import re
from collections.abc import Iterable

from enqueuer.queue.message.fields import decoded
from enqueuer.queue.message.header import addresses

__all__ = ["HeaderLines", "address_of", "display_name", "is_signed", "text_of", "words_of"]

MAX_ADDRESSES = 50_000
"""Addresses of all fields of one name that are read."""
MAX_LIST = 512 << 10
"""Bytes of one field in which addresses are read: tens of thousands. A door serves other sessions, too."""
MAX_WORDS = 64 << 10
"""Bytes of a field in which encoded words are decoded."""
_FIELD = re.compile(rb"^([!-9;-~]++)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.MULTILINE)
_SIGNED = b"multipart/signed", b"application/pkcs7-mime", b"application/x-pkcs7-mime"
_FOLD = re.compile(rb"\r?\n(?=[ \t])")


class HeaderLines:
    """The fields of one header, read once."""

    def __init__(self, header: bytes, added: Iterable[bytes] = ()) -> None:
        """`added`: fields above the header, with LF and a blank as folds."""
        self._values: dict[str, list[bytes]] = {}
        top = b"".join(field + b"\n" for field in added)
        for match in _FIELD.finditer(top + header if top else header):
            value = match[2]
            if b"\n" in value:
                value = _FOLD.sub(b"", value)
            self._values.setdefault(match[1].decode("ascii").lower(), []).append(value.strip())

    def values(self, name: str) -> list[bytes]:
        """Return the values of all fields of this name (lower case), without folds and blanks around them."""
        return self._values.get(name, [])

    def names(self) -> Iterable[str]:
        """Return the names of all fields, in lower case."""
        return self._values

    def addresses(self, *names: str) -> list[str]:
        """Return the addresses in the fields of these names."""
        found = list[str]()
        for name in names:
            for value in self.values(name):
                for address in addresses(value[:MAX_LIST]):
                    found.append(text_of(address))
                    if len(found) >= MAX_ADDRESSES:
                        return found
        return found


def text_of(value: bytes) -> str:
    """Return bytes from outside as text. Bytes that are not UTF-8 become U+FFFD."""
    return value.decode("utf-8", "replace")


def words_of(value: bytes) -> str:
    """Return a value with its encoded words (RFC 2047) decoded."""
    return text_of(decoded(value[:MAX_WORDS]) if b"=?" in value else value)


def address_of(value: bytes) -> str:
    """Return the first address of a value; "" if there is none."""
    return text_of(next(iter(addresses(value[:MAX_LIST])), b""))


def display_name(value: bytes) -> str:
    """Return the name beside the address in a From field, decoded; "" if there is none."""
    value = value[:MAX_WORDS]
    name, bracket, _ = value.rpartition(b"<")
    if bracket:
        return words_of(name.strip().strip(b'"').replace(b'\\"', b'"').strip())
    comment = re.search(rb"\(([^()]*+)\)\s*\Z", value)
    return words_of(comment[1].strip()) if comment else ""


def is_signed(lines: HeaderLines) -> bool:
    """Return whether the message says that it is signed (S/MIME, PGP/MIME)."""
    return any(value.lower().startswith(_SIGNED) for value in lines.values("content-type"))
