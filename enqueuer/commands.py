"""What the commands `status`, `reload`, `stop` and those about one message make the supervisor do and answer."""

import itertools
import os
import socket
import time
from typing import TYPE_CHECKING

from enqueuer import frames, status
from enqueuer.control import Answer, ControlServer, Reply
from filterlink.loop import Loop

if TYPE_CHECKING:
    from enqueuer.supervisor import Supervisor

__all__ = ["Commands"]

IN_FORCE_WITHIN = 5.0
"""Seconds that queue manager and filterlink get to put an edition of the configuration in force."""


ANSWER_WITHIN = 30.0
"""Seconds that the queue manager gets for an order; retry --all of thousands of messages takes some."""


class Commands:
    """Part of the supervisor: its end of the control socket."""

    def __init__(self, supervisor: "Supervisor", loop: Loop, listener: socket.socket) -> None:
        self._supervisor, self._loop = supervisor, loop
        self._server = ControlServer(loop, listener, self._command)
        self._reloading: list[tuple[int, float, Reply]] = []
        self._stopping: list[Reply] = []
        self._orders: dict[int, Reply] = {}
        self._tokens = itertools.count(1)

    def abandon(self) -> None:
        """In a forked child: let go of it without a word."""
        self._server.abandon()

    def stopped(self) -> None:
        """The engine has ended: tell those who asked for it."""
        for reply in self._stopping:
            reply({"ok": True})
        self._loop.turn(0)

    def in_force(self) -> None:
        """Somebody put an edition in force: answer those who waited for it."""
        children = [self._supervisor.nursery.one("manager"), self._supervisor.nursery.one("filterlink")]
        reached = min((child.in_force if child else 0) for child in children)
        now, still = time.monotonic(), []
        for edition, until, reply in self._reloading:
            if reached >= edition:
                reply({"ok": True, "edition": edition})
            elif now >= until:
                reply({"ok": False, "error": "the new configuration is not in force everywhere yet", "edition": edition})
            else:
                still.append((edition, until, reply))
        self._reloading = still

    def _command(self, request: Answer, reply: Reply) -> None:
        match request.get("command"):
            case "status":
                reply(self._status())
            case "reload":
                self._reload(reply)
            case "release" | "retry" | "delete" as verb:
                self._order(verb, request.get("id"), reply)
            case "stop":
                self._stopping.append(reply)
                self._supervisor.stop(now=bool(request.get("now")))
            case other:
                reply({"ok": False, "error": f"unknown command {other!r}"})

    def answered(self, answer: frames.Answer) -> None:
        """The queue manager has carried out an order."""
        if (reply := self._orders.pop(answer.token, None)) is not None:
            reply({"ok": answer.ok, "text": answer.text})

    def _order(self, verb: str, id: object, reply: Reply) -> None:
        """Hand it to the queue manager; one that dies over it leaves the order unanswered, and the command says so."""
        manager = self._supervisor.nursery.one("manager")
        if manager is None or not isinstance(id, int) or id < 0 or (id == 0 and verb != "retry"):
            reply({"ok": False, "text": "the queue manager is being restarted: try again" if manager is None else f"{id!r} is no message"})
            return
        token = next(self._tokens)
        self._orders[token] = reply
        manager.tell(frames.Order(token, verb, id))
        self._loop.after(ANSWER_WITHIN, lambda: self.answered(frames.Answer(token, False, "the queue manager does not answer")))

    def _reload(self, reply: Reply) -> None:
        self._supervisor.reload()
        file = self._supervisor.file
        if file.error:
            reply({"ok": False, "error": file.error})
            return
        self._reloading.append((file.edition, time.monotonic() + IN_FORCE_WITHIN, reply))
        self._loop.after(IN_FORCE_WITHIN, self.in_force)
        self.in_force()

    def _status(self) -> Answer:
        engine = self._supervisor
        state = {"stopping": "draining"}.get(engine.state, engine.state)
        base, processors = str(engine.started.base), engine.nursery.of("processor")
        return status.document(state, base, os.getpid(), engine.born, engine.file, engine.board, processors)
