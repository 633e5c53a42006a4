"""The protocol between clamd and its clients. Pure: bytes in, replies out.

Commands end in NUL ("z"). Within a session each reply begins with the number of its command.
"""

import re
import struct

from filterlink.filters.runtime.finding import ScannerFinding

__all__ = ["END_OF_STREAM", "OVER_LIMITS", "BadClamdReply", "Replies", "chunk", "command", "finding", "takes_no_descriptor"]

MAX_REPLY = 64 << 10
"""Bytes. A reply has the name of a file and of a signature; a server that sends more is not a clamd."""
END_OF_STREAM = struct.pack("!I", 0)
OVER_LIMITS = "Heuristics.Limits.Exceeded"
"""What ClamAV "finds" with AlertExceedsMax if it did not scan all of a message. Without that option it reports the message as clean."""
_NUMBERED = re.compile(rb"(\d{1,10}): (.*)", re.DOTALL)
_FOUND = re.compile(r"(?:[^:]*: )?(.+) FOUND", re.DOTALL)


_MESSAGES_FAULT = re.compile(
    r"size limit|limit (?:reached|exceeded)|bad format|broken data|can't parse data|can't unpack data|too many files", re.IGNORECASE
)
"""Errors that may be the message's fault, by the texts of cl_strerror() and clamd. All others are the server's: no memory, no disk space
...
"""


class BadClamdReply(Exception):
    """The bytes are not a reply of a clamd."""


def command(name: str) -> bytes:
    return b"z%b\0" % name.encode()


def chunk(data: bytes) -> bytes:
    """Put a piece of an INSTREAM into its frame."""
    return struct.pack("!I", len(data)) + data


def finding(text: str) -> ScannerFinding:
    """Read the reply to FILDES or INSTREAM."""
    if text.endswith(": OK"):
        return ScannerFinding()
    if found := _FOUND.fullmatch(text):
        return ScannerFinding(trouble=f"over a limit ({found[1]})") if found[1].startswith(OVER_LIMITS) else ScannerFinding(name=found[1])
    said = text.removesuffix(" ERROR") or "an empty reply"
    return ScannerFinding(trouble=said) if _MESSAGES_FAULT.search(said) else ScannerFinding(fault=said)


def takes_no_descriptor(fault: str) -> bool:
    """Return whether clamd got no descriptor with FILDES, or does not know that command."""
    return "file descriptor" in fault or "UNKNOWN COMMAND" in fault


class Replies:
    """The replies of one session: feed it what was read, take complete replies."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> None:
        """Add bytes that were read. Raises BadClamdReply."""
        self._data += data
        if len(self._data) > MAX_REPLY:
            raise BadClamdReply(f"a reply of more than {MAX_REPLY} bytes")

    def take(self) -> tuple[int, str] | None:
        """Return the next reply and the number of its command (0: the session itself); None until it is complete."""
        line, end, rest = self._data.partition(b"\0")
        if not end:
            return None
        self._data = rest
        numbered = _NUMBERED.fullmatch(line)
        number, text = (int(numbered[1]), numbered[2]) if numbered else (0, line)
        return number, text.decode("utf-8", "replace").strip()
