"""Read the envelope lines of a queue file for a content filter: sender, recipients, and the message's origin. Pure.

It reads tolerantly, because CommuniGate Pro's lines come in any order and form: `P I ... <sender>`, `R W ... <recipient>`,
`S [<account> ]SMTP [ip]`, `A host[ word=value]...`. The address is between the last pair of angle brackets. Name and HELO of the
client, and the MTA's queue id, are words of ours on the A line, with `%` and two hex digits for each odd byte.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["FilterEnvelope", "read_envelope"]

_ADDRESS = re.compile(rb".*<([^<>]*)>", re.DOTALL)
_ACCOUNT = re.compile(rb"S <([^<>]*)> ")
_PEER = re.compile(rb".*\[(?:IPv6:)?([0-9A-Fa-f:.]+)\]", re.DOTALL)
_WORD = re.compile(rb" (name|helo|queue-id)=([^ ]+)")
_CODE = re.compile(rb"%([0-9A-F]{2})")
_CONTROL = re.compile(rb"[\0-\x1f\x7f]")


class FilterEnvelope(NamedTuple):
    """Values without control characters, so that each fits into a line of another protocol. None or "" if the file has none."""

    sender: bytes | None = None
    recipients: tuple[bytes, ...] = ()
    account: bytes = b""
    """The account that submitted the message with authentication."""
    peer: str = ""
    """The client's IP address; never 0.0.0.0, which means "from inside"."""
    helo: bytes = b""
    """What the client said in HELO or EHLO: the client chose it."""
    name: bytes = b""
    """The host name that belongs to the address."""
    here: bytes = b""
    """The host that took the message in."""
    queue_id: bytes = b""
    """The id of the message at the MTA that asks about it."""


def read_envelope(lines: Iterable[bytes]) -> FilterEnvelope:
    found = FilterEnvelope()
    recipients = []
    for line in lines:
        if line.startswith(b"P "):
            found = found._replace(sender=_group(_ADDRESS.match(line)))
        elif line.startswith(b"R "):
            recipients.append(_group(_ADDRESS.match(line)))
        elif line.startswith(b"S "):
            found = found._replace(account=_group(_ACCOUNT.match(line)), peer=_peer(line))
        elif line.startswith(b"A "):
            words = {name: _plain(value) for name, value in _WORD.findall(line, 2)}
            found = found._replace(
                here=_plain(line[2:].partition(b" ")[0]),
                helo=words.get(b"helo", b""),
                name=words.get(b"name", b""),
                queue_id=words.get(b"queue-id", b""),
            )
    return found._replace(recipients=tuple(filter(None, recipients)))


def _group(match: re.Match[bytes] | None) -> bytes:
    return _CONTROL.sub(b"", match[1]) if match else b""


def _plain(value: bytes) -> bytes:
    return _CONTROL.sub(b"", _CODE.sub(lambda match: bytes.fromhex(match[1].decode()), value)).strip()


def _peer(line: bytes) -> str:
    try:
        address = ipaddress.ip_address(_group(_PEER.match(line)).decode("ascii"))
    except ValueError:
        return ""
    return "" if address.is_unspecified else str(address)
