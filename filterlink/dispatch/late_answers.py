"""Answers that came after their messages were told to wait elsewhere: kept until the messages ask again. Pure."""

from collections import OrderedDict

from filterlink.wire.frames import FilterAnswer

__all__ = ["MAX_KEPT", "MAX_KEPT_BYTES", "Kept"]

MAX_KEPT = 10_000
MAX_KEPT_BYTES = 16 << 20
"""The oldest goes first. A message whose answer is gone is judged again when it asks: nothing but time is lost."""
OVERHEAD = 200
"""Bytes that an answer takes beside its text and fields."""


class Kept(OrderedDict[int, FilterAnswer]):
    """Answers by message, the oldest first; they come by keep() and go by take()."""

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
        """The answer, which is kept no longer."""
        answer = self.pop(id, None)
        if answer is not None:
            self._bytes -= OVERHEAD + answer.size
        return answer
