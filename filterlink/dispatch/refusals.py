"""Which messages a filter refuses for their own sake, and not because it cannot scan at all for now. Pure.

REJECTED says both. So do FAILURE and a line that is no answer, where they do not let the message pass. The proof is what the
filter answers meanwhile: it refused a message, then scanned more other messages than it refused, and refuses the first one again.
In an outage it refuses nearly all, though it may let a few pass (those that are too large for its server).
"""

from collections import OrderedDict

from filterlink.wire.frames import AnswerKind

__all__ = ["MOST_KNOWN", "Refusals"]

MOST_KNOWN = 10_000
"""Refused messages that are remembered, about 1 MB; the one refused longest ago is forgotten first, and costs one more scan."""
_SCANNED = (AnswerKind.OK, AnswerKind.ERROR, AnswerKind.DISCARD)
_REFUSED = (AnswerKind.REJECTED, AnswerKind.FAILURE, AnswerKind.INVALID)


class Refusals:
    """Part of a filter's gate."""

    def __init__(self) -> None:
        self._scanned = self._refused = 0
        self._known: OrderedDict[int, tuple[int, int]] = OrderedDict()  # message -> both counts after it was refused last

    def heard(self, id: int, kind: AnswerKind) -> bool:
        """Note an answer about message `id`. Return True where it is refused again, and most others were scanned since.

        A FAILURE that lets the message pass is its last answer, so that nothing follows from the charge.
        """
        if kind not in _REFUSED:
            self._scanned += kind in _SCANNED
            if self._known:
                self._known.pop(id, None)
            return False
        scanned, refused = self._known.pop(id, (self._scanned, self._refused))
        charged = self._scanned - scanned > self._refused - refused
        self._refused += 1
        self._known[id] = self._scanned, self._refused
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return charged
