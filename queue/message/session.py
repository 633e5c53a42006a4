"""The facts of the session by which a message came, from the S and A lines of its queue file. Pure.

    S <ann@example.com> SMTP [192.0.2.1]
    A host name=mx.example.org helo=mx.example.org tls=TLSv1.3%20AES256 esmtp=BODY%3D8BITMIME door=postfix via=milter

It reads tolerantly, because CommuniGate Pro's lines have several forms: with and without an account, and with other tags (HTTPU, DSN,
SRULE). A word of the A line has `%` and two hex digits for each odd byte (client.words).
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping

import msgspec

from enqueuer.queue.message import client
from enqueuer.queue.message.envelope import Envelope

__all__ = ["MAX_ORIGINALS", "Session", "original", "originals", "others"]

MAX_ORIGINALS = 64 << 10
"""Bytes of the words about ORCPT in one envelope, and of those about other recipients. Later ones are left out."""
_SOURCE = re.compile(rb"S (?:<([^<>]*)>[ ]+)?([A-Za-z0-9_-]*)")
_ADDRESS = re.compile(rb".*\[(?:IPv6:)?([0-9A-Fa-f:.]+)\]", re.DOTALL | re.IGNORECASE)
_WORD = re.compile(rb" ([a-z-]+)=([^ \n]+)")
_CODE = re.compile(rb"%([0-9A-F]{2})")
_XTEXT = re.compile(rb"\+([0-9A-F]{2})")
_NO_ADDRESS = re.compile(rb"[\0-\x20\x7f<>]")
_ORCPT = re.compile(rb"ORCPT=rfc822;(.+)", re.IGNORECASE | re.DOTALL)


class Session(msgspec.Struct, frozen=True):
    """The facts. An empty value is not known."""

    submit_address: str = ""
    """The door or protocol, and the address of the client: "SMTP [192.0.2.1]", "MILTER [192.0.2.1]", "PIPE", "DSN", "SRULE"."""
    address: str = ""
    """The IP address of the client, in the usual form."""
    account: bytes = b""
    """The account with which the client authenticated."""
    name: bytes = b""
    helo: bytes = b""
    tls: str = ""
    """Version and cipher."""
    esmtp: tuple[bytes, ...] = ()
    """The parameters of MAIL."""
    orcpt: Mapping[bytes, bytes] = {}
    """Recipient -> the address that the sender gave as ORCPT, if that is another one."""
    others: tuple[bytes, ...] = ()
    """The other recipients of the message of which this is a part."""

    @property
    def security(self) -> tuple[str, ...]:
        """Return the words "encrypted" and the version of TLS, or none."""
        return ("encrypted", self.tls.partition(" ")[0]) if self.tls else ()

    @classmethod
    def of(cls, envelope: Envelope) -> "Session":
        """Read the lines of a queue file. Never raises."""
        source = next((line for line in envelope.lines if line[:2] == b"S "), b"S ")
        arrival = next((line for line in envelope.lines if line[:2] == b"A "), b"A ")
        words = [(name, _CODE.sub(_byte, value)) for name, value in _WORD.findall(arrival)]
        found = dict(reversed(words))  # the first of each name counts
        account, tag = _source(source)
        address = _address(source)
        tag = found.get(b"via", tag).upper()
        return cls(
            submit_address=" ".join(filter(None, (tag.decode("ascii", "replace"), f"[{address}]" if address else ""))),
            address=address,
            account=account,
            name=found.get(b"name", b""),
            helo=found.get(b"helo", b""),
            tls=found.get(b"tls", b"").decode("ascii", "replace"),
            esmtp=tuple(found.get(b"esmtp", b"").split()),
            orcpt=dict(value.partition(b"\0")[::2] for name, value in words if name == b"orcpt" and b"\0" in value),
            others=tuple(value for name, value in words if name == b"other"),
        )


def original(parameters: Iterable[bytes]) -> bytes:
    """Return the address of ORCPT=rfc822;... in the parameters of RCPT (RFC 3461), without its code; b"" if there is none."""
    for each in parameters:
        if match := _ORCPT.fullmatch(each):
            address = _XTEXT.sub(_byte, match[1])
            return b"" if _NO_ADDRESS.search(address) else address
    return b""


def originals(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return words of the A line for recipients and their ORCPT, each with a blank before it."""
    known = ((recipient, address) for recipient, address in pairs if address and address.lower() != recipient.lower())
    return _bounded(client.words((b"orcpt", recipient + b"\0" + address)) for recipient, address in known)


def others(recipients: Iterable[bytes]) -> bytes:
    """Return words of the A line of a part of a message, for its other recipients, each with a blank before it."""
    return _bounded(client.words((b"other", each)) for each in recipients)


def _bounded(words: Iterable[bytes]) -> bytes:
    found = bytearray()
    for word in words:
        if len(found) + len(word) > MAX_ORIGINALS:
            break
        found += word
    return bytes(found)


def _byte(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex(match[1].decode())


def _source(line: bytes) -> tuple[bytes, bytes]:
    match = _SOURCE.match(line)
    return (match[1] or b"", match[2]) if match else (b"", b"")


def _address(line: bytes) -> str:
    """Return the address in the last brackets; "" for none, and for 0.0.0.0, which means "from inside"."""
    match = _ADDRESS.match(line)
    try:
        address = ipaddress.ip_address(match[1].decode()) if match else None
    except ValueError:
        return ""
    return "" if address is None or address.is_unspecified else str(address)
