"""Check a helper against the rules of the helper protocol, which are a table here. Pure: lines in, broken rules out.

protocol.py reads tolerantly, because mail must go on. This module is strict, for people who write helpers: it reports each
deviation, even one that every server accepts. docs/helper-protocol.md has the same table.
"""

import re
from collections.abc import Iterator

import msgspec

from filterlink.protocol.protocol import VERSION, HelperReply, Interface, Note, Reader
from filterlink.protocol.strings import check_fields, take_quoted

__all__ = ["CHAOS", "LONGEST", "RULES", "BrokenRule", "Referee", "faults"]

LONGEST = 4096
"""Bytes of an answer. We read longer answers; the original server promises no more than this."""

RULES = {
    "intf": "INTF is answered with `n INTF v`, before anything else is sent, within ten seconds",
    "version": "the version answered is a number from 1 to the one offered",
    "number": "a line begins with the number of the request that it answers, or with `*` for information",
    "unasked": "a number without a request is not answered",
    "once": "each request is answered once",
    "time-out": "each request is answered within the filter's time-out",
    "flush": "each answer is flushed at once: by default most languages write to a pipe in blocks",
    "verdict": "the answer to FILE is OK, ERROR, REJECTED, DISCARD or FAILURE; modifiers before OK are ADDHEADER, MIRRORTO, ADDROUTE",
    "capitals": "words of the protocol are in capitals",
    "blanks": "there is one blank between the words of an answer, and none at its ends",
    "quotes": "the text of ADDHEADER, ERROR, REJECTED and FAILURE is in double quotes",
    "string-end": "a string ends with a quote, on the line that it began on",
    "escape": 'inside quotes a backslash is followed by " \\ e n r or t; an apostrophe needs none',
    "fields": "ADDHEADER has header fields `Name: value`, between them \\e, a continued line begins with a blank or tab",
    "ok-last": "from version 4 on modifiers are followed by OK",
    "nothing-after": "nothing follows the verdict (and its text, if it has one)",
    "one-answer": "a line has one answer: threads write whole lines, one at a time",
    "length": "an answer has at most 4096 bytes",
    "line-feed": "a line ends with a line feed alone, without a carriage return",
    "empty-line": "there are no empty lines",
    "whole-line": "the last line is written to its end before the program ends",
    "stays": "the program does not end while requests are open, except with exit status 0: then the next process gets them",
    "pipes": "standard input and output stay open until the program ends",
    "queue-file": "the message file is read, never written, renamed or removed",
    "stderr": "standard error is for a few last lines: more than 64 KiB block the program if the server does not read them",
    "quit": "QUIT is answered with `n OK`",
    "quit-last": "open requests are answered before QUIT, and nothing after it",
    "ends": "the program ends within five seconds of QUIT's answer and the end of its input",
    "status": "after QUIT the exit status is 0",
    "burst": "all requests in the pipe are read, even if many came in one piece",
    "key": "KEY is answered, usually with OK",
    "unknown": "an unknown command is answered too, usually with FAILURE",
    "missing": "a file that cannot be read is not answered with OK: REJECTED defers it, FAILURE lets it pass and logs a problem",
}
"""Every rule that can be broken, by the name in the report."""
CHAOS = ("burst", "key", "unknown", "missing")
"""Rules that only a test with `--chaos` can find broken: usual requests do not touch them."""

LOOKED_AT = 16 << 10
"""Bytes. For a longer line only the length is reported: the rules below take more than linear time."""
_SHOWN = 100
_STRING = rb'"(?:[^"\\\x00-\x1f\x7f]|\\["\\enrt])*+"'
_NEEDS_OK = rb"(?:(?:ADDHEADER %(s)s|(?:MIRRORTO|ADDROUTE) (?:%(s)s|[^\s\"]++)) )*+OK" % {b"s": _STRING}
_EXACT = rb"\d{1,18} (?:%(ok)s|DISCARD|FAILURE|(?:ERROR|REJECTED|FAILURE) %(s)s|INTF \d++%(old)s)"
_NEW = re.compile(_EXACT % {b"ok": _NEEDS_OK, b"s": _STRING, b"old": b""})
_OLD = re.compile(_EXACT % {b"ok": _NEEDS_OK, b"s": _STRING, b"old": b"|ADDHEADER " + _STRING})
_ADDED = re.compile(rb'(?i:ADDHEADER)[ \t]*(?=")')
_ANY_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_VERB = re.compile(rb"[ \t]*\d+[ \t]+([A-Za-z]+)")
_KNOWN = frozenset((b"OK", b"ERROR", b"REJECTED", b"DISCARD", b"FAILURE", b"ADDHEADER", b"MIRRORTO", b"ADDROUTE", b"INTF"))
# Patterns of faults in a line whose strings were all made empty.
_FAULTS = (
    ("capitals", re.compile(rb"[ \t]*\d+[ \t]+(?![A-Z]+(?![A-Za-z]))[A-Za-z]|\"\"[ \t]+(?!OK)[Oo][Kk]$")),
    ("blanks", re.compile(rb"^[ \t]|\t|  |[ \t]$")),
    ("string-end", re.compile(rb'"(?<!"")(?!")')),
    ("quotes", re.compile(rb"(?i)^[ \t]*\d+[ \t]+(?:(?:ADDHEADER|ERROR|REJECTED)[ \t]*(?:$|[^\" \t])|FAILURE[ \t]+[^\" \t])")),
    ("one-answer", re.compile(rb'(?i)(?:OK|DISCARD|FAILURE|"")[ \t]*\d+[ \t]+(?:OK|ERROR|REJECTED|DISCARD|FAILURE|ADDHEADER|INTF)')),
    ("nothing-after", re.compile(rb'(?i)^[ \t]*\d+[ \t]+(?:(?:.*"" +)?(?:OK|DISCARD)|(?:ERROR|REJECTED|FAILURE)[ \t]+"")[ \t]*[^\s\d]')),
)
_ESCAPE = re.compile(rb'\\[^"\\enrt]')


def faults(line: bytes, version: int = VERSION) -> Iterator[str]:
    """Yield the rules that one line, without its line feed, breaks by its form alone."""
    if line.endswith(b"\r"):
        yield "line-feed"
        line = line.rstrip(b"\r")
    if not line.strip():
        yield "empty-line"
        return
    if len(line) > LONGEST:
        yield "length"
    if len(line) > LOOKED_AT:
        return
    if line.startswith(b"*"):
        return
    if not (_NEW if version >= 4 else _OLD).fullmatch(line):
        yield from _diagnose(line, version)
    if any(check_fields(value[0])[1] for at in _ADDED.finditer(line) if (value := take_quoted(line, at.end()))):
        yield "fields"


def _diagnose(line: bytes, version: int) -> Iterator[str]:
    """Yield the rules that a faulty line breaks, at least one."""
    verb = _VERB.match(line)
    if not re.match(rb"[ \t]*\d", line):
        yield "number"
    elif verb is None or verb[1].upper() not in _KNOWN:
        yield "verdict"
    else:
        shape = _ANY_STRING.sub(b'""', line)
        found = [name for name, pattern in _FAULTS if pattern.search(shape)]
        if any(_ESCAPE.search(string.replace(rb"\\", b"")) for string in _ANY_STRING.findall(line)):
            found.append("escape")
        if version >= 4 and verb[1].upper() == b"ADDHEADER" and not re.search(rb"(?i)\"\"[ \t]+OK\b", shape):
            found.append("ok-last")
        yield from found or ["verdict"]


class BrokenRule(msgspec.Struct):
    """How often a rule was broken, and the detail of the first time."""

    count: int
    first: str


class Referee:
    """Watch one dialogue. The caller reports each command sent and each line received."""

    def __init__(self) -> None:
        self.broken: dict[str, BrokenRule] = {}
        self.version = VERSION
        self._open: dict[int, str] = {}
        self._dropped: set[int] = set()
        self._last = 0
        self._quit = False

    def blame(self, rule: str, detail: str = "") -> None:
        """Note that a rule was broken."""
        assert rule in RULES, rule
        found = self.broken.setdefault(rule, BrokenRule(0, detail))
        found.count += 1

    def begin(self) -> None:
        """Begin with a new process, which need not answer the requests to the old one."""
        self._open.clear()
        self._quit = False

    def sent(self, number: int, verb: str) -> None:
        self._open[number] = verb
        self._last = max(self._last, number)

    def dropped(self, number: int) -> None:
        """Stop waiting for this answer. If it comes later, it is not blamed again: the caller has already blamed the delay."""
        if self._open.pop(number, None):
            self._dropped.add(number)

    def line(self, line: bytes) -> None:
        """Check one line, without its line feed."""
        for rule in faults(line, self.version):
            self.blame(rule, repr(line[:_SHOWN])[1:])
        for event in Reader().feed(line + b"\n"):
            if not isinstance(event, Note):
                self._answered(event)

    def _answered(self, event: HelperReply | Interface) -> None:
        verb = self._open.pop(event.number, None)
        if event.number in self._dropped:
            self._dropped.discard(event.number)
        elif verb is None:
            self.blame("once" if event.number <= self._last else "unasked", f"number {event.number}")
        elif isinstance(event, Interface):
            self.version = min(event.version, VERSION)
            if verb != "INTF":
                self.blame("verdict", f"{verb} was answered with INTF")
            elif not 1 <= event.version <= VERSION:
                self.blame("version", f"INTF {event.version}")
        elif verb == "INTF":
            self.blame("intf", f"INTF was answered with {event.answer.kind.upper()}")
        elif verb == "QUIT":
            self._quit = True
            if self._open:
                self.blame("quit-last", f"{len(self._open)} requests were open")
        if self._quit and verb not in ("QUIT", None):
            self.blame("quit-last", f"number {event.number} was answered after QUIT")
