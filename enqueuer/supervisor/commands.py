"""Carry out `status`, `reload`, `stop` and the commands about one message in the supervisor, and answer them."""

import itertools
import os
import time
from collections.abc import Callable

import msgspec

from enqueuer.control.client import Answer
from enqueuer.control.server import CommandRequest, ControlServer, Reply
from enqueuer.ipc import frames
from enqueuer.policy import rules
from enqueuer.supervisor import status, where
from enqueuer.supervisor.engine import Engine
from enqueuer.supervisor.processors import Processors

__all__ = ["Commands"]

IN_FORCE_WITHIN = 12.0
"""Seconds that the queue manager and filterlink get to activate a revision of the configuration. This is more than the longest wait for
INTF, because filterlink reports the revision when the new helpers are ready.
"""


ANSWER_WITHIN = 30.0
"""Seconds that the queue manager gets for a command. `retry --all` of thousands of messages takes long."""
OF_ALL = ("retry", "retry-bad", "delete-bad")
"""Orders whose id may be 0: all messages."""
SEEN_WITHIN = 3.0
"""Seconds that the queue manager gets to say where a message is. The command itself waits for 5."""


class Commands:
    """The supervisor's end of the control socket."""

    def __init__(self, engine: Engine, processors: Processors, *, reload: Callable[[], None], stop: Callable[..., None]) -> None:
        """Carry out commands with `reload()` and `stop(now=...)` of the supervisor."""
        self._engine = engine
        self._loop = engine.loop
        self._processors = processors
        self._take_config = reload
        self._stop = stop
        self._server = ControlServer(engine.loop, self._command)
        engine.started.control.serve(engine.loop, self._server.accept)
        self._reloading: list[tuple[int, float, Reply]] = []
        self._stopping: list[Reply] = []
        self._orders: dict[int, Reply] = {}
        self._sought: dict[int, tuple[int, Reply]] = {}
        self._tokens = itertools.count(1)

    def abandon(self) -> None:
        """Close the socket in a forked child, without an answer to any command."""
        self._server.abandon()

    def stopped(self) -> None:
        """Answer the `stop` commands: the engine has ended."""
        for reply in self._stopping:
            reply({"ok": True})
        self._loop.turn(0)

    def in_force(self) -> None:
        """Answer the `reload` commands that waited for a revision: a process has reported it as active."""
        children = [self._engine.children.one("manager"), self._engine.children.one("filterlink")]
        reached = min((child.in_force if child else 0) for child in children)
        now = time.monotonic()
        still = []
        for revision, until, reply in self._reloading:
            if reached >= revision:
                reply({"ok": True, "revision": revision, "unavailable": self._unavailable()})
            elif now >= until:
                reply({"ok": False, "pending": True, "error": self._not_yet(), "revision": revision})
            else:
                still.append((revision, until, reply))
        self._reloading = still

    def _unavailable(self) -> list[str]:
        """Return the filters that scan nothing now, and why."""
        return [f"filter {each.name}: {each.last_error or each.state}" for each in self._engine.board.filters() if each.unavailable_since]

    def _not_yet(self) -> str:
        """Return why a revision that was taken is not active everywhere."""
        failed = [f'filter "{each.name}" {each.last_error}' for each in self._engine.board.filters() if each.state == "failed"]
        why = "; ".join(failed) or "a helper is not ready, or a part of the engine is restarting"
        return f"the new configuration was accepted, but is not active everywhere yet: {why}. Until then the old settings apply"

    def _command(self, request: CommandRequest, reply: Reply) -> None:
        match request.command:
            case "status":
                reply(self._status())
            case "reload":
                self._reload(reply)
            case "release" | "retry" | "delete" | "retry-bad" | "delete-bad" | "hold" | "release-hold" as verb:
                self._order(verb, request, reply)
            case "rules":
                reply({"ok": True, **self._rule_counts()})
            case "states":
                self._ask_states(request.ids, reply)
            case "where":
                self._seek(request.id, reply)
            case "stop":
                self._stopping.append(reply)
                self._stop(now=request.now)
            case other:
                reply({"ok": False, "error": f"unknown command {other!r}"})

    def answered(self, answer: frames.CommandAnswer | frames.WhereAnswer | frames.StatesAnswer) -> None:
        """Pass on an answer of the queue manager: to a command, or where a message is."""
        if isinstance(answer, frames.WhereAnswer):
            self._seen(answer)
        elif isinstance(answer, frames.StatesAnswer):
            if (reply := self._orders.pop(answer.token, None)) is not None:
                reply({"ok": True, "states": list(answer.states)})
        elif (reply := self._orders.pop(answer.token, None)) is not None:
            reply({"ok": answer.ok, "text": answer.text})

    def _order(self, verb: str, request: CommandRequest, reply: Reply) -> None:
        """Send a command to the queue manager. If that dies over it, abandoned() answers."""
        id = request.id
        if id == 0 and verb not in OF_ALL:
            reply({"ok": False, "text": f"{id} is not the id of a message"})
        else:
            self._send(lambda token: frames.Order(token, verb, id, request.filter, request.until, request.reason), ANSWER_WITHIN, reply)

    def _ask_states(self, ids: tuple[int, ...], reply: Reply) -> None:
        """Ask the queue manager for the states of some messages."""
        self._send(lambda token: frames.StatesQuery(token, ids), SEEN_WITHIN, reply)

    def _send(self, frame: Callable[[int], frames.Order | frames.StatesQuery], within: float, reply: Reply) -> None:
        """Send the queue manager a frame with a new token. Its answer, or that of answered() after `within` seconds, goes to `reply`."""
        manager = self._engine.children.one("manager")
        if manager is None:
            reply({"ok": False, "text": "the queue manager is restarting: try again"})
            return
        token = next(self._tokens)
        self._orders[token] = reply
        manager.tell(frame(token))
        self._loop.after(within, lambda: self.answered(frames.CommandAnswer(token, False, "the queue manager does not answer")))

    def _seek(self, id: int, reply: Reply) -> None:
        """Ask the queue manager where a message is."""
        manager = self._engine.children.one("manager")
        if manager is None:
            reply({"ok": False, "text": "the queue manager is restarting"})
            return
        token = next(self._tokens)
        self._sought[token] = (id, reply)
        manager.tell(frames.Seek(token, id))
        self._loop.after(SEEN_WITHIN, lambda: self._unseen(token))

    def abandoned(self) -> None:
        """Answer open commands after the queue manager's death. Its successor does not get them."""
        for token in list(self._orders):
            self.answered(
                frames.CommandAnswer(
                    token, False, "the queue manager died during this command: check what became of the message, and try again"
                )
            )
        for token in list(self._sought):
            self._unseen(token)

    def _unseen(self, token: int) -> None:
        if (asked := self._sought.pop(token, None)) is not None:
            asked[1]({"ok": False, "text": "the queue manager does not answer"})

    def _seen(self, found: frames.WhereAnswer) -> None:
        """Answer with where the message is. The scoreboard shows which processor and filter work on it."""
        if (asked := self._sought.pop(found.token, None)) is None:
            return
        id, reply = asked
        engine = self._engine
        tasks = {child.birth.number: engine.board.task(child.birth.slot) for child in engine.children.of("processor")}
        now = where.document(found, id, tasks, engine.board.filters(), time.monotonic())
        reply({"ok": True, "engine": engine.shown_state, "now": now})

    def _reload(self, reply: Reply) -> None:
        self._take_config()
        file = self._engine.file
        if why := file.error or file.waiting:
            reply({"ok": False, "pending": not file.error, "error": why})
            return
        self._reloading.append((file.revision, time.monotonic() + IN_FORCE_WITHIN, reply))
        self._loop.after(IN_FORCE_WITHIN, self.in_force)
        self.in_force()

    def _rule_counts(self) -> Answer:
        """Return the rules that are on, in firing order, and how often the conditions of each held."""
        config = self._engine.file.config
        names = [config.rules[at].name for at in rules.order(config.rules)]
        counts = self._engine.board.rules.sums(names)
        return {"rules": [{"name": name, "met": met} for name, met in zip(names, counts, strict=False)]}

    def _status(self) -> Answer:
        engine = self._engine
        state = engine.shown_state
        base = str(engine.started.base)
        processors = engine.children.of("processor")
        document = status.document(state, base, os.getpid(), engine.born, engine.file, engine.board, processors, self._processors.why)
        failing = msgspec.to_builtins(engine.pauses.failing(time.monotonic()))
        return document | {"failing": failing, "steps": status.steps(engine.board, self._processors.slots)}
