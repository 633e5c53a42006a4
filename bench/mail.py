"""The messages for measurements. Pure: bytes, no files."""

__all__ = ["message"]

HEAD = (
    b"Return-Path: <ann@example.com>\nReceived: from a.example.com by b.example.com; Tue, 24 Nov 2026 06:40:00 +0000\n"
    b"From: Ann <ann@example.com>\nTo: Bob <bob@example.org>\nSubject: a test message\nMIME-Version: 1.0\n"
    b"Date: Tue, 24 Nov 2026 06:40:00 +0000\nMessage-ID: <1.2.3@example.com>\n\n"
)
LINE = b"The quick brown fox jumps over the lazy dog, and the lazy dog does not mind.\n"


def message(size: int) -> bytes:
    """Return an ordinary message of `size` bytes (at least a header)."""
    return (HEAD + LINE * (size // len(LINE) + 1))[: max(size, len(HEAD))]
