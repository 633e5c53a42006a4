"""Ask the multiplexer one question at a time, and get the answer even if the multiplexer dies meanwhile."""

import select
import time
from collections.abc import Callable

import msgspec

from filterlink.wire.frames import Ask, Hello, Park, VerdictFrame, encode
from filterlink.wire.link import Channel, connect

__all__ = ["Client", "wait_readable"]

RECONNECT = 0.05
"""Seconds between attempts to connect while no process has bound the listener (an engine's supervisor always has)."""

_decode = msgspec.msgpack.Decoder(VerdictFrame | Park).decode


def wait_readable(fd: int) -> None:
    """Wait until `fd` can be read, for as long as it takes."""
    select.select([fd], [], [])


class Client:
    """A persistent link to the multiplexer at `path`. When the link ends, the client connects again and repeats the open question."""

    def __init__(self, path: str, hello: Hello) -> None:
        self._path = path
        self._hello = encode(hello)
        self._channel: Channel | None = None

    def ask(self, question: Ask, wait: Callable[[int], None] = wait_readable) -> VerdictFrame | Park:
        """Send a question and return its one answer. `wait(fd)` returns when fd is readable; an exception from it abandons the question."""
        frame = encode(question)
        while True:
            channel = self._connected()
            if channel.send(frame) and (answer := self._answer(channel, question, wait)) is not None:
                return answer
            self.close()

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _answer(self, channel: Channel, question: Ask, wait: Callable[[int], None]) -> VerdictFrame | Park | None:
        """Return the answer; None if the link has ended. Answers to abandoned questions are skipped."""
        while True:
            wait(channel.fileno())
            data = channel.receive()
            if not data:
                return None
            answer: VerdictFrame | Park = _decode(data)
            if (answer.id, answer.n, answer.filter) == (question.id, question.n, question.filter):
                return answer

    def _connected(self) -> Channel:
        while self._channel is None:
            try:
                self._channel = Channel(connect(self._path))
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(RECONNECT)
                continue
            self._channel.send(self._hello)
        return self._channel
