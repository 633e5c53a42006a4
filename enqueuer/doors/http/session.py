"""Serve one HTTP connection with h11: one request after another. A message streams into its file; memory has one piece of it.

A client that is too slow, sends nonsense or leaves ends only its own session. If a request is refused before its body has come, the
answer is sent at once. The session then reads the rest of the body for a moment and drops it: a client that still sends would lose the
answer. A client that closes its sending side before it has the answer counts as gone.
"""

import logging
import socket
from email.utils import formatdate
from functools import partial
from http.client import responses

import h11

from enqueuer.doors.asking.decision import DoorDecision
from enqueuer.doors.asking.session import AskedMessagePort, DoorHost
from enqueuer.doors.asking.stream import PIECE, SessionStream
from enqueuer.doors.http import answers, openapi, request, rspamd
from enqueuer.doors.http.body import MessageBody
from enqueuer.doors.http.request import HttpHead, HttpRoute, RefusedRequest
from enqueuer.doors.http.watchdog import Watchdog
from enqueuer.queue.message import fields
from filterlink.log.complaints import Complaints

__all__ = ["HttpSession"]

log = logging.getLogger("DOOR")

HEAD_WITHIN = 10.0
"""Seconds for the head of a request, from its first byte or from the connection."""
PIECE_WITHIN = 30.0
BODY_WITHIN = 600.0
IDLE = 60.0
"""Seconds between two requests."""
LINGER = 5.0
"""Seconds for which the rest of a refused request is read."""
EVENTS = 200
"""Events of the HTTP parser in one turn of the loop: about 5 ms, for chunks of one byte."""
RETRY_AFTER = 10
"""Seconds after which a client of an overloaded door should try again."""
MAX_FAULT = 200
"""Characters of a fault in the answer: it quotes the client."""
JSON = "application/json"
NO_ROUTE = HttpRoute(b"", "")
_lines = Complaints(log, burst=10)
"""Of all sessions of the process: they are in one thread."""


class HttpSession:
    """A DoorSession."""

    def __init__(self, host: DoorHost, sock: socket.socket, peer: str, overload: str) -> None:
        self._host = host
        self._peer = peer or "a local client"
        self._unix = sock.family == socket.AF_UNIX
        self._overload = overload
        self._stream = SessionStream(host.loop, sock, self._received, self._gone)
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=PIECE)
        self._first = b""
        """The start of the first line, until it shows which protocol the client speaks."""
        self._text: bool | None = None
        """Whether the client speaks rspamd's text protocol; None = not known yet."""
        self._head: HttpHead | None = None
        self._route = NO_ROUTE
        self._port: AskedMessagePort | None = None
        self._body = MessageBody()
        self._waiting = False
        """The request is complete, and waits for its decision."""
        self._rest = False
        """A part of the request has not come yet."""
        self._lingers = False
        self._advancing = False
        self._ended = False
        self._watchdog = Watchdog(host.loop, self._late)
        self._watchdog.expect(HEAD_WITHIN)

    @property
    def busy(self) -> bool:
        return self._port is not None

    def close(self) -> None:
        self._end()

    # What comes

    def _received(self, data: bytes) -> None:
        if self._lingers or self._ended:
            return
        if self._text is None:
            data = self._first = self._first + data
            if (line := self._first_line(data)) is None:
                return
            data = line
            self._first = b""
        self._http.receive_data(data)
        self._advance()

    def _first_line(self, data: bytes) -> bytes | None:
        """Return the data for the HTTP parser; None if too little has come to know the protocol."""
        begin = rspamd.TEXT_BEGIN
        if data[: len(begin)] != begin[: len(data)]:
            self._text = False
            return data
        end = data.find(b"\n")
        if end < 0:
            return None if len(data) < PIECE else data
        self._text = True
        return rspamd.http_head(data[: end + 1]) + data[end + 1 :]

    def _advance(self) -> None:
        """Handle received data, up to a request that waits for its decision. Many small chunks take several turns of the loop."""
        if self._advancing or self._ended:
            return
        self._advancing = True
        for _ in range(EVENTS):
            if self._waiting or self._lingers or self._ended or not self._step():
                later = False
                break
        else:
            later = True
            self._host.loop.after(0, self._advance)
        self._advancing = False
        if not self._ended:
            self._stream.read(not (self._waiting or later))

    def _step(self) -> bool:
        """Handle one event, or refuse its request. Return whether there may be another event."""
        try:
            return self._next()
        except RefusedRequest as refusal:
            self._refuse(refusal)
        except h11.RemoteProtocolError as error:
            self._rest = True
            self._refuse(RefusedRequest(error.error_status_hint, f"this is not an HTTP request: {error}"[:MAX_FAULT]))
        return True

    def _next(self) -> bool:
        event = self._http.next_event()
        if isinstance(event, h11.Request):
            self._begin(event)
        elif isinstance(event, h11.Data):
            self._take(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            self._complete()
        elif event is h11.NEED_DATA:
            self._need()
            return False
        else:  # ConnectionClosed or PAUSED: neither can come here
            self._end()
        return True

    def _need(self) -> None:
        """Set the time until which the client must send more."""
        if self._port is not None:
            self._watchdog.expect(PIECE_WITHIN)
            if self._http.they_are_waiting_for_100_continue:
                self._stream.send(self._http.send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")) or b"")
        elif self._watchdog.expected == IDLE and self._http.trailing_data[0]:
            self._watchdog.expect(HEAD_WITHIN)

    # A request

    def _begin(self, event: h11.Request) -> None:
        head = self._head = HttpHead(event.method, event.target, event.http_version, tuple(event.headers))
        self._rest = head.has_body
        self._route = head.route()
        request.expect_allowed(head, inet=not self._unix)
        if not self._route.takes_message:
            return
        token = self._host.token
        proven = bool(token) and request.has_token(head, token)
        if token and not proven:
            raise RefusedRequest(401, "send the token of this door: Authorization: Bearer TOKEN", ("WWW-Authenticate", "Bearer"))
        if overload := self._overload or self._host.overloaded():
            raise RefusedRequest(503, overload, ("Retry-After", str(RETRY_AFTER)))
        request.expect_message(head, self._host.max_size)
        scan = self._route.name == "scan"
        mail = request.asked_mail(head) if scan else rspamd.asked_mail(head, trusted=self._unix or proven)
        self._body = MessageBody()
        self._port = self._host.begin(mail)
        self._watchdog.expect(PIECE_WITHIN, BODY_WITHIN)

    def _take(self, data: bytes) -> None:
        if self._port is None:
            return  # the body of a GET
        size = self._body.size + len(data)
        if size > self._host.max_size:
            raise request.too_large(self._host.max_size)
        self._port.write(self._body.feed(data))

    def _complete(self) -> None:
        self._rest = False
        port = self._port
        if port is None:
            self._answer_at_once()
            return
        port.write(self._body.end())
        self._waiting = True
        self._watchdog.clear()
        port.submit(partial(self._decided, port))

    def _answer_at_once(self) -> None:
        """Answer a request that is not about a message."""
        match self._route.name:
            case "ready" if missing := self._host.ready():
                self._send(503, answers.encode({"status": "not ready", "filters": missing}), ("Retry-After", str(RETRY_AFTER)))
            case "openapi":
                self._send(200, answers.encode(openapi.DOCUMENT))
            case "ping":
                self._send(200, b"pong\r\n", kind="text/plain")
            case name:
                self._send(200, answers.encode({"status": "ok" if name == "health" else "ready"}))

    def _decided(self, port: AskedMessagePort, decision: DoorDecision) -> None:
        if self._port is not port:
            return
        self._port = None
        self._waiting = False
        again = (("Retry-After", str(decision.retry_after)),) if decision.retry_after else ()
        if self._route.name == "scan":
            self._send(200, answers.scan_document(decision), *again)
        elif self._text:
            self._send_text(rspamd.text(decision, fields.message_id(self._body.start)))
        else:
            self._send(200, rspamd.document(decision, fields.message_id(self._body.start)), *again)
        self._advance()

    # What goes out

    def _refuse(self, refusal: RefusedRequest) -> None:
        """Answer a request without a decision."""
        self._cancel()
        said = str(refusal)
        name = self._host.door.name
        _lines.say(f"{name} {refusal.status}", f"door {name}: a request of {self._peer} is refused: {refusal.status} {said}")
        if self._text:
            self._send_text(rspamd.text_failure(said))
            return
        checks = self._route.name == "check"
        self._send(refusal.status, rspamd.undecided(said) if checks else answers.refused(said), *refusal.fields)

    def _send(self, status: int, body: bytes, *more: tuple[str, str], kind: str = JSON) -> None:
        """Send a response. The session goes on with the next request if this one is complete."""
        http = self._http
        head = self._head
        if head is not None and not head.has_body and http.their_state is h11.SEND_BODY:  # refused before its end was read
            http.next_event()
        fields = [("Date", formatdate(usegmt=True)), ("Content-Type", kind), ("Content-Length", str(len(body))), *more]
        if self._overload or self._rest:
            fields.append(("Connection", "close"))
        parts = [http.send(h11.Response(status_code=status, headers=fields, reason=responses[status].encode()))]
        if head is None or head.method != b"HEAD":
            parts.append(http.send(h11.Data(data=body)))
        parts.append(http.send(h11.EndOfMessage()))
        self._stream.send(b"".join(part for part in parts if part))
        self._go_on()

    def _go_on(self) -> None:
        """Wait for the next request, or for the rest of one that was refused, or end."""
        if self._ended:  # the peer does not read its answers
            return
        self._head = None
        self._route = NO_ROUTE
        if self._rest:
            self._lingers = True
            self._watchdog.expect(LINGER)
        elif self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
            self._watchdog.expect(IDLE)
        else:
            self._end(flush=True)

    def _send_text(self, answer: bytes) -> None:
        """Send an answer of the text protocol, and close: the client reads up to the end."""
        self._stream.send(answer)
        if self._rest:
            self._go_on()
        else:
            self._end(flush=True)

    # The end

    def _late(self) -> None:
        if self._port is None or self._lingers:
            self._end()  # nothing was asked, or the answer was sent
        else:
            self._refuse(RefusedRequest(408, "the message did not come in time"))

    def _gone(self) -> None:
        self._end()

    def _cancel(self) -> None:
        port = self._port
        self._port = None
        self._waiting = False
        self._watchdog.clear()
        if port is not None:
            port.cancel()

    def _end(self, *, flush: bool = False) -> None:
        if self._ended:
            return
        self._ended = True
        self._cancel()
        self._watchdog.stop()
        self._stream.close(flush=flush)
        self._host.ended(self)
