"""The envelope lines above a message in its queue file, and the digest that shows whether the file is whole. Pure.

The form is CommuniGate Pro's: lines of one letter and its words, then an empty line, then the message. The engine writes P, O, S,
A and one R a recipient. P comes first, because ClamAV recognizes the format by it; there are five lines for one recipient,
because helpers count them. It reads the lines in any order. Behind its option letter, the O line has the length and SHA-256 of
all bytes of the file except that line. They show whether a power cut left the file incomplete.
"""

import hashlib
import re
from collections.abc import Iterable

import msgspec

from enqueuer.queue.message.client import NOBODY, RemoteClient, decoded

__all__ = [
    "MAX_HEAD",
    "NO_MARK",
    "O_LENGTH",
    "PLACEHOLDER",
    "Digest",
    "Envelope",
    "OLine",
    "head_end",
    "make",
    "o_line",
    "parse",
    "parse_o",
]

MAX_HEAD = 16 << 20
"""The longest envelope that is read: 50,000 recipients, more than a header may name, take about 7 MB."""
O_LENGTH = 65
PLACEHOLDER = b"O" * (O_LENGTH - 1) + b"\n"
"""The placeholder of the O line until all other bytes are written."""
NO_MARK = b"00000000"
_ADDRESS = re.compile(rb".*<([^<>]*)>")
_DROPPER = re.compile(rb"A [^ ]* uid=(\d{1,10})(?: [^\n]*)?\n")
_O = re.compile(rb"^O L v1 (\d{15}) ([0-9a-f]{32}) ([0-9a-f]{8})\n", re.MULTILINE)


class Envelope(msgspec.Struct, frozen=True):
    """Sender and recipients of a message, and the lines of its queue file for them (without the O line)."""

    lines: tuple[bytes, ...]
    """Each with its line feed, the P line first."""
    sender: bytes
    recipients: tuple[bytes, ...]

    def only(self, recipients: frozenset[bytes]) -> "Envelope":
        """Return the same envelope with these recipients only."""
        kept = tuple(line for line in self.lines if line[:2] != b"R " or _address(line) in recipients)
        return Envelope(kept, self.sender, tuple(r for r in self.recipients if r in recipients))

    def plus(self, recipients: Iterable[bytes], at: str) -> "Envelope":
        """Return the same envelope with these recipients as well. Those that it has already are not added."""
        added = [each for each in dict.fromkeys(recipients) if each not in self.recipients]
        lines = (*self.lines, *(_recipient(at.encode(), each) for each in added))
        return Envelope(lines, self.sender, (*self.recipients, *added)) if added else self

    def with_words(self, words: bytes) -> "Envelope":
        """Return the same envelope with more words on the A line, each with a blank before it (client.words)."""
        if not words:
            return self
        at = next((number for number, line in enumerate(self.lines) if line[:2] == b"A "), None)
        if at is None:  # a file of another program
            return Envelope((*self.lines[:1], b"A -%s\n" % words, *self.lines[1:]), self.sender, self.recipients)
        return Envelope((*self.lines[:at], self.lines[at][:-1] + words + b"\n", *self.lines[at + 1 :]), self.sender, self.recipients)

    def word(self, name: bytes) -> bytes:
        """Return a word of the A line, decoded; the last one if several have this name, b"" if there is none."""
        line = next((line for line in self.lines if line[:2] == b"A "), b"")
        found = [value for key, is_word, value in (word.partition(b"=") for word in line.split()[2:]) if is_word and key == name]
        return decoded(found[-1]) if found else b""

    def of_its_own(self, recipient: bytes, at: str) -> "Envelope":
        """Return the envelope of a copy for this recipient only."""
        return self.only(frozenset()).plus((recipient,), at)

    @property
    def dropper(self) -> int | None:
        """Return the account that dropped the message. None: the engine's own, or unknown."""
        found = (_DROPPER.fullmatch(line) for line in self.lines)
        return next((int(match[1]) for match in found if match), None)

    @property
    def above(self) -> bytes:
        """Return the lines above the O line."""
        return self.lines[0]

    @property
    def below(self) -> bytes:
        """Return the lines between the O line and the message, with the empty line."""
        return b"".join(self.lines[1:]) + b"\n"


class OLine(msgspec.Struct, frozen=True):
    """The values of the O line, and where the line is."""

    offset: int
    length: int
    digest: bytes
    mark: bytes


class Digest:
    """Computes length and SHA-256 of the bytes of a queue file, without its O line."""

    def __init__(self, *chunks: bytes) -> None:
        self._hash = hashlib.sha256()
        self.length = 0
        for chunk in chunks:
            self.feed(chunk)

    def feed(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.length += len(chunk)

    def through(self, chunks: Iterable[bytes]) -> Iterable[bytes]:
        """Pass the chunks on, and count them."""
        for chunk in chunks:
            self.feed(chunk)
            yield chunk

    def line(self, mark: bytes = NO_MARK) -> bytes:
        return o_line(self.length, self._hash.hexdigest()[:32].encode(), mark)


def o_line(length: int, digest: bytes, mark: bytes = NO_MARK) -> bytes:
    """Format `O L v1 <length, 15 digits> <32 hex digits> <8 hex digits>`: always O_LENGTH bytes, so that it can be written last."""
    return b"O L v1 %015d %s %s\n" % (length, digest, mark)


def make(
    sender: bytes,
    recipients: Iterable[bytes],
    at: str,
    domain: str,
    client: RemoteClient = NOBODY,
    dropper: int | None = None,
    words: bytes = b"",
) -> Envelope:
    """Make the envelope of a new message. `at` is `DD-MM-YYYY HH:MM:SS`.

    `dropper`: the account, if it is not the engine's. It and the names of the client are further words of the A line, because
    helpers count the lines. `words`: more of them, each with a blank before it (client.words). Helpers also read text in brackets, on the S
    line and elsewhere, as an address or an account of their own.
    """
    when = at.encode()
    recipients = tuple(recipients)
    by = b"" if dropper is None else b" uid=%d" % dropper
    lines = [
        b"P I %s 0000 ____ ____ <%s>\n" % (when, sender),
        b"S %s\n" % client.source,
        b"A %s%s%s%s\n" % (domain.encode("ascii", "replace"), by, client.words, words),
        *(_recipient(when, recipient) for recipient in recipients),
    ]
    return Envelope(tuple(lines), sender, recipients)


def head_end(data: bytes) -> int:
    """Return where the message begins in a queue file; -1 if the empty line has not come yet."""
    if data[:1] == b"\n":
        return 1
    at = data.find(b"\n\n")
    return at + 2 if at >= 0 else -1


def parse(head: bytes) -> Envelope:
    """Read the lines above a message, tolerantly: any order, unknown letters kept. Raises ValueError without a P line."""
    lines = [line + b"\n" for line in head.split(b"\n") if line and line[:2] != b"O "]
    sender = next((line for line in lines if line[:2] == b"P "), None)
    if sender is None:
        raise ValueError("no P line: not a queue file")
    lines.remove(sender)
    recipients = tuple(_address(line) for line in lines if line[:2] == b"R ")
    return Envelope((sender, *lines), _address(sender), recipients)


def parse_o(head: bytes) -> OLine | None:
    """Find the O line that the engine wrote. None: there is none."""
    match = _O.search(head)
    return OLine(match.start(), int(match[1]), match[2], match[3]) if match else None


def _recipient(when: bytes, address: bytes) -> bytes:
    return b"R W %s 0000 ____ _FY_ <%s>\n" % (when, address)


def _address(line: bytes) -> bytes:
    """Return the address between the last pair of angle brackets (lines of others may have more than one)."""
    match = _ADDRESS.match(line)
    return match[1] if match else b""
