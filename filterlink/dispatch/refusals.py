"""Find messages that a filter refuses because of their content, and not because it cannot scan anything for now. Pure.

REJECTED can mean both. So can FAILURE and an invalid line, if they do not let the message pass. The filter's other answers are the
proof: it refused a message, then scanned more other messages than it refused, and refuses the first message again.
In an outage a filter refuses nearly all messages, though it may pass a few (those that are too large for its server).
"""

from collections import OrderedDict

from filterlink.wire.frames import AnswerKind

__all__ = ["MOST_KNOWN", "SCANNED", "Refusals"]

MOST_KNOWN = 10_000
"""Refused messages that are remembered, in about 1 MB. The one refused longest ago is forgotten first, which costs one more scan."""
SCANNED = (AnswerKind.OK, AnswerKind.ERROR, AnswerKind.DISCARD)
"""Kinds of answers that prove that the filter scans."""
_REFUSED = (AnswerKind.REJECTED, AnswerKind.FAILURE, AnswerKind.INVALID)


class Refusals:
    """The refused messages of a filter, and counts of its answers."""

    def __init__(self) -> None:
        self._scanned = self._refused = 0
        self._known: OrderedDict[int, tuple[int, int]] = OrderedDict()  # message -> both counts after it was refused last

    def heard(self, id: int, kind: AnswerKind) -> bool:
        """Note an answer about message `id`. Return True if it is refused again, and most others were scanned since the first refusal.

        A FAILURE that lets the message pass is its last answer, so the charge has no effect.
        """
        if kind not in _REFUSED:
            self._scanned += kind in SCANNED
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
