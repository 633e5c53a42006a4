r"""The answers of spamd and of HTTP servers: a status line, header fields, an empty line, a body. Pure: bytes in, a ServerAnswer out.

The body ends where Content-Length says, else with the connection. Requests are HTTP 1.0, so no chunks come.
"""

import re

__all__ = ["MAX_ANSWER", "BadAnswer", "ServerAnswer"]

MAX_ANSWER = 16 << 20
"""Bytes. spamd sends the whole header of the message back, and the engine takes headers of up to 4 MiB."""
MAX_FIELDS = 1000
_BLANK = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"(?:SPAMD|HTTP)/\d{1,3}(?:\.\d{1,3})? (\d{1,3})(?: ([^\r\n]*))?\r?(?:\n|\Z)")


class BadAnswer(Exception):
    """The bytes are not an answer, or not a complete one."""


class ServerAnswer:
    """Feed it what was read until it is `complete`; report the connection's end with `end`. The other attributes are valid only then."""

    def __init__(self) -> None:
        self.code = 0
        self.text = ""
        self.fields: dict[str, str] = {}
        """By name in lower case."""
        self._data = bytearray()
        self._body = 0
        self._length: int | None = None

    @property
    def complete(self) -> bool:
        return self._body > 0 and self._length is not None and len(self._data) - self._body >= self._length

    @property
    def body(self) -> bytes:
        end = len(self._data) if self._length is None else self._body + self._length
        return bytes(self._data[self._body : end])

    def feed(self, data: bytes) -> None:
        """Add bytes that were read. Raises BadAnswer."""
        looked = max(0, len(self._data) - 3)
        self._data += data
        if len(self._data) > MAX_ANSWER:
            raise BadAnswer(f"an answer of more than {MAX_ANSWER} bytes")
        if not self._body and (blank := _BLANK.search(self._data, looked)):
            self._read_head(blank.start(), blank.end())

    def end(self) -> None:
        """Note the end of the connection. Raises BadAnswer if something is missing."""
        if not self._data:
            raise BadAnswer("the connection ended without an answer")
        if not self._body:  # spamd sends an error in one line, without an empty line after it
            self._read_head(len(self._data), len(self._data))
        if self._length is not None and not self.complete:
            raise BadAnswer("the connection ended within an answer")

    def _read_head(self, end: int, body: int) -> None:
        head = bytes(self._data[:end])
        status = _STATUS.match(head)
        if not status:
            raise BadAnswer(f"not understood: {head[:60].decode('utf-8', 'replace')}")
        self.code = int(status[1])
        self.text = (status[2] or b"").decode("utf-8", "replace").strip()
        for line in head[status.end() :].splitlines()[:MAX_FIELDS]:
            name, colon, value = line.decode("utf-8", "replace").partition(":")
            if colon:
                self.fields[name.strip().lower()] = value.strip()
        self._body = body
        self._length = self._read_length()

    def _read_length(self) -> int | None:
        text = self.fields.get("content-length")
        if text is None:
            return None
        if not re.fullmatch(r"[0-9]{1,8}", text):
            raise BadAnswer(f"a Content-Length of {text[:20]}")
        return int(text)
