"""Sessions of a milter door over real sockets, in one loop with their client. The host keeps what it gets and decides as a test says."""

import contextlib
import logging
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.config.doors import Door, ListenAddress
from enqueuer.doors.asking.decision import DoorDecision
from enqueuer.doors.asking.mail import AskedMail
from enqueuer.doors.asking.session import DoorSession
from enqueuer.doors.milter import session as module
from enqueuer.doors.milter import transaction
from enqueuer.doors.milter.session import MilterSession
from enqueuer.log.facts import Verdicts
from enqueuer.queue.message.client import RemoteClient
from filterlink.filters.servers import milterwire
from filterlink.filters.servers.milterpackets import packet, strings
from filterlink.log.complaints import Complaints
from filterlink.wire.link import serve
from filterlink.wire.loop import Loop

OFFER = packet(b"O", struct.pack("!III", 6, 0x1FF, 0x1FFFFF))
QUIET = 10.0
"""Seconds until a test gives up."""


def decided(**facts: Any) -> DoorDecision:
    values: dict[str, Any] = {"id": 7, "action": "accept", "disposition": "enqueued", "verdicts": Verdicts({}, {})}
    return DoorDecision(**(values | facts))


class KeptMessage:
    """A message of the host."""

    id = 7

    def __init__(self, host: "ListHost", mail: AskedMail) -> None:
        self.mail = mail
        self.data = b""
        self.cancelled = 0
        self.ended = False
        self.answer: Callable[[DoorDecision], None] | None = None
        self._host = host

    def write(self, data: bytes) -> None:
        self.data += data

    def submit(self, answer: Callable[[DoorDecision], None], lacks: Callable[[DoorDecision], str] | None = None) -> None:
        assert lacks is not None
        assert lacks(decided()) == ""
        self.answer = answer
        if self._host.decision is not None:
            self.ended = True
            answer(self._host.decision)

    def cancel(self) -> None:
        self.cancelled += 1


class ListHost:
    """A door that keeps its messages in a list, and decides at once if it has a decision."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.door = Door(name="postfix", kind="milter", listen=ListenAddress("inet:127.0.0.1:8891"))
        self.token = b""
        self.max_size = 1000
        self.messages: list[KeptMessage] = []
        self.decision: DoorDecision | None = decided()
        self.trouble = ""
        self.ends: list[DoorSession] = []
        self.clients: list[Mta] = []

    def begin(self, mail: AskedMail) -> KeptMessage:
        self.messages.append(KeptMessage(self, mail))
        return self.messages[-1]

    def overloaded(self) -> str:
        return self.trouble

    def ended(self, session: DoorSession) -> None:
        self.ends.append(session)

    def ready(self) -> list[str]:
        return []


MILTERTEST = """
conn = mt.connect("inet:%d@127.0.0.1")
assert(conn ~= nil)
assert(mt.test_action(conn, SMFIF_ADDHDRS))
assert(mt.test_action(conn, SMFIF_QUARANTINE))
assert(not mt.test_action(conn, SMFIF_CHGBODY))
assert(mt.test_option(conn, SMFIP_NR_BODY))
mt.macro(conn, SMFIC_CONNECT, "j", "here.example")
assert(mt.conninfo(conn, "mx.example", "192.0.2.1") == nil)
assert(mt.helo(conn, "helo.example") == nil)
for number = 1, 2 do
    mt.macro(conn, SMFIC_MAIL, "i", "Q" .. number, "{auth_authen}", "ann")
    assert(mt.mailfrom(conn, "<a@b>", "SIZE=12") == nil)
    assert(mt.rcptto(conn, "<c@d>") == nil)
    assert(mt.header(conn, "Subject", "x") == nil)
    assert(mt.eoh(conn) == nil)
    assert(mt.bodystring(conn, "line\\r\\n") == nil)
    assert(mt.eom(conn) == nil)
    assert(mt.getreply(conn) == SMFIR_ACCEPT or mt.getreply(conn) == SMFIR_CONTINUE)
    assert(mt.eom_check(conn, MT_HDRINSERT, "X-A", " 1"))
    assert(mt.eom_check(conn, MT_RCPTADD, "<e@f>"))
    assert(mt.eom_check(conn, MT_QUARANTINE, "odd"))
    mt.abort(conn)
end
mt.disconnect(conn)
"""


class Mta:
    """The client's end of a session."""

    def __init__(self, host: ListHost, overload: str = "", tcp: bool = False) -> None:
        self.host = host
        if tcp:
            listener = socket.create_server(("127.0.0.1", 0))
            self.sock = socket.create_connection(listener.getsockname())
            ours, _ = listener.accept()
            listener.close()
        else:
            self.sock, ours = socket.socketpair()
        self.sock.setblocking(False)
        host.clients.append(self)
        self.session = MilterSession(host, ours, "", overload)
        self.gone = False
        self._packets = milterwire.Packets()

    def say(self, *packets: bytes) -> None:
        data = memoryview(b"".join(packets))
        end = time.monotonic() + QUIET
        while data and time.monotonic() < end:
            try:
                data = data[self.sock.send(data) :]
            except BlockingIOError:
                self.host.loop.turn(0.01)
        self.turns()

    def turns(self) -> None:
        """Let the session read all that was sent."""
        for _ in range(3):
            self.host.loop.turn(0)

    def hears(self) -> tuple[bytes, bytes]:
        """Return the next packet; (b"", b"") when the session has closed its socket."""
        end = time.monotonic() + QUIET
        while (found := self._packets.take()) is None:
            assert time.monotonic() < end, "no answer"
            self.host.loop.turn(0.01)
            try:
                data = self.sock.recv(65536)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                data = b""
            if not data:
                self.gone = True
                return b"", b""
            self._packets.feed(data)
        return found

    def nothing(self) -> bool:
        """Return whether the session has sent nothing."""
        self.turns()
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return self._packets.take() is None
        return False

    def opens(self) -> "Mta":
        self.say(OFFER)
        assert self.hears()[0] == b"O"
        return self


@pytest.fixture
def host() -> Iterator[ListHost]:
    made = ListHost()
    yield made
    for client in made.clients:
        client.sock.close()
        client.session.close()
    made.loop.close()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return what sessions have logged."""
    monkeypatch.setattr(module, "_lines", Complaints(logging.getLogger("DOOR"), burst=10))
    return lambda: [record.getMessage() for record in caplog.records]


def macro(letter: bytes, *words: bytes) -> bytes:
    return packet(b"D", letter + strings(*words))


CONNECT = packet(b"C", b"mx.example\x004\x1f\x90192.0.2.1\0")
HELO = packet(b"H", b"helo.example\0")
MAIL = packet(b"M", strings(b"<a@b>", b"SIZE=12", b"BODY=8BITMIME"))
RCPT = packet(b"R", strings(b"<c@d>"))
SUBJECT = packet(b"L", strings(b"Subject", b" x\n\ty"))
END_OF_HEADER = packet(b"N")
BODY = packet(b"B", b"line\r\nline\r\n")
END = packet(b"E")
ABORT = packet(b"A")
QUIT = packet(b"Q")
MESSAGE = (MAIL, RCPT, SUBJECT, END_OF_HEADER, BODY, END)
DATA = b"Subject: x\n\ty\n\nline\nline\n"


# ---- a message


@pytest.mark.parametrize("tcp", [False, True])
def test_one_message_as_postfix_has_it(host: ListHost, tcp: bool) -> None:
    """The MTA's id comes after the envelope. Nothing but the end is answered."""
    mta = Mta(host, tcp=tcp).opens()
    mta.say(macro(b"C", b"j", b"here.example", b"v", b"Postfix 3.7.11"), CONNECT)
    mta.say(macro(b"H", b"{tls_version}", b"TLSv1.3", b"{cipher}", b"AES", b"{cipher_bits}", b"256"), HELO)
    mta.say(macro(b"M", b"{mail_addr}", b"a@b", b"{auth_authen}", b"ann"), MAIL)
    assert mta.session.busy
    mta.say(macro(b"R", b"{rcpt_addr}", b"c@d"), RCPT, macro(b"R", b"i", b"ABC"), packet(b"R", strings(b"<e@f>", b"ORCPT=rfc822;g+2Bx@h")))
    assert not host.messages
    mta.say(macro(b"L", b"i", b"ABC"), SUBJECT, macro(b"N", b"i", b"ABC"), END_OF_HEADER, macro(b"B", b"i", b"ABC"), BODY)
    mta.say(macro(b"E", b"i", b"ABC"))
    assert mta.nothing()
    mta.say(END)

    assert mta.hears() == (b"c", b"")
    assert not mta.session.busy
    (message,) = host.messages
    assert message.data == DATA
    assert message.mail == AskedMail(
        sender=b"a@b",
        recipients=(b"c@d", b"e@f"),
        client=RemoteClient("192.0.2.1", b"mx.example", b"helo.example", b"ann"),
        queue_id=b"ABC",
        tls=b"TLSv1.3 AES",
        esmtp=b"SIZE=12 BODY=8BITMIME",
        originals=((b"e@f", b"g+x@h"),),
    )
    mta.say(QUIT)
    assert mta.hears() == (b"", b"")
    assert host.ends == [mta.session]
    assert message.cancelled == 0


def test_nothing_of_a_message_reaches_the_next_one(host: ListHost) -> None:
    """Sender, recipients, account, id and answer are of one message; client and TLS stay."""
    mta = Mta(host).opens()
    mta.say(CONNECT, macro(b"H", b"{tls_version}", b"TLSv1.3"), HELO)
    host.decision = decided(fields=(b"X: 1",))
    mta.say(macro(b"M", b"i", b"A1", b"{auth_authen}", b"ann"), *MESSAGE)
    assert mta.hears()[0] == b"i"
    assert mta.hears()[0] == b"c"
    host.decision = decided()
    mta.say(ABORT, ABORT, packet(b"M", strings(b"<>")), packet(b"R", strings(b"<e@f>")), END)

    assert mta.hears() == (b"c", b"")
    first, second = host.messages
    assert first.mail.client.account == b"ann"
    assert second.data == b"\n"
    assert second.mail == AskedMail(
        sender=b"", recipients=(b"e@f",), client=RemoteClient("192.0.2.1", b"mx.example", b"helo.example"), tls=b"TLSv1.3"
    )


def test_a_mail_command_ends_the_message_before(host: ListHost) -> None:
    """Without an abort: the macros before MAIL are of the new one, all others are forgotten."""
    mta = Mta(host).opens()
    mta.say(macro(b"M", b"{auth_authen}", b"ann"), MAIL, RCPT, macro(b"L", b"i", b"A1"), SUBJECT)
    mta.say(macro(b"M", b"{auth_authen}", b"bob"), *MESSAGE)

    assert mta.hears() == (b"c", b"")
    first, second = host.messages
    assert first.cancelled == 1
    assert first.mail.queue_id == b"A1"
    assert (second.mail.client.account, second.mail.queue_id) == (b"bob", b"")
    assert second.data == DATA


def test_the_next_client_on_the_same_connection(host: ListHost) -> None:
    """After quit-new-connection nothing of the last client is left."""
    mta = Mta(host).opens()
    mta.say(CONNECT, macro(b"H", b"{tls_version}", b"TLSv1.3"), HELO, MAIL, packet(b"K"))
    mta.say(packet(b"C", b"localhost\0U"), *MESSAGE)

    assert mta.hears() == (b"c", b"")
    assert host.messages[0].mail.client == RemoteClient(name=b"localhost")
    assert host.messages[0].mail.tls == b""


def test_an_older_mta_gets_an_answer_to_each_command(host: ListHost) -> None:
    mta = Mta(host)
    mta.say(packet(b"O", struct.pack("!III", 2, 0x1F, 0x7F)))
    assert mta.hears() == (b"O", struct.pack("!III", 2, 0x1D, 0))
    for command in (CONNECT, HELO, MAIL, RCPT, packet(b"L", strings(b"Subject", b"x")), END_OF_HEADER, BODY, END):
        mta.say(macro(command[4:5]), command)
        assert mta.hears() == (b"c", b"")

    assert host.messages[0].data == b"Subject: x\n\nline\nline\n"


def test_all_bytes_come_as_they_are(host: ListHost) -> None:
    """Blanks before values, NUL, CR at the end of a packet, 8-bit, the end's own data."""
    mta = Mta(host).opens()
    mta.say(MAIL, RCPT, packet(b"L", b"A\0b\0c\0"), packet(b"L", b"B\0  \xe4\0"), packet(b"L", b"C\0\0"), END_OF_HEADER)
    mta.say(packet(b"B", b"a\r"), packet(b"B", b"\nb\r"), packet(b"B", b"c\0\xff\n\r"), packet(b"B", b"\r\n"), packet(b"B"))
    mta.say(packet(b"E", b"end\r"))

    assert mta.hears() == (b"c", b"")
    assert host.messages[0].data == b"A:bc\nB:  \xe4\nC:\n\na\nb\rc\0\xff\n\r\nend\r"


def test_a_header_field_in_pieces(host: ListHost) -> None:
    """Of 300 kB, sent in parts that end within its name, too."""
    host.max_size = 1 << 20
    mta = Mta(host).opens()
    field = packet(b"L", b"Long\0" + b" x\r\n" * 75_000 + b"\0")
    mta.say(MAIL, RCPT, field[:7])
    mta.say(field[7:9])
    mta.say(field[9:100_004])
    mta.say(field[100_004:], END_OF_HEADER, END)

    assert mta.hears() == (b"c", b"")
    assert host.messages[0].data == b"Long:" + b" x\n" * 75_000 + b"\n\n"


def test_clients_that_are_odd(host: ListHost) -> None:
    """What no envelope line can have is not known."""
    mta = Mta(host).opens()
    mta.say(packet(b"C", b"[1.2.3.4]\x004\0\0no address\0"), HELO, macro(b"M", b"i", b"A\nB", b"{auth_authen}", b"a b"), *MESSAGE)

    assert mta.hears() == (b"c", b"")
    assert host.messages[0].mail.client == RemoteClient(helo=b"helo.example")
    assert host.messages[0].mail.queue_id == b"AB"


@pytest.mark.server
def test_what_miltertest_says(host: ListHost, tmp_path: Path) -> None:
    """Debian's test client of milters, from the authors of OpenDKIM."""
    if shutil.which("miltertest") is None:
        pytest.skip("miltertest is not installed (package miltertest)")
    host.decision = decided(action="quarantine", text="odd", fields=(b"X-A: 1",), recipients=(b"e@f",))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        script = tmp_path / "script.lua"
        script.write_text(MILTERTEST % listener.getsockname()[1])
        serve(host.loop, listener, lambda sock: sessions.append(MilterSession(host, sock, "127.0.0.1", "")))
        sessions: list[MilterSession] = []
        with subprocess.Popen(["miltertest", "-s", str(script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as client:
            end = time.monotonic() + QUIET
            while (client.poll() is None or not host.ends) and time.monotonic() < end:
                host.loop.turn(0.01)
            client.kill()
            said = client.stdout.read() if client.stdout else ""
        host.loop.forget(listener.fileno())

    assert (client.returncode, said) == (0, "")
    assert [message.mail.queue_id for message in host.messages] == [b"Q1", b"Q2"]
    assert [message.data for message in host.messages] == [b"Subject: x\n\nline\n"] * 2
    assert host.ends == sessions


# ---- waiting for a decision


def test_an_mta_that_waits_is_kept_waiting(host: ListHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK", 0.01)
    monkeypatch.setattr(module, "SILENT", 0.05)
    host.decision = None
    mta = Mta(host).opens()
    mta.say(*MESSAGE)
    for _ in range(10):
        assert mta.hears() == (b"p", b"")
    answer = host.messages[0].answer
    assert answer is not None
    answer(decided(action="reject", status="550 5.7.1", text="VIRUS"))
    while (heard := mta.hears()) == (b"p", b""):
        pass

    assert heard == (b"y", b"550 5.7.1 VIRUS\0")
    assert not mta.session.busy


@pytest.mark.parametrize("last", [ABORT, packet(b"K"), QUIT, b""])
def test_an_mta_that_goes_while_it_waits(host: ListHost, last: bytes) -> None:
    """The message is cancelled. A decision that comes yet is not sent."""
    host.decision = None
    mta = Mta(host).opens()
    mta.say(*MESSAGE)
    (message,) = host.messages
    if last:
        mta.say(last)
    else:
        mta.sock.close()
        mta.turns()
    assert message.cancelled == 1
    assert not mta.session.busy
    assert message.answer is not None
    message.answer(decided(action="discard"))
    if last in (ABORT, packet(b"K")):
        assert mta.nothing()
        host.decision = decided()
        mta.say(*MESSAGE)
        assert mta.hears() == (b"c", b"")
    else:
        assert host.ends == [mta.session]


def test_commands_that_come_too_early_wait(host: ListHost) -> None:
    """Each message is answered in its turn, and no more than a piece of the rest is kept."""
    host.decision = None
    mta = Mta(host).opens()
    mta.say(*MESSAGE, *MESSAGE, *MESSAGE)
    for number in range(1, 4):
        mta.turns()
        assert len(host.messages) == number
        assert mta.nothing()
        answer = host.messages[-1].answer
        assert answer is not None
        answer(decided(action="tempfail", status="451 4.7.1", text=str(number)))
        assert mta.hears() == (b"y", b"451 4.7.1 %d\0" % number)

    assert [message.data for message in host.messages] == [DATA] * 3


def test_the_session_is_closed_while_it_waits(host: ListHost) -> None:
    host.decision = None
    mta = Mta(host).opens()
    mta.say(*MESSAGE)
    mta.session.close()
    mta.session.close()

    assert mta.hears() == (b"", b"")
    assert host.messages[0].cancelled == 1
    assert host.ends == [mta.session]


def test_a_decision_that_the_mta_does_not_allow(host: ListHost, lines: Callable[[], list[str]]) -> None:
    """The message is deferred, and the log says why."""
    host.decision = decided(action="quarantine")
    mta = Mta(host)
    mta.say(packet(b"O", struct.pack("!III", 6, 0x1, 0x1FFFFF)), *MESSAGE)
    mta.hears()

    assert mta.hears() == (b"y", b"451 4.3.5 the MTA does not let this milter hold messages\0")
    assert lines() == ["door postfix: message 7 is deferred: a local client does not let a milter hold messages"]


# ---- limits


@pytest.mark.parametrize(
    ("packets", "status", "text"),
    [
        ((MAIL, RCPT, BODY * 100, END), b"552 5.3.4", b"the message has more than 1000 bytes"),
        ((packet(b"M", b"<%b>\0" % (b"x" * 1001)), RCPT, SUBJECT, END), b"553 5.1.3", b"an address has at most 1000 bytes"),
        ((MAIL, packet(b"R", b"<a@b\n>\0"), SUBJECT, END), b"553 5.1.3", b"an address has at most 1000 bytes"),
        ((MAIL, RCPT * 4, SUBJECT, END), b"452 4.5.3", b"more than 3 recipients"),
        ((MAIL, RCPT, SUBJECT * 50, END), b"552 5.3.4", b"the header has more than 0 MiB"),
    ],
)
def test_what_is_too_much_is_refused_at_the_end(
    host: ListHost,
    monkeypatch: pytest.MonkeyPatch,
    lines: Callable[[], list[str]],
    packets: tuple[bytes, ...],
    status: bytes,
    text: bytes,
) -> None:
    """Nothing of it is kept. The next message is served."""
    monkeypatch.setattr(transaction, "MAX_RECIPIENTS", 3)
    monkeypatch.setattr(transaction, "MAX_HEADER", 500)
    mta = Mta(host).opens()
    mta.say(*packets)
    letter, data = mta.hears()
    assert letter == b"y"
    assert data.startswith(status + b" " + text)
    assert all(message.cancelled == 1 and len(message.data) <= 1000 for message in host.messages)
    assert len(lines()) == 1

    mta.say(ABORT, *MESSAGE)
    assert mta.hears() == (b"c", b"")


def test_no_room_is_a_reason_to_come_again(host: ListHost) -> None:
    host.trouble = "the disk is full"
    mta = Mta(host).opens()
    mta.say(*MESSAGE)

    assert mta.hears() == (b"y", b"451 4.3.2 the disk is full\0")
    assert not host.messages


@pytest.mark.parametrize("offer", [OFFER, packet(b"O", struct.pack("!III", 2, 0x1F, 0x7F))])
def test_a_session_too_many_is_answered_at_once(host: ListHost, lines: Callable[[], list[str]], offer: bytes) -> None:
    mta = Mta(host, overload="too many sessions, 100%")
    mta.say(offer)
    assert mta.hears()[0] == b"O"
    mta.say(CONNECT)

    assert mta.hears() == (b"y", b"421 4.3.2 too many sessions, 100%%\0")
    assert mta.hears() == (b"", b"")
    assert host.ends == [mta.session]
    assert lines() == ["door postfix: a local client is refused: too many sessions, 100%"]


@pytest.mark.parametrize(
    ("packets", "text"),
    [
        ((b"EHLO me\r\n",), "sends an unknown command"),
        ((b"\x16\x03\x01\x02\0\1\0\1\xfc",), "sends an unknown command"),
        ((MAIL,), "sends M before its options"),
        ((b"\0\0\0\5O\0\0\0\6",), "sends incomplete options"),
        ((packet(b"O", struct.pack("!III", 1, 0, 0)),), "sends version 1 of the milter protocol"),
        ((OFFER, OFFER), "sends options twice"),
        ((OFFER, b"\xff\xff\xff\xffC"), "sends a packet C of 4294967295 bytes"),
        ((OFFER, RCPT), "sends R without MAIL"),
        ((OFFER, END), "sends E without MAIL"),
        ((OFFER, MAIL, RCPT, SUBJECT, RCPT), "sends a recipient after the header"),
        ((OFFER, MAIL, RCPT, SUBJECT, BODY, SUBJECT), "sends a header field after the header"),
        ((OFFER, MAIL, RCPT, packet(b"L", b"Subject")), "sends a header field without a value"),
        ((OFFER, MAIL, RCPT, BODY * 200), "sends a message without an end"),
    ],
)
def test_nonsense_ends_the_connection(
    host: ListHost, monkeypatch: pytest.MonkeyPatch, lines: Callable[[], list[str]], packets: tuple[bytes, ...], text: str
) -> None:
    """With one line in the log. Other sessions go on."""
    monkeypatch.setattr(transaction, "ENDLESS", 1000)
    other = Mta(host).opens()
    mta = Mta(host)
    mta.say(*packets)
    while not mta.gone:
        mta.hears()
    other.say(*MESSAGE)

    assert other.hears() == (b"c", b"")
    assert host.ends == [mta.session]
    assert [message.cancelled for message in host.messages[:-1]] == [1] * (len(host.messages) - 1)
    assert lines() == [f"door postfix: a local client {text}: the connection is closed"]


def test_nonsense_while_a_decision_is_awaited(host: ListHost) -> None:
    host.decision = None
    mta = Mta(host).opens()
    mta.say(*MESSAGE, b"\0\0\0\0\0")

    assert mta.hears() == (b"", b"")
    assert host.messages[0].cancelled == 1


@pytest.mark.parametrize(
    ("packets", "text"),
    [
        ((), None),
        ((OFFER,), None),
        ((OFFER, CONNECT, MAIL, RCPT, b"\0"), "needs more than 0 s for a command"),
        ((OFFER, MAIL, RCPT, SUBJECT), "sends nothing for 0 s in the middle of a message"),
        ((OFFER, MAIL, RCPT), "has not sent the message that it began"),
    ],
)
def test_a_silent_client_is_left(
    host: ListHost, monkeypatch: pytest.MonkeyPatch, lines: Callable[[], list[str]], packets: tuple[bytes, ...], text: str | None
) -> None:
    """Between two messages without a word in the log: the MTA connects again."""
    for name in ("TICK", "SILENT", "IDLE", "ENVELOPE"):
        monkeypatch.setattr(module, name, 0.02)
    mta = Mta(host)
    mta.say(*packets)
    while not mta.gone:
        mta.hears()

    assert host.ends == [mta.session]
    assert lines() == ([f"door postfix: a local client {text}: the connection is closed"] if text else [])


@pytest.mark.parametrize("piece", [packet(b"B", b"x"), b"\0"])
def test_a_client_that_dribbles_is_left(
    host: ListHost, monkeypatch: pytest.MonkeyPatch, lines: Callable[[], list[str]], piece: bytes
) -> None:
    """One byte at a time, in one packet or in many."""
    monkeypatch.setattr(module, "TICK", 0.02)
    monkeypatch.setattr(module, "CONTENT" if piece[4:5] == b"B" else "SILENT", 0.2)
    mta = Mta(host).opens()
    mta.say(MAIL, RCPT, *((SUBJECT, END_OF_HEADER) if piece[4:5] == b"B" else (packet(b"M", b"x" * 9999)[:9],)))
    end = time.monotonic() + QUIET
    while not mta.session._closed:
        assert time.monotonic() < end
        mta.say(piece)
        host.loop.turn(0.005)

    assert lines()[-1].startswith("door postfix: a local client needs more than 0 s for a")


def test_a_client_that_says_much_is_no_dribbler(host: ListHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each read ends within a packet, and yet each packet is quick."""
    monkeypatch.setattr(module, "TICK", 0.01)
    monkeypatch.setattr(module, "SILENT", 0.3)
    host.max_size = 1 << 30
    mta = Mta(host).opens()
    mta.say(MAIL, RCPT, SUBJECT, END_OF_HEADER)
    body = packet(b"B", b"x" * 1000)
    data = body * 3
    end = time.monotonic() + 0.7
    at = 500
    mta.say(data[:at])
    while time.monotonic() < end:
        mta.say((data * 2)[at : at + len(body)])
    mta.say(data[at : len(body)], END)

    assert mta.hears() == (b"c", b"")


def test_memory_of_a_session(host: ListHost) -> None:
    """An MTA that goes on before the answer is not read on."""
    host.decision = None
    mta = Mta(host).opens()
    mta.say(*MESSAGE, MAIL)
    sent = 0
    mta.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    for _ in range(1000):
        try:
            sent += mta.sock.send(b"\0" * 65536)
        except BlockingIOError:
            break
        mta.turns()

    assert sent < 2 << 20
    assert len(mta.session._input._data) <= 65536 + 200


# ---- whatever comes

ODD = st.one_of(
    st.binary(max_size=40), st.sampled_from([b"<a@b>\0", b"Subject\0 x\0", b"Mi\0A\0", b"x\x004\0\x19192.0.2.1\0", b"x\r\n" * 400])
)
WORDS = st.lists(st.tuples(st.sampled_from("DCHMRTLNBEAKUMRLBEE"), ODD), max_size=30)


@given(WORDS, st.integers(1, 200), st.booleans(), st.sampled_from([6, 2]))
def test_no_order_of_commands_harms_the_process(commands: list[tuple[str, bytes]], step: int, at_once: bool, version: int) -> None:
    """Each message that has begun is answered or cancelled, and the session ends once."""
    host = ListHost()
    host.decision = decided(action="reject", status="550 5.7.1", text="no") if at_once else None
    mta = Mta(host)
    mta.say(packet(b"O", struct.pack("!III", version, 0x1FF, 0x1FFFFF if version == 6 else 0x3F)))
    data = b"".join(packet(letter.encode(), text) for letter, text in commands)
    for at in range(0, len(data), step):
        with contextlib.suppress(OSError):
            mta.sock.send(data[at : at + step])
        mta.turns()
        for each in host.messages:
            if each.answer is not None and not each.cancelled and not each.ended and step % 2:
                each.ended = True
                each.answer(decided())
    mta.sock.close()
    mta.session.close()
    host.loop.close()

    assert host.ends == [mta.session]
    assert not mta.session.busy
    for each in host.messages:
        assert each.cancelled <= 1
        assert each.cancelled or each.ended


def test_many_small_commands_take_several_turns(host: ListHost) -> None:
    """Else a few connections would keep the loop from all others."""
    host.max_size = 100_000
    mta = Mta(host).opens()
    fields = [packet(b"L", b"A\0b\0")] * (4 * module.COMMANDS)
    mta.sock.send(b"".join((packet(b"M", b"<a@b>\0"), packet(b"R", b"<c@d>\0"), *fields, packet(b"N"), packet(b"E"))))
    host.loop.turn(0)
    assert host.messages[0].data.count(b"A:") <= 2 * module.COMMANDS
    assert mta.hears()[0] == b"c"
    assert host.messages[0].data.count(b"A:") == 4 * module.COMMANDS
