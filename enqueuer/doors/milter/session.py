"""Serve one connection of an MTA to a milter door: the MTA sends a message, and gets one answer, at the message's end.

The MTA keeps the message. So after any fault the session ends the connection, and the MTA defers the message (Postfix:
milter_default_action). Commands that come while a message waits for its decision are answered later, in their order.
"""

import functools
import logging
import socket
from collections.abc import Callable

from enqueuer.doors.asking.decision import DoorDecision
from enqueuer.doors.asking.session import DoorHost
from enqueuer.doors.asking.stream import SessionStream
from enqueuer.doors.milter.transaction import MilterFacts, MilterTransaction
from enqueuer.doors.milter.wire import (
    CONTINUE,
    PROGRESS,
    BadPacket,
    MilterCommand,
    MilterInput,
    MilterOptions,
    answer,
    connection,
    missing,
    negotiate,
    reply,
)
from filterlink.log.complaints import Complaints

__all__ = ["MilterSession"]

log = logging.getLogger("DOOR")

TICK = 5.0
"""Seconds between two looks at the clock. An MTA that waits for a decision gets a progress packet each time."""
SILENT = 60.0
"""Seconds without a byte in the middle of a message, before the options, and for one packet."""
CONTENT = 600.0
"""Seconds for the header and body of a message, which the MTA has on its disk."""
IDLE = 600.0
"""Seconds without a byte between two messages. The MTA connects again."""
ENVELOPE = 4 * 3600.0
"""Seconds between recipients and header. Meanwhile the MTA's client sends the message, maybe on a slow line."""
COMMANDS = 500
"""Commands of one connection in one turn of the loop: about 5 ms. A piece of what was read can have 13,000."""
BURST = 10
_INTERRUPTS = (b"A", b"Q", b"K")
_lines = Complaints(log, burst=BURST)
"""Of all sessions of the process: they are in one thread."""


class MilterSession:
    """One connection, with one message at a time."""

    def __init__(self, host: DoorHost, sock: socket.socket, peer: str, overload: str) -> None:
        self._host = host
        self._peer = peer or "a local client"
        self._overload = overload
        self._input = MilterInput()
        self._options: MilterOptions | None = None
        self._answered: frozenset[bytes] = frozenset()
        """Commands for which this MTA waits for an answer. Postfix and Sendmail of today wait only in a refused session."""
        self._leading_space = False
        self._facts = MilterFacts()
        self._message: MilterTransaction | None = None
        self._waiting = False
        """The message is complete, and waits for its decision."""
        self._running = False
        self._closed = False
        self._heard = host.loop.now()
        self._packet_since = 0.0
        """Time at which the incomplete packet began; 0 = there is none."""
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._stream = SessionStream(host.loop, sock, self._received, self.close)
        self._timer = host.loop.after(TICK, self._tick)

    @property
    def busy(self) -> bool:
        return self._message is not None

    def close(self, *, flush: bool = False) -> None:
        """Close now, or with `flush` when all answers are sent. Cancel the message, and call host.ended once."""
        if self._closed:
            return
        self._closed = True
        self._timer.cancel()
        self._drop()
        self._stream.close(flush=flush)
        self._host.ended(self)

    def _complain(self, kind: str, text: str) -> None:
        name = self._host.door.name
        _lines.say(f"{name} {kind}", f"door {name}: {text}")

    # ---- input

    def _received(self, data: bytes) -> None:
        self._heard = self._host.loop.now()
        self._input.feed(data)
        self._run()

    def _run(self) -> None:
        """Handle the commands that may be handled now. Many of them take several turns of the loop."""
        if self._running or self._closed:
            return
        self._running = True
        try:
            completed, more = self._handle_some()
            waits = self._waiting and self._input.peek() not in (b"", *_INTERRUPTS)
        except BadPacket as fault:
            self._complain("bad", f"{self._peer} sends {fault}: the connection is closed")
            self.close()
            return
        finally:
            self._running = False
        if self._closed:
            return
        if completed or not self._input.partial:
            self._packet_since = self._heard if self._input.partial else 0.0
        self._packet_since = self._packet_since or (self._heard if self._input.partial else 0.0)
        self._stream.read(not (waits or more))
        if more:
            self._host.loop.after(0, self._run)

    def _handle_some(self) -> tuple[bool, bool]:
        """Return whether a packet was completed, and whether there may be more commands."""
        completed = False
        for _ in range(COMMANDS):
            if self._closed or (self._waiting and self._input.peek() not in _INTERRUPTS):
                return completed, False
            if (command := self._input.take()) is None:
                return completed, False
            completed = completed or command.whole
            if self._options is None and command.letter != b"O":
                raise BadPacket(f"{command.letter.decode()} before its options")
            _HANDLERS[command.letter](self, command)
            if command.letter in self._answered and command.whole and not self._closed:
                self._stream.send(CONTINUE)
        return completed, True

    # ---- commands of the connection

    def _negotiate(self, command: MilterCommand) -> None:
        if self._options is not None:
            raise BadPacket("options twice")
        self._options, packet = negotiate(command.data, answer_connect=bool(self._overload))
        self._answered = self._options.answered
        self._leading_space = self._options.leading_space
        self._stream.send(packet)

    def _note(self, command: MilterCommand) -> None:
        self._facts.note(command.data)

    def _connect(self, command: MilterCommand) -> None:
        self._drop()
        self._facts.connect(*connection(command.data))
        if self._overload:
            self._complain("overload", f"{self._peer} is refused: {self._overload}")
            self._stream.send(reply("421 4.3.2", self._overload))
            self.close(flush=True)

    def _helo(self, command: MilterCommand) -> None:
        self._facts.greet(command.data)

    def _ignore(self, command: MilterCommand) -> None:
        pass

    def _abort(self, _command: MilterCommand) -> None:
        """Forget the message: the client has left or has sent RSET."""
        self._drop()
        self._facts.forget()

    def _new_connection(self, _command: MilterCommand) -> None:
        """Forget the client: the MTA uses the connection for the next one."""
        self._drop()
        self._facts = MilterFacts()

    def _quit(self, _command: MilterCommand) -> None:
        self.close(flush=True)

    # ---- commands of a message

    def _mail(self, command: MilterCommand) -> None:
        self._drop()
        self._facts.next_message()
        self._message = MilterTransaction(self._host, command.data)

    def _recipient(self, command: MilterCommand) -> None:
        self._transaction(command).recipient(command.data)

    def _field(self, command: MilterCommand) -> None:
        self._content(command).field(command, self._leading_space)

    def _end_of_header(self, command: MilterCommand) -> None:
        self._content(command).end_header()

    def _body(self, command: MilterCommand) -> None:
        self._content(command).body(command.data)

    def _end_of_message(self, command: MilterCommand) -> None:
        message = self._content(command)
        if command.data:
            message.body(command.data)
        message.end()
        if message.refusal is not None or message.port is None or self._options is None:
            self._refuse(message)
            return
        self._waiting = True
        message.port.submit(functools.partial(self._decided, message), functools.partial(missing, options=self._options))

    def _transaction(self, command: MilterCommand) -> MilterTransaction:
        if self._message is None:
            raise BadPacket(f"{command.letter.decode()} without MAIL")
        return self._message

    def _content(self, command: MilterCommand) -> MilterTransaction:
        message = self._transaction(command)
        if not message.begun:
            message.begin(self._facts)
        return message

    def _drop(self) -> None:
        """Cancel the message, if there is one."""
        if self._message is not None:
            self._message.cancel()
        self._message = None
        self._waiting = False

    # ---- answers

    def _refuse(self, message: MilterTransaction) -> None:
        status, text = message.refusal or ("451 4.3.0", "")
        self._complain(status, f"a message of {self._peer} is refused: {status} {text}")
        self._finish(reply(status, text))

    def _decided(self, message: MilterTransaction, decision: DoorDecision) -> None:
        if self._closed or message is not self._message or self._options is None:
            return
        if lack := missing(decision, self._options):
            self._complain("lack", f"message {decision.id} is deferred: {self._peer} does not let a milter {lack}")
        message.port = None
        self._finish(answer(decision, self._options))
        self._run()

    def _finish(self, packets: bytes) -> None:
        self._drop()
        self._facts.forget()
        self._stream.send(packets)

    # ---- time

    def _tick(self) -> None:
        now = self._host.loop.now()
        if self._waiting:
            self._stream.send(PROGRESS)
        elif late := self._late(now):
            if late != "idle":
                self._complain("late", f"{self._peer} {late}: the connection is closed")
            self.close()
        if not self._closed:
            self._timer = self._host.loop.after(TICK, self._tick)

    def _late(self, now: float) -> str:
        """Return why the connection must end."""
        silent = now - self._heard
        if self._packet_since and now > self._packet_since + SILENT:
            return f"needs more than {SILENT:.0f} s for a command"
        if self._message is not None and self._message.begun:
            if silent > SILENT:
                return f"sends nothing for {SILENT:.0f} s in the middle of a message"
            return f"needs more than {CONTENT:.0f} s for a message" if now > self._message.begun + CONTENT else ""
        if self._message is not None:
            return "has not sent the message that it began" if silent > ENVELOPE else ""
        return "idle" if silent > (SILENT if self._options is None else IDLE) else ""


_HANDLERS: dict[bytes, Callable[[MilterSession, MilterCommand], None]] = {
    b"O": MilterSession._negotiate,
    b"D": MilterSession._note,
    b"C": MilterSession._connect,
    b"H": MilterSession._helo,
    b"M": MilterSession._mail,
    b"R": MilterSession._recipient,
    b"T": MilterSession._ignore,
    b"U": MilterSession._ignore,
    b"L": MilterSession._field,
    b"N": MilterSession._end_of_header,
    b"B": MilterSession._body,
    b"E": MilterSession._end_of_message,
    b"A": MilterSession._abort,
    b"K": MilterSession._new_connection,
    b"Q": MilterSession._quit,
}
