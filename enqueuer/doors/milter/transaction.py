"""The facts of a milter session: about its connection, and about one message of it. The next message begins without them."""

import re

from enqueuer.doors.asking.mail import AskedMail
from enqueuer.doors.asking.session import AskedMessagePort, DoorHost
from enqueuer.doors.milter.wire import BadPacket, MilterCommand, UnixLines, arguments, macros
from enqueuer.queue.message import session
from enqueuer.queue.message.client import NOBODY, ClientError, RemoteClient, given
from enqueuer.queue.message.header import MAX_ADDRESS, MAX_HEADER, MAX_RECIPIENTS

__all__ = ["ENDLESS", "MilterFacts", "MilterTransaction"]

ENDLESS = 1 << 30
"""Bytes above the largest message that are read, so that the MTA gets its answer. With more, the connection ends."""
MAX_ENVELOPE = 8 << 20
"""Bytes of all recipients of a message: 50,000 usual addresses are much less."""
MAX_ESMTP = 1000
MAX_MACROS = 8 << 10
"""Bytes of the macros before one command. Longer ones are not kept."""
_CONNECTION = (b"C", b"H")
_MESSAGE = (b"M", b"R", b"T", b"L", b"N", b"B", b"E")
"""Commands of one message, in their order. The macros of earlier commands stay for the whole connection."""
_UNSAFE = re.compile(rb"[^!-~]")
_NO_ADDRESS = re.compile(rb"[\0-\x1f\x7f<>]")


class MilterFacts:
    """The client of a connection, and the macros by the command that they came before."""

    def __init__(self) -> None:
        self._client = NOBODY
        self._helo = b""
        self._macros: dict[bytes, bytes] = {}
        """Unparsed: an MTA sends the same macros before each header field, and few are used."""

    def note(self, data: bytes) -> None:
        """Keep macros. They replace earlier ones for the same command."""
        if len(data) <= MAX_MACROS:
            self._macros[data[:1]] = data

    def connect(self, name: bytes, address: bytes) -> None:
        """Note the client. All facts about an earlier one are forgotten."""
        self.forget(_CONNECTION[1:] + _MESSAGE)
        self._helo = b""
        try:
            self._client = given(address, name)
        except ClientError:
            self._client = given(name=name)

    def greet(self, data: bytes) -> None:
        self._helo = arguments(data)[0]

    def forget(self, commands: tuple[bytes, ...] = _MESSAGE) -> None:
        """Forget the macros of a message, or of some commands."""
        for letter in commands:
            self._macros.pop(letter, None)

    def next_message(self) -> None:
        """Forget the last message, in case the MTA did not end it. Keep the macros for the new MAIL: they have come already."""
        self.forget(_MESSAGE[1:])

    @property
    def client(self) -> RemoteClient:
        client = self._client
        account = self._macro(b"auth_authen")
        try:
            session = given(helo=self._helo, account=account)
        except ClientError:  # no envelope line can have this account: filters see none
            session = given(helo=self._helo)
        return RemoteClient(client.address, client.name, session.helo, session.account)

    @property
    def queue_id(self) -> bytes:
        """Return the MTA's id. Postfix has it from the second recipient on, Sendmail from MAIL on."""
        return _UNSAFE.sub(b"", self._macro(b"i"))[:100]

    @property
    def tls(self) -> bytes:
        return b" ".join(_UNSAFE.sub(b"", value)[:100] for name in (b"tls_version", b"cipher") if (value := self._macro(name)))

    def _macro(self, name: bytes) -> bytes:
        """Return the value that came last."""
        for letter in reversed(_CONNECTION + _MESSAGE):
            if (data := self._macros.get(letter)) and name in data:
                values = macros(data)
                if value := values.get(name) or values.get(b"{%b}" % name):
                    return value
        return b""


class MilterTransaction:
    """One message from MAIL to the end of its body. A refusal is answered at the end: MTAs wait for an answer only there."""

    def __init__(self, host: DoorHost, data: bytes) -> None:
        sender, *parameters = arguments(data)
        self._host = host
        self._most = host.max_size
        self._recipients: list[bytes] = []
        self._originals: list[tuple[bytes, bytes]] = []
        self._envelope_size = 0
        self._size = 0
        self._lines = UnixLines()
        self._in_name = True
        self._in_header = True
        self._esmtp = b" ".join(_UNSAFE.sub(b"?", each) for each in parameters)[:MAX_ESMTP]
        self.port: AskedMessagePort | None = None
        self.refusal: tuple[str, str] | None = None
        """Status and text of the answer, if the message is refused without a scan."""
        self.begun = 0.0
        """Time of the loop at which the content began; 0 = not yet."""
        self._sender = self._path(sender)

    def _path(self, text: bytes) -> bytes:
        """Return an address without its brackets."""
        address = text[1:-1] if text[:1] == b"<" and text[-1:] == b">" else text
        if len(address) > MAX_ADDRESS or _NO_ADDRESS.search(address):
            self.refuse("553 5.1.3", f"an address has at most {MAX_ADDRESS} bytes, without brackets and control characters")
            return b""
        return address

    def recipient(self, data: bytes) -> None:
        if self.begun:
            raise BadPacket("a recipient after the header")
        self._envelope_size += len(data)
        if len(self._recipients) >= MAX_RECIPIENTS or self._envelope_size > MAX_ENVELOPE:
            self._recipients.clear()
            self._originals.clear()
            self.refuse("452 4.5.3", f"more than {MAX_RECIPIENTS} recipients")
        if self.refusal is None:
            address, *parameters = arguments(data)
            self._recipients.append(self._path(address))
            if original := session.original(parameters):
                self._originals.append((self._recipients[-1], original))

    def begin(self, facts: MilterFacts) -> None:
        """Begin the content. The MTA's id is known now."""
        self.begun = self._host.loop.now()
        if trouble := self._host.overloaded():
            self.refuse("451 4.3.2", trouble)
        if self.refusal is None:
            self.port = self._host.begin(
                AskedMail(
                    sender=self._sender,
                    recipients=tuple(self._recipients),
                    client=facts.client,
                    queue_id=facts.queue_id,
                    tls=facts.tls,
                    esmtp=self._esmtp,
                    originals=tuple(self._originals),
                )
            )

    def field(self, command: MilterCommand, leading_space: bool) -> None:
        """Take a header field, or a piece of one: name, NUL, value, NUL."""
        if not self._in_header:
            raise BadPacket("a header field after the header")
        data = command.data
        if self._in_name:
            name, nul, value = data.partition(b"\0")
            if nul:
                self._in_name = False
                data = b"%b:%b%b" % (name, b"" if leading_space else b" ", value)
        data = self._lines.take(data.replace(b"\0", b""))
        if command.whole:
            if self._in_name:
                raise BadPacket("a header field without a value")
            self._in_name = True
            data += self._lines.end() + b"\n"
        self._write(data)

    def end_header(self) -> None:
        if self._in_header:
            self._write(b"\n")
            self._in_header = False

    def body(self, data: bytes) -> None:
        self.end_header()
        if data := self._lines.take(data):
            self._write(data)

    def end(self) -> None:
        """Take the end of the message."""
        self.end_header()
        if rest := self._lines.end():
            self._write(rest)

    def refuse(self, status: str, text: str) -> None:
        """Refuse the message, if it is not refused yet. The rest of it is read and dropped."""
        if self.refusal is None:
            self.refusal = (status, text)
            self.cancel()

    def cancel(self) -> None:
        if self.port is not None:
            self.port.cancel()
            self.port = None

    def _write(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._most or (self._in_header and self._size > MAX_HEADER):
            self._refuse_size()
        if self.port is not None:
            self.port.write(data)

    def _refuse_size(self) -> None:
        if self._size > self._most + ENDLESS:
            raise BadPacket("a message without an end")
        if self._in_header and self._size > MAX_HEADER:
            self.refuse("552 5.3.4", f"the header has more than {MAX_HEADER >> 20} MiB")
        else:
            self.refuse("552 5.3.4", f"the message has more than {self._most} bytes")
