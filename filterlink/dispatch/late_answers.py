"""Keep answers that came after their messages were parked, until the messages ask again. Pure."""

from collections import OrderedDict

from filterlink.wire.frames import FilterAnswer

__all__ = ["MAX_KEPT", "MAX_KEPT_BYTES", "Kept"]

MAX_KEPT = 10_000
MAX_KEPT_BYTES = 16 << 20
"""Over either limit the oldest answer is dropped first. Its message is scanned again when it asks: only time is lost."""
OVERHEAD = 200
"""Bytes of memory for an answer in addition to its text and fields."""


class Kept(OrderedDict[int, FilterAnswer]):
    """Answers by message, the oldest first. Only keep() adds them and only take() removes them."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0

    def keep(self, id: int, answer: FilterAnswer) -> None:
        self.take(id)
        self[id] = answer
        self._bytes += OVERHEAD + answer.size
        while len(self) > MAX_KEPT or self._bytes > MAX_KEPT_BYTES:
            self.take(next(iter(self)))

    def take(self, id: int) -> FilterAnswer | None:
        """Remove and return the answer; None if there is none."""
        answer = self.pop(id, None)
        if answer is not None:
            self._bytes -= OVERHEAD + answer.size
        return answer
