"""How often the conditions of each rule held: shared memory in which each process counts in a slot of its own.

A slot begins with the mark of the rules that it counts. After a change of the rules a process begins again at 0. So the counts are those
since the rules were changed last, or since the start of the engine.
"""

import hashlib
import mmap
from collections.abc import Iterable, Sequence

__all__ = ["MAX_COUNTED", "RuleTallies", "TallySlot", "mark_of"]

MAX_COUNTED = 500
"""Rules that are counted: the first ones in firing order."""
_WORDS = MAX_COUNTED + 1


def mark_of(names: Iterable[str]) -> int:
    """Return the mark of rules with these names, in firing order."""
    return int.from_bytes(hashlib.sha256("\n".join(names).encode("utf-8", "replace")).digest()[:8], "big") | 1


class RuleTallies:
    """All slots. It is made before the first fork."""

    def __init__(self, slots: int) -> None:
        self._words = memoryview(mmap.mmap(-1, slots * _WORDS * 8)).cast("Q")
        self._slots = slots

    def slot(self, number: int) -> "TallySlot":
        return TallySlot(self._words[number * _WORDS : (number + 1) * _WORDS])

    def sums(self, names: Sequence[str]) -> list[int]:
        """Return the counts of these rules over all processes that count them."""
        mark = mark_of(names)
        sums = [0] * min(len(names), MAX_COUNTED)
        for start in range(0, self._slots * _WORDS, _WORDS):
            if self._words[start] == mark:
                for at in range(len(sums)):
                    sums[at] += self._words[start + 1 + at]
        return sums


class TallySlot:
    """The slot of one process."""

    def __init__(self, words: memoryview) -> None:
        self._words = words

    def configure(self, names: Iterable[str]) -> None:
        """Count rules with these names. A process that follows another one continues its counts."""
        mark = mark_of(names)
        if self._words[0] != mark:
            self._words[0] = 0
            for at in range(1, _WORDS):
                self._words[at] = 0
            self._words[0] = mark

    def count(self, met: Iterable[int]) -> None:
        """Count the rules at these places in firing order."""
        for place in met:
            if place < MAX_COUNTED:
                self._words[1 + place] += 1
