"""Take the trace field off a message of Outbound, and check its form."""

import re

__all__ = ["bare", "traced", "untraced"]

_FIELD = re.compile(rb"Received: by [\w.-]+(?:\r?\n\t| )\(Enqueuer\) id (\d+);\r?\n\t\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r?\n")


def traced(message: bytes, id: int) -> bytes:
    """Return the message below a field that has this id."""
    match = _FIELD.match(message)
    assert match is not None, message[:200]
    assert int(match[1]) == id
    return message[match.end() :]


def untraced(message: bytes) -> bytes:
    """Return the message below the field, which has any id."""
    match = _FIELD.match(message)
    assert match is not None, message[:200]
    return message[match.end() :]


def bare(message: bytes) -> bytes:
    """Return the message without the field, if it begins with one: for tests that compare bytes, and are not about the field."""
    return _FIELD.sub(b"", message, count=1) if _FIELD.match(message) else message
