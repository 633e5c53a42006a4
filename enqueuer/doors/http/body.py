"""Convert the body of a request for the message file. Pure."""

__all__ = ["HEAD_KEPT", "MessageBody"]

HEAD_KEPT = 16 << 10
"""Bytes of the message that are kept, for its Message-ID."""


class MessageBody:
    """Turns CRLF into LF, also across pieces, and counts the bytes. A lone CR stays."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes as the client sent them."""
        self.start = b""
        self._cr = b""

    def feed(self, data: bytes) -> bytes:
        self.size += len(data)
        data = self._cr + data
        self._cr = data[-1:] if data[-1:] == b"\r" else b""
        return self._kept(data[: len(data) - len(self._cr)].replace(b"\r\n", b"\n"))

    def end(self) -> bytes:
        """Return the rest at the end."""
        left = self._cr
        self._cr = b""
        return self._kept(left)

    def _kept(self, data: bytes) -> bytes:
        if len(self.start) < HEAD_KEPT:
            self.start += data[: HEAD_KEPT - len(self.start)]
        return data
