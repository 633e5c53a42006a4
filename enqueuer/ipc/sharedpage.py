"""One value on the scoreboard that one process writes whole and others read whole, without a lock."""

import mmap
from typing import Generic, TypeVar

import msgspec

__all__ = ["SharedPage"]

Value = TypeVar("Value")


class SharedPage(Generic[Value]):
    """A part of a shared mapping: a version, a length, and the value in msgpack. An odd version shows that a writer is at work, or died."""

    def __init__(self, map: mmap.mmap, start: int, size: int, type: type[Value], first: Value) -> None:
        """`start`, `size`: bytes; `start` is a multiple of 8. `first`: the value until one is published."""
        self._map = map
        self._words = memoryview(map)[start : start + 16].cast("Q")
        self._start = start + 16
        self._room = size - 16
        self._decode = msgspec.msgpack.Decoder(type).decode
        self._good = first

    def publish(self, value: Value) -> None:
        """Store a value as a whole. One that does not fit is not stored."""
        data = msgspec.msgpack.encode(value)
        if len(data) > self._room:
            return
        version = self._words[0] | 1
        self._words[0] = version
        self._words[1] = len(data)
        self._map[self._start : self._start + len(data)] = data
        self._words[0] = version + 1

    def read(self) -> Value:
        """Return the value published last, or the last one that was read whole."""
        before = self._words[0]
        data = self._map[self._start : self._start + self._words[1]]
        if before and before % 2 == 0 and before == self._words[0]:
            self._good = self._decode(data)
        return self._good
