"""Read the envelope lines of a queue file for a content filter: sender, recipients, and the message's origin. Pure.

It reads tolerantly, because CommuniGate Pro's lines come in any order and form: `P I ... <sender>`, `R W ... <recipient>`,
`S [<account> ]SMTP [ip]`. The address is between the last pair of angle brackets.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["FilterEnvelope", "read_envelope"]

_ADDRESS = re.compile(rb".*<([^<>]*)>", re.DOTALL)
_ACCOUNT = re.compile(rb"S <([^<>]*)> ")
_PEER = re.compile(rb".*\[(?:IPv6:)?([0-9A-Fa-f:.]+)\]", re.DOTALL)
_CONTROL = re.compile(rb"[\0-\x1f\x7f]")


class FilterEnvelope(NamedTuple):
    """Values without control characters, so that each fits into a line of another protocol. None or "" if the file has none."""

    sender: bytes | None = None
    recipients: tuple[bytes, ...] = ()
    account: bytes = b""
    """The account that submitted the message with authentication."""
    peer: str = ""
    """The client's IP address; never 0.0.0.0, which means "from inside"."""


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
    return found._replace(recipients=tuple(filter(None, recipients)))


def _group(match: re.Match[bytes] | None) -> bytes:
    return _CONTROL.sub(b"", match[1]) if match else b""


def _peer(line: bytes) -> str:
    try:
        address = ipaddress.ip_address(_group(_PEER.match(line)).decode("ascii"))
    except ValueError:
        return ""
    return "" if address.is_unspecified else str(address)
