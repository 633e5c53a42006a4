"""Answers that came after their messages were told to wait elsewhere: kept until the messages ask again. Pure."""

from collections import OrderedDict

import msgspec

from filterlink.wire.frames import AnswerKind

__all__ = ["MAX_KEPT", "MAX_KEPT_BYTES", "Kept", "LateAnswer"]

MAX_KEPT = 10_000
MAX_KEPT_BYTES = 16 << 20
"""The oldest goes first. A message whose answer is gone is judged again when it asks: nothing but time is lost."""
OVERHEAD = 200
"""Bytes that an answer takes beside its text and fields."""


class LateAnswer(msgspec.Struct, gc=False):
    kind: AnswerKind
    text: str = ""
    fields: tuple[bytes, ...] = ()
    charge: bool = False
    routes: tuple[bytes, ...] = ()
    copies: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        return OVERHEAD + len(self.text) + sum(map(len, self.fields + self.routes + self.copies))


class Kept(OrderedDict[int, LateAnswer]):
    """Answers by message, the oldest first; they come by keep() and go by take()."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0

    def keep(self, id: int, answer: LateAnswer) -> None:
        self.take(id)
        self[id] = answer
        self._bytes += answer.size
        while len(self) > MAX_KEPT or self._bytes > MAX_KEPT_BYTES:
            self.take(next(iter(self)))

    def take(self, id: int) -> LateAnswer | None:
        """The answer, which is kept no longer."""
        answer = self.pop(id, None)
        if answer is not None:
            self._bytes -= answer.size
        return answer
