"""Cut commands on a pipe into lines, in bounded memory. Pure."""

__all__ = ["MAX_LINE", "Lines"]

MAX_LINE = 8192
"""Bytes. A path has at most 4096; longer lines are dropped."""


class Lines:
    """Standard input in lines, in bounded memory."""

    def __init__(self) -> None:
        self.ended = False
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take what was read (b"" is the end); return the lines that are complete now."""
        self.ended = not data
        *lines, self._rest = (self._rest + (data or b"\n")).split(b"\n")
        if lines and self._skipping:
            lines = lines[1:]
            self._skipping = False
        if self._skipping or len(self._rest) > MAX_LINE:
            self._rest = b""
            self._skipping = True
        return [line.strip() for line in lines if len(line) <= MAX_LINE]
