"""Two more readers of MIME, which share no code with ours or each other: Python's email package and fast-mail-parser (Rust).

What only they find in a message, and ours (mime.py) does not, is scanned too. Both skip errors, so no message is an error.
"""

import contextlib
import email.message
import email.parser
import email.policy
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import fast_mail_parser

from filterlink.filters.content.limits.member import Look
from filterlink.filters.content.mail.mimeheader import MAX_VALUE

__all__ = ["MAX_RUST", "LeafFound", "TooMuch", "by_email", "by_rust", "reads_email"]

MAX_EMAIL = 64 << 20
"""Bytes of a message that the email package reads: it needs 4 times as much memory and 30 ms for each MiB."""
MAX_LINES = 1_000_000
"""Lines of a message that the email package reads: each is an object of some 100 bytes."""
MAX_RUST = 100 << 20
"""Bytes of a message that fast-mail-parser reads, by its own limit."""
MAX_FOUND = 2000
"""Parts that one reader may find; ours stops at 1000."""
_BLOCK = 64 << 10
_SPOILED: tuple[type[Exception], ...] = (ValueError, LookupError, TypeError, AttributeError, AssertionError)
"""What the email package raises if it cannot decode a part or a field."""


class LeafFound(NamedTuple):
    """A leaf that a reader found. A message in a message has no data, because its parts are leaves of their own."""

    names: tuple[str, ...]
    type: str
    data: bytes


class TooMuch(Exception):
    """A reader gave up: too many parts, or too deep."""


class _AsItIs(type(email.policy.compat32)):  # type: ignore[misc]
    """Fields as they are: compat32 makes an object of a field that is not ASCII, and loses a part of it. Defects are not kept."""

    def header_fetch_parse(self, name: str, value: str) -> str:  # noqa: ARG002
        return value

    def register_defect(self, obj: object, defect: Exception) -> None:
        """Drop a defect: there may be one for each line."""


_POLICY = _AsItIs()


class _Message(email.message.Message):
    """A message that does not read long fields: the package needs quadratic time for their parameters."""

    def get(self, name: str, failobj: Any = None) -> Any:
        value = super().get(name, failobj)
        if isinstance(value, str) and len(value) > MAX_VALUE:
            raise TooMuch
        return value


def reads_email(message: bytes) -> bool:
    """Return whether the email package reads a message of this size."""
    return len(message) <= MAX_EMAIL and message.count(b"\n") + message.count(b"\r") <= MAX_LINES


def by_email(message: bytes, look: Look) -> Iterator[LeafFound]:
    """Yield what the email package finds. Raises TooMuch, and what `look` raises, which is called for each block and part."""
    made = itertools.count()

    def make(policy: Any = _POLICY) -> _Message:
        if next(made) > MAX_FOUND:
            raise TooMuch
        return _Message(policy)

    parser = email.parser.BytesFeedParser(make, policy=_POLICY)
    try:
        for start in range(0, len(message), _BLOCK):
            look()
            parser.feed(message[start : start + _BLOCK])
        root = parser.close()
        for part in root.walk():
            look()
            yield from _leaf(part)
    except RecursionError:
        raise TooMuch from None


def _leaf(part: Any) -> Iterator[LeafFound]:
    name = ""
    type = ""
    data = None
    with contextlib.suppress(*_SPOILED):
        type = part.get_content_type()
    with contextlib.suppress(*_SPOILED):
        name = str(part.get_filename() or "")
    if not part.is_multipart():
        with contextlib.suppress(*_SPOILED):
            data = part.get_payload(decode=True)
    if name or data:
        yield LeafFound((name,) if name else (), type, data if isinstance(data, bytes) else b"")


def by_rust(message: bytes, look: Look) -> Iterator[LeafFound]:
    """Yield what fast-mail-parser finds. Raises TooMuch, and what `look` raises."""
    try:
        root = fast_mail_parser.parse_email_tree(message, mode="lazy")
    except fast_mail_parser.MimeStructureError:
        raise TooMuch from None
    except fast_mail_parser.ParseError:  # it opens nothing of this message
        return
    stack = [root]
    found = 0
    while stack:
        look()
        node = stack.pop()
        stack.extend(reversed(node.children))
        data = b""
        if not node.children:
            with contextlib.suppress(fast_mail_parser.ParseError):
                data = node.content or b""
        found += 1
        if found > MAX_FOUND:
            raise TooMuch
        if node.filename or data:
            yield LeafFound((node.filename,) if node.filename else (), node.content_type.partition(";")[0].strip().lower(), data)
