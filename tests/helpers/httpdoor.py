"""A door of a test: it serves HttpSession on a real socket in a thread, keeps what was written, and decides as the test says."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from enqueuer.config.doors import Door, ListenAddress
from enqueuer.doors.asking.decision import DoorDecision, PartDecision
from enqueuer.doors.asking.mail import AskedMail
from enqueuer.doors.asking.session import DoorSession
from enqueuer.doors.http.session import HttpSession
from enqueuer.lab.trial import wait
from enqueuer.log.facts import Verdicts
from filterlink.wire.frames import AnswerKind, FilterAnswer
from filterlink.wire.loop import Loop

__all__ = ["ACCEPT", "HttpDoor", "decision", "served", "until"]

Decide = Callable[["AskedMessage"], DoorDecision | None]


def decision(**changes: object) -> DoorDecision:
    """Make a decision: accepted, with the answer of one filter."""
    return msgspec.structs.replace(ACCEPT, **changes)


ACCEPT = DoorDecision(
    id=100000000000000017,
    action="accept",
    disposition="enqueued",
    fields=(b"X-Second: b\n\tfolded", b"X-First: a"),
    recipients=(b"carl@c.example",),
    parts=(
        PartDecision((b"bob@b.example", b"carl@c.example"), "enqueued"),
        PartDecision((b"dora@d.example",), "discarded", "why"),
    ),
    verdicts=Verdicts({"VirusScan": FilterAnswer(AnswerKind.OK)}, {"VirusScan": 0.25}),
    trail=("rule scan everything", "VirusScan: OK"),
)


def until(condition: Callable[[], object]) -> None:
    wait(condition, 10.0, "the condition")


class AskedMessage:
    """An AskedMessagePort. Of a large message only the length and the first 64 KiB are kept."""

    def __init__(self, id: int, mail: AskedMail, host: "HttpDoor") -> None:
        self.id = id
        self.mail = mail
        self.data = bytearray()
        self.length = 0
        self.cancelled = False
        self.submitted = False
        self.answer: Callable[[DoorDecision], None] | None = None
        self._host = host

    def write(self, data: bytes) -> None:
        self.length += len(data)
        self.data += data[: max(0, (64 << 10) - len(self.data))]

    def submit(self, answer: Callable[[DoorDecision], None], lacks: Callable[[DoorDecision], str] | None = None) -> None:
        self.submitted = True
        if (decided := self._host.decide(self)) is not None:
            answer(decided)
        else:
            self.answer = answer

    def cancel(self) -> None:
        self.cancelled = True


class HttpDoor:
    """A DoorHost, with a listener and a loop of its own."""

    def __init__(self, listener: socket.socket) -> None:
        self.loop = Loop()
        self.door = Door(name="web", kind="http", listen=ListenAddress("inet:127.0.0.1:80"))
        self.token = b""
        self.max_size = 1 << 20
        self.full = ""
        self.refuse = ""
        self.missing: list[str] = []
        self.decide: Decide = lambda _: ACCEPT
        self.mails: list[AskedMessage] = []
        self.sessions: set[DoorSession] = set()
        self.seen = 0
        self._listener = listener
        self.loop.watch(listener.fileno(), self._accept)

    def _accept(self, events: int) -> None:
        sock, _ = self._listener.accept()
        self.seen += 1
        peer = "127.0.0.1" if sock.family == socket.AF_INET else ""
        self.sessions.add(HttpSession(self, sock, peer, self.refuse))

    def begin(self, mail: AskedMail) -> AskedMessage:
        self.mails.append(AskedMessage(ACCEPT.id + len(self.mails), mail, self))
        return self.mails[-1]

    def overloaded(self) -> str:
        return self.full

    def ended(self, session: DoorSession) -> None:
        self.sessions.remove(session)

    def ready(self) -> list[str]:
        return self.missing


@contextlib.contextmanager
def served(path: Path | None = None) -> Iterator[tuple[HttpDoor, str]]:
    """Serve a door on a free port of loopback, or on a unix socket. Yield it and its port or path."""
    with socket.socket(socket.AF_INET if path is None else socket.AF_UNIX) as listener:
        listener.bind(("127.0.0.1", 0) if path is None else str(path))
        listener.listen(1024)
        door = HttpDoor(listener)
        stop = threading.Event()

        def run() -> None:
            while not stop.is_set():
                door.loop.turn(0.01)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield door, str(listener.getsockname()[1] if path is None else path)
        finally:
            stop.set()
            thread.join()
            for session in list(door.sessions):
                session.close()
            door.loop.close()
