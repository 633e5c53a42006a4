"""Put text from outside into a header field or another line. Pure."""

import base64

__all__ = ["MOST", "encoded_words", "one_line"]

MOST = 200
"""Characters of one_line()."""
WORD = 45
"""Bytes of text in an encoded word: with its frame it stays below the 75 characters of RFC 2047."""


def one_line(text: str) -> str:
    """Return text from outside as one line of at most MOST characters, without control characters."""
    text = text[: 10 * MOST]
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    text = " ".join(text.split())
    return text if len(text) <= MOST else text[: MOST - 3] + "..."


def encoded_words(text: str) -> bytes:
    """Return text for a header field: as it is if it is ASCII, else as encoded words (RFC 2047) with blanks between them."""
    if text.isascii():
        return text.encode("ascii")
    words = list[bytes]()
    piece = b""
    for char in text:
        data = char.encode("utf-8", "replace")
        if len(piece) + len(data) > WORD:
            words.append(piece)
            piece = b""
        piece += data
    return b" ".join(b"=?UTF-8?B?%s?=" % base64.b64encode(word) for word in (*words, piece))
