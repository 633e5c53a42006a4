"""Ask filterlink over one link, with many requests in flight. When filterlink ends, its successor gets the open requests again."""

from collections.abc import Callable

import msgspec

from enqueuer.ipc.child import FILTERLINK
from filterlink.wire.frames import Abandon, Ask, FilterAnswer, Hello, Park, VerdictFrame, encode
from filterlink.wire.link import Link, connect
from filterlink.wire.loop import Loop

__all__ = ["ScanLink"]

RECONNECT = 0.05
"""Seconds between two attempts to connect, while there is no listener."""
BURST = 32
"""The most answers that are read in one turn of the loop."""
MOST_UNSENT = 300_000
"""Frames kept while filterlink does not read: a request and its end for each session that a process can have (65,536), twice."""
_decode = msgspec.msgpack.Decoder(VerdictFrame | Park).decode
Answered = Callable[[FilterAnswer | None], None]
"""Called with the answer. None: the filter was changed or removed meanwhile. The message must walk the rules again, a moment later."""


class ScanLink:
    """Asks filterlink. A message has at most one open request at a time."""

    def __init__(self, loop: Loop, hello: Hello) -> None:
        self._loop = loop
        self._hello = encode(hello)
        self._open: dict[int, tuple[Ask, Answered]] = {}
        self._link: Link | None = None
        self._connect()

    def ask(self, ask: Ask, answered: Answered) -> None:
        """Send a request. `answered` is called once, unless abandon() comes first."""
        self._open[ask.id] = ask, answered
        if self._link is not None:
            self._link.send(encode(ask))

    def abandon(self, id: int) -> None:
        """Tell filterlink that no answer is needed for this message."""
        if self._open.pop(id, None) is not None and self._link is not None:
            self._link.send(encode(Abandon(id)))

    def _connect(self) -> None:
        try:
            self._link = Link(self._loop, connect(FILTERLINK), _decode, self._received, self._ended)
        except OSError:
            self._loop.after(RECONNECT, self._connect)
            return
        self._link.burst = BURST
        self._link.most_unsent = MOST_UNSENT
        self._link.send(self._hello)
        for ask, _ in list(self._open.values()):
            self._link.send(encode(ask))

    def _ended(self, _link: Link) -> None:
        self._link = None
        self._connect()

    def _received(self, _link: Link, frame: VerdictFrame | Park) -> None:
        found = self._open.get(frame.id)
        if found is None or (found[0].n, found[0].filter) != (frame.n, frame.filter):
            return
        del self._open[frame.id]
        found[1](frame.answer if isinstance(frame, VerdictFrame) else None)
