"""What both sides of the milter protocol (version 6) have in common: packets, letters and flags. Pure.

A packet has a length (4 bytes), a letter and data.
"""

import struct

__all__ = [
    "ADD_FIELDS",
    "ADD_RECIPIENTS",
    "CHANGE_FIELDS",
    "CHUNK",
    "DELETE_RECIPIENTS",
    "LEADING_SPACE",
    "MAX_PACKET",
    "NOT_ANSWERED",
    "NOT_SENT",
    "QUARANTINE",
    "VERSION",
    "BadPacket",
    "packet",
    "strings",
]

VERSION = 6
MAX_PACKET = 1 << 20
"""Bytes. A packet has one header field, or 64 KiB of a body."""
CHUNK = 65535
"""Bytes of a body in one packet, at most."""
ADD_FIELDS = 0x1
ADD_RECIPIENTS = 0x4
DELETE_RECIPIENTS = 0x8
CHANGE_FIELDS = 0x10
QUARANTINE = 0x20
LEADING_SPACE = 0x100000
"""Values of header fields have the blank that follows the colon."""
NOT_SENT = {b"C": 0x1, b"H": 0x2, b"M": 0x4, b"R": 0x8, b"B": 0x10, b"L": 0x20, b"N": 0x40, b"U": 0x100, b"T": 0x200}
"""Flags by which a milter asks the MTA not to send a command."""
NOT_ANSWERED = {
    b"C": 0x1000,
    b"H": 0x2000,
    b"M": 0x4000,
    b"R": 0x8000,
    b"T": 0x10000,
    b"U": 0x20000,
    b"N": 0x40000,
    b"B": 0x80000,
    b"L": 0x80,
}
"""Flags by which a milter says that it does not answer a command."""


class BadPacket(Exception):
    """The bytes are not what the protocol allows."""


def packet(letter: bytes, data: bytes = b"") -> bytes:
    return struct.pack("!I", len(data) + 1) + letter + data


def strings(*texts: bytes) -> bytes:
    return b"".join(text.replace(b"\0", b"") + b"\0" for text in texts)
