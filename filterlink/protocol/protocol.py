"""Read and write the helper protocol without any input or output: feed(bytes) gives events, commands are bytes. Pure.

It is tolerant in what it reads, because the helpers of 25 years deviate in every way, and exact in what it writes. It knows
lines and verdicts. The sender of the requests knows which numbers are outstanding.
"""

import re

import msgspec

from filterlink.protocol.strings import MAX_COMPLAINTS, check_address, check_fields, decode_report, take_quoted
from filterlink.wire.frames import MAX_TEXT, AnswerKind, FilterAnswer

__all__ = [
    "ASKED_FILE",
    "MAX_LINE",
    "MAX_ROUTES",
    "QUEUE_FILE",
    "VERSION",
    "Event",
    "HelperReply",
    "Interface",
    "Note",
    "Reader",
    "ServerReport",
    "file",
    "intf",
    "quit",
]

VERSION = 4
"""The interface version that INTF offers."""
MAX_LINE = 1 << 20
"""Bytes of the longest line kept. The protocol says 4096, and real helpers write more. A longer line is a fault of the helper."""
MAX_ROUTES = 100
"""Recipients that one answer may add. They travel in one frame with its fields."""
QUEUE_FILE = b"%d FILE Queue/%d.msg\n"
"""Format of a request, for a number and a message's id: ask for a verdict about this message in the queue."""
ASKED_FILE = b"%d FILE Asked/%d.msg\n"
"""The same for a message that a door asks about."""
MAX_TROUBLE = 1000
"""Characters kept of a report that a server does not answer."""
_SHOWN = 120
"""Bytes of a line that a complaint quotes."""

_HEAD = re.compile(rb"[ \t]*(\d{1,18})(?:[ \t]+|$)")
_WORD = re.compile(rb"[ \t]*([A-Za-z]+)")
_BARE = re.compile(rb"[ \t]*([^ \t]+)")
_VERSION = re.compile(rb"[ \t]*(\d{1,4})\b")
# Two threads of a helper that write at the same time produce "7 OK8 FAILURE" and then an empty line.
_GLUED = re.compile(rb"[ \t]*+(?=\d{1,18}[ \t]++(?:OK|ERROR|REJECTED|DISCARD|FAILURE|ADDHEADER|MIRRORTO|ADDROUTE|INTF)(?![A-Za-z]))", re.I)
_SERVER = re.compile(rb"\*[ \t]{1,9}(UNAVAILABLE|AVAILABLE)[ \t]*+(?=\"|\Z)")
_REPORTS = {b"ERROR": AnswerKind.ERROR, b"REJECTED": AnswerKind.REJECTED, b"FAILURE": AnswerKind.FAILURE}
_PLAIN = {b"OK": AnswerKind.OK, b"DISCARD": AnswerKind.DISCARD}
_OK = FilterAnswer(AnswerKind.OK)
_ROUTES = (b"MIRRORTO", b"ADDROUTE")


class HelperReply(msgspec.Struct, gc=False):
    """A numbered answer. `line` is the unchanged line, for the first answer on a line; it is empty for the others."""

    number: int
    answer: FilterAnswer
    complaints: tuple[str, ...] = ()
    line: bytes = b""


class Interface(msgspec.Struct, gc=False):
    """The answer to INTF."""

    number: int
    version: int
    line: bytes = b""


class Note(msgspec.Struct, gc=False):
    """A line that answers nothing: information if `complaint` is empty, else a problem to log."""

    line: bytes
    complaint: str = ""


class ServerReport(Note, kw_only=True, gc=False):
    """An information line by which a helper reports that its server does not answer. It is our extension of the protocol."""

    trouble: str
    """What is wrong; "" = the server answers again."""


Event = HelperReply | Interface | Note


def intf(number: int, version: int = VERSION) -> bytes:
    return b"%d INTF %d\n" % (number, version)


def file(number: int, path: str) -> bytes:
    """Ask for a verdict. The path is not quoted, because no known helper unquotes it. So it must have no blanks."""
    return b"%d FILE %b\n" % (number, path.encode())


def quit(number: int) -> bytes:
    return b"%d QUIT\n" % number


class Reader:
    """Turn the output of a helper into events. Each byte is searched once; at most `max_line` bytes of one line are kept."""

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self._max = max_line
        self._partial = bytearray()
        self._cut = False

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that these bytes complete."""
        events: list[Event] = []
        for at in range(0, len(data), self._max):
            self._feed(data[at : at + self._max], events)
        return events

    def finish(self) -> Note | None:
        """Return a note about an incomplete last line: the helper is gone. Such a line is not an answer, as its end may be missing."""
        rest = bytes(self._partial)
        self._partial = bytearray()
        return Note(rest, f"ended in the middle of a line: {_show(rest)}") if rest else None

    def _feed(self, data: bytes, events: list[Event]) -> None:
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._partial:
            self._add(lines[0], events)
            lines[0] = bytes(self._partial)
            self._partial.clear()
            if self._cut:
                events += _parse_cut(lines.pop(0))
            self._cut = False
        for line in lines:
            number, _, answer = line.partition(b" ")
            if answer == b"OK" and number.isdigit() and len(number) <= 18:  # by far the most frequent line
                events.append(HelperReply(int(number), _OK, (), line))
            else:
                events += _parse(line)
        if rest:
            self._add(rest, events)

    def _add(self, piece: bytes, events: list[Event]) -> None:
        room = self._max - len(self._partial)
        self._partial += piece[:room]
        if len(piece) > room and not self._cut:
            self._cut = True
            events.append(Note(b"", f"line of more than {self._max} bytes, the rest of the line is thrown away"))


def _show(line: bytes) -> str:
    return repr(line[:_SHOWN])[1:]


def _parse_cut(line: bytes) -> list[Event]:
    """Parse a line whose end was dropped. Such a line lets no message pass: its verdict may have been at its end."""
    events = _parse(line)
    for event in events:
        if isinstance(event, HelperReply) and event.answer.kind is AnswerKind.OK:
            event.answer = FilterAnswer(AnswerKind.INVALID, "the line is too long")
    return events


def _parse(line: bytes) -> list[Event]:
    """Return all answers on a line. The line is never cut into pieces: a megabyte of glued answers must take linear time."""
    text = line.rstrip(b"\r")
    if not text.strip():
        return []
    events: list[Event] = []
    at: int | None = 0
    while at is not None:
        event, at = _parse_one(text, at)
        events.append(event)
    events[0].line = text
    return events


def _parse_one(text: bytes, at: int) -> tuple[Event, int | None]:
    """Return the answer that begins at `at`, and where an answer begins that is glued to it."""
    head = _HEAD.match(text, at)
    if head is None:
        if at == 0 and (report := _SERVER.match(text)) is not None:
            return _server_report(text, report), None
        information = text.lstrip().startswith(b"*")
        return Note(b"", "" if information else f"line without a number: {_show(text)}"), None
    word = _WORD.match(text, head.end())
    if word and word[1].upper() == b"INTF" and (version := _VERSION.match(text, word.end())):
        return Interface(int(head[1]), int(version[1])), _glued(text, version.end())
    return _Answer(text, at, head.end()).read(int(head[1]))


def _server_report(text: bytes, head: re.Match[bytes]) -> ServerReport:
    quoted = take_quoted(text, head.end())
    trouble = decode_report(quoted[0]) if quoted else ""
    return ServerReport(b"", trouble="" if head[1] == b"AVAILABLE" else trouble[:MAX_TROUBLE] or "its server does not answer")


def _glued(text: bytes, at: int) -> int | None:
    match = _GLUED.match(text, at)
    return match.end() if match else None


class _Answer:
    """A cursor over the modifiers and the verdict of one answer."""

    def __init__(self, text: bytes, start: int, at: int) -> None:
        self.text = text
        self.start = start
        self.at = at
        self.fields: list[bytes] = []
        self.complaints: list[str] = []
        self.routes: list[bytes] = []
        self.copies: list[bytes] = []
        self.refused = 0  # recipients over MAX_ROUTES
        self.room = MAX_TEXT

    def read(self, number: int) -> tuple[HelperReply, int | None]:
        modified = False
        while (verb := self._word()) == b"ADDHEADER" or verb in _ROUTES:
            self._modify(verb)
            modified = True
        kind, report, rest = self._verdict(verb, modified)
        if self.refused:
            self.complaints.insert(0, f"{self.refused} recipients and copies refused: an answer adds at most {MAX_ROUTES}")
        complaints = tuple(self.complaints[:MAX_COMPLAINTS])
        answer = FilterAnswer(kind, report, tuple(self.fields), routes=tuple(self.routes), copies=tuple(self.copies))
        return HelperReply(number, answer, complaints), rest

    def _complain(self, text: str, quoted: bytes) -> None:
        if len(self.complaints) < MAX_COMPLAINTS:
            self.complaints.append(f"{text}: {_show(quoted)}")

    def _line(self) -> bytes:
        return self.text[self.start : self.start + _SHOWN]

    def _word(self) -> bytes:
        match = _WORD.match(self.text, self.at)
        if match is None:
            return b""
        self.at = match.end()
        return match[1].upper()

    def _modify(self, verb: bytes) -> None:
        if verb == b"ADDHEADER":
            fields, complaints = check_fields(self._rest_or_quoted(), self.room)
            self.fields += fields
            self.room -= sum(map(len, fields)) + len(fields)
            self.complaints += complaints[: MAX_COMPLAINTS - len(self.complaints)]
        else:
            self._route(verb.decode(), self._bare_or_quoted())

    def _route(self, verb: str, text: bytes) -> None:
        try:
            address = check_address(text)
        except ValueError as error:
            self._complain(f"address of {verb} refused, {error}", text)
            return
        if len(self.routes) + len(self.copies) < MAX_ROUTES:
            (self.copies if verb == "MIRRORTO" else self.routes).append(address)
        else:
            self.refused += 1

    def _verdict(self, verb: bytes, modified: bool) -> tuple[AnswerKind, str, int | None]:
        if verb in _PLAIN:
            return _PLAIN[verb], "", _glued(self.text, self.at)
        if verb in _REPORTS:
            if (glued := _glued(self.text, self.at)) is not None:
                return _REPORTS[verb], "", glued
            return _REPORTS[verb], decode_report(self._rest_or_quoted()), _glued(self.text, self.at)
        if modified and not verb:  # up to version 3 a modifier alone is an answer
            glued = _glued(self.text, self.at)
            if glued is not None or not self.text[self.at :].strip():
                return AnswerKind.OK, "", glued
        if verb == b"FILE":  # some helpers echo the request when they have no verdict
            self._complain("the helper answered with the request itself, which counts as FAILURE", self._line())
            return AnswerKind.FAILURE, "", None
        self._complain("not an answer of the protocol", self._line())
        said = self._line().lstrip(b" \t").partition(b" ")[2]
        return AnswerKind.INVALID, f"not an answer of the protocol: {_show(said)}", None

    def _rest_or_quoted(self) -> bytes:
        """Return a quoted string, or else the rest of the line."""
        while self.text[self.at : self.at + 1] in (b" ", b"\t"):
            self.at += 1
        if (quoted := take_quoted(self.text, self.at)) is not None:
            value, self.at = quoted
            return value
        value = self.text[self.at :]
        self.at = len(self.text)
        if value.startswith(b'"'):
            self._complain("string without a closing quote", self._line())
            return value[1:]
        return value.rstrip(b" \t")

    def _bare_or_quoted(self) -> bytes:
        """Return a quoted string, or else the next word."""
        match = _BARE.match(self.text, self.at)
        if match is None or match[1].startswith(b'"'):
            return self._rest_or_quoted()
        self.at = match.end()
        return match[1]
