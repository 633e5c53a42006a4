"""What the envelope lines of a queue file tell a content filter: sender, recipients, and where the message came from. Pure.

Read tolerantly, as CommuniGate Pro's own lines come in any order and form: `P I ... <sender>`, `R W ... <recipient>`,
`S [<account> ]SMTP [ip]`. The address is the one between the last pair of angle brackets.
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
    """Without control characters, so that each may stand in a line of another protocol. None or "" where nothing is said."""

    sender: bytes | None = None
    recipients: tuple[bytes, ...] = ()
    account: bytes = b""
    """Who was authenticated when the message was submitted."""
    peer: str = ""
    """The IP address it came from; never 0.0.0.0, which stands for "from inside"."""


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
