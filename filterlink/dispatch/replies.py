"""Answer the clients of a filter with a verdict or a Park, or let their requests wait here. Pure.

A processor never waits for a scan past its grace while there is other work. The scan goes on, the message waits in the queue
manager's list, and the answer is kept. When the answer is in, the message is woken.

Example: the median of a filter is 0.5 s, so its grace is 2 s. Message 7 takes 30 s. After 2 s its processor gets a Park and takes
message 8. After 30 s the answer about 7 is kept and 7 is woken. Its next processor gets the kept answer at once.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from filterlink.config.settings import Filter
from filterlink.dispatch.late_answers import Kept
from filterlink.dispatch.latency import Pace
from filterlink.dispatch.refusals import Refusals
from filterlink.dispatch.requests import MuxPort, ScanRequest
from filterlink.dispatch.slots import Slots
from filterlink.dispatch.suspects import Suspects
from filterlink.protocol.protocol import HelperReply
from filterlink.wire.frames import AnswerKind, Ask, FilterAnswer

__all__ = ["MAX_WAITING", "Desk"]

MAX_WAITING = 100_000
"""Requests that may wait for a slot; more than all processors and test clients send at once."""


class Desk:
    """The part of a gate that answers the clients."""

    def __init__(self, settings: Filter, port: MuxPort, slots: Slots, suspects: Suspects, reason: Callable[[], str]) -> None:
        self.kept = Kept()
        self.pace = Pace()
        self._refusals = Refusals()
        self.name = f'filter "{settings.name}"'
        self._settings = settings
        self._port = port
        self._slots = slots
        self._suspects = suspects
        self._reason = reason

    def answer_kept(self, now: float, client: Any, ask: Ask) -> bool:
        """Give the kept answer about a message, if there is one; return whether there was."""
        if (kept := self.kept.take(ask.id)) is None:
            return False
        self._port.verdict(ScanRequest.of(ask, client, now), kept)
        return True

    def answer(self, request: ScanRequest, reply: HelperReply) -> None:
        """Give the answer of a helper. A refusal is charged if the filter refuses this message because of its content."""
        answer = reply.answer
        if self._refusals.heard(request.id, answer.kind):
            answer = msgspec.structs.replace(answer, charge=True)
        self.tell(request, answer)

    def tell(self, request: ScanRequest, answer: FilterAnswer) -> None:
        """Give an answer to the client that waits for it. If the client was parked meanwhile, keep the answer and wake the message."""
        if request.client is not None:
            self._port.verdict(request, answer)
        elif request.late:
            self.kept.keep(request.id, answer)
            self._port.wake_one(request.id)

    def unavailable(self, request: ScanRequest, how: str = "is not ready") -> None:
        self.tell(request, FilterAnswer(AnswerKind.UNAVAILABLE, f"{self.name} {how}: {self._reason()}"))

    def wait(self, request: ScanRequest, ready: bool, *, first: bool = False) -> None:
        """Park a request that cannot be sent now, or let it wait here."""
        suspect = self._suspects.get(request.id)
        waiting = self._slots.lanes[request.large].waiting
        if request.late:
            self._missed(request)
        elif request.woken and ready and suspect is None and self._slots.shared:
            waiting.appendleft(request)
        elif request.park:
            self._park(request, ready)
        elif suspect is not None and suspect.request is None:
            suspect.request = request
        elif first:
            waiting.appendleft(request)
        elif len(waiting) < MAX_WAITING:
            waiting.append(request)
        else:
            self.tell(request, FilterAnswer(AnswerKind.UNAVAILABLE, f"{self.name}: {MAX_WAITING} requests are waiting already"))

    def set_aside(self, now: float, requests: list[ScanRequest], stalled: bool) -> None:
        """Park requests past their grace, or all if the filter is stalled, so that their processors are free. The scans go on."""
        grace = 0.0 if stalled else self.pace.grace(self._settings.slow_after)
        for request in requests:
            if request.client is not None and request.park and now - request.begun >= grace:
                self._port.park(request, f"{self.name} is slow", True)
                request.client = None
                request.late = True

    def park_woken(self, now: float) -> None:
        """Park woken messages that have waited past the grace for a slot that doors use."""
        grace = self.pace.grace(self._settings.slow_after)
        for lane in self._slots.lanes:
            for request in [each for each in lane.waiting if each.park and now - each.begun >= grace]:
                lane.waiting.remove(request)
                self._park(request, True)

    def _missed(self, request: ScanRequest) -> None:
        """Have a message ask again: the answer that it waits for was lost with its helper."""
        if (suspect := self._suspects.get(request.id)) is None:
            self._port.wake_one(request.id)
        else:
            suspect.away = True

    def _park(self, request: ScanRequest, ready: bool) -> None:
        suspect = self._suspects.get(request.id)
        if suspect is None:
            self._slots.lanes[request.large].parked += 1
            reason = "has no free slot" if ready else f"is not ready: {self._reason()}"
        else:
            suspect.away = True
            reason = "ended while it scanned this message, perhaps with others: this message waits to be scanned alone"
        self._port.park(request, f"{self.name} {reason}", suspect is not None)
