"""The protocol between an ICAP server and its clients (RFC 3507: OPTIONS, RESPMOD). Pure: bytes in, a ScannerFinding out.

The message is the body of an HTTP answer. Its first bytes are sent alone, as a preview of the size that OPTIONS names. The
rest follows when the server sends 100. 204 means "unchanged". Else a changed answer comes, usually a page with the finding.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from filterlink.filters.runtime.finding import ScannerFinding

__all__ = ["BadIcapReply", "IcapReply", "Options", "Question", "finding", "options", "read_options"]

MAX_HEAD = 64 << 10
"""Bytes of a header, or of a line between two chunks."""
MAX_TTL = 300.0
"""Seconds for which options are valid at most, even if the server allows more: its configuration may change."""
MAX_PREVIEW = 1 << 20
MESSAGES_FAULT = (400, 413, 414, 415, 422)
"""All other codes, such as 404 and 500, are the server's fault: no message may pass because of them."""
_STATUS = re.compile(rb"ICAP/\d\.\d (\d{3})(?: ([^\r\n]*))?\r?\n")
_HTTP = re.compile(rb"HTTP/\d\.\d (\d{3})")
_BLANK = re.compile(rb"\r?\n\r?\n")
_LINE_END = re.compile(r"\r\n|[\r\n]")
_SECTION = re.compile(r"((?:req|res|opt|null)-(?:hdr|body)) {0,8}= {0,8}(\d{1,8})")
_THREAT = re.compile(r"Threat *= *([^;]+)", re.IGNORECASE)


class BadIcapReply(Exception):
    """The bytes are not a reply of an ICAP server."""


class Options(NamedTuple):
    """What a service wants. `preview` None: the whole message at once."""

    preview: int | None = None
    allow_204: bool = False
    ttl: float = MAX_TTL


# What goes there


def options(authority: str, service: str) -> bytes:
    return _head("OPTIONS", authority, service) + b"Encapsulated: null-body=0\r\n\r\n"


class Question(NamedTuple):
    """A RESPMOD for one message."""

    authority: str
    service: str
    size: int
    name: str
    peer: str = ""

    def head(self, wanted: Options) -> bytes:
        asked = b"GET http://mail/%b HTTP/1.1\r\nHost: mail\r\n\r\n" % self.name.encode("ascii", "replace")
        got = b"HTTP/1.1 200 OK\r\nContent-Type: message/rfc822\r\nContent-Length: %d\r\n\r\n" % self.size
        fields = [b"Encapsulated: req-hdr=0, res-hdr=%d, res-body=%d" % (len(asked), len(asked) + len(got)), b"Connection: close"]
        if wanted.allow_204:
            fields.append(b"Allow: 204")
        if wanted.preview is not None:
            fields.append(b"Preview: %d" % wanted.preview)
        if self.peer:
            fields.append(b"X-Client-IP: %b" % self.peer.encode())
        return _head("RESPMOD", self.authority, self.service) + b"\r\n".join(fields) + b"\r\n\r\n" + asked + got

    def preview(self, message: "Pieces", wanted: Options) -> Iterator[bytes]:
        """Yield what is sent before the server answers: the preview, or all."""
        if wanted.preview is None:
            yield from self.rest(message)
            return
        yield from _chunks([message.take(wanted.preview)])
        yield b"0; ieof\r\n\r\n" if self.size <= wanted.preview else b"0\r\n\r\n"

    def rest(self, message: "Pieces") -> Iterator[bytes]:
        yield from _chunks(message)
        yield b"0\r\n\r\n"


class Pieces:
    """A message in pieces, some of which may be taken in advance; it computes the digest of what was taken."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._kept = b""
        self._sum = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._kept or next(self._pieces, b""):
            self._kept = b""
            self._sum.update(piece)
            yield piece

    def take(self, size: int) -> bytes:
        while len(self._kept) < size and (piece := next(self._pieces, b"")):
            self._kept += piece
        taken = self._kept[:size]
        self._kept = self._kept[size:]
        self._sum.update(taken)
        return taken

    @property
    def digest(self) -> bytes:
        return self._sum.digest()


def _head(method: str, authority: str, service: str) -> bytes:
    return f"{method} icap://{authority}/{service} ICAP/1.0\r\nHost: {authority}\r\nUser-Agent: enqueuer\r\n".encode()


def _chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece)


# What comes back


class IcapReply:
    """Feed it what was read until it is `complete`; the other attributes are valid only then. `rest`: bytes after the reply."""

    def __init__(self) -> None:
        self.code = 0
        self.text = ""
        self.fields: dict[str, str] = {}
        """By name in lower case; the lines of a folded field are kept apart."""
        self.http_code = 0
        self.complete = self.decided = False
        self.rest = bytearray()
        self._sum = hashlib.sha256()
        self._headers = 0
        self._has_body = False
        self._left = 0
        self._step: Callable[[], bool] = self._read_head

    @property
    def digest(self) -> bytes:
        """Return the digest of the body."""
        return self._sum.digest()

    def feed(self, data: bytes) -> None:
        """Add bytes that were read. Raises BadIcapReply."""
        self.rest += data
        while not self.complete and self._step():
            pass
        if not self.complete and len(self.rest) > MAX_HEAD:
            raise BadIcapReply(f"a header of more than {MAX_HEAD} bytes")

    def _take(self, size: int) -> bytes:
        taken = bytes(self.rest[:size])
        del self.rest[:size]
        return taken

    def _read_head(self) -> bool:
        end = _BLANK.search(self.rest, 0, MAX_HEAD)
        if not end:
            return False
        head = self._take(end.end())
        status = _STATUS.match(head)
        if not status:
            raise BadIcapReply(f"not understood: {head[:60].decode('utf-8', 'replace')}")
        self.code = int(status[1])
        self.text = (status[2] or b"").decode("utf-8", "replace").strip()
        self.fields = _fields(head[status.end() :].decode("utf-8", "replace"))
        sections = _SECTION.findall(self.fields.get("encapsulated", "").lower())
        if sections and self.code not in (100, 204):
            self._headers = int(sections[-1][1])
            self._has_body = sections[-1][0] not in ("null-body", "opt-body")
        if self._headers > MAX_HEAD:
            raise BadIcapReply("a large header in the answer")
        self._step = self._read_http
        return not self._decide(_threat(self.fields) != "")

    def _read_http(self) -> bool:
        if len(self.rest) < self._headers:
            return False
        found = _HTTP.search(self._take(self._headers))
        self.http_code = int(found[1]) if found else 0
        self._step = self._read_size
        self.complete = not self._has_body
        return not self._decide(self.http_code // 100 == 4)

    def _decide(self, decided: bool) -> bool:
        """Note that the head names a threat or refuses. Then the body and its end do not matter."""
        self.decided = self.decided or decided
        self.complete = self.complete or decided
        return decided

    def _line(self) -> bytes | None:
        end = self.rest.find(b"\n", 0, MAX_HEAD)
        return None if end < 0 else self._take(end + 1).strip()

    def _read_size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        size = line.partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size):
            raise BadIcapReply(f"not the size of a chunk: {line[:20].decode('utf-8', 'replace')}")
        self._left = int(size, 16)
        self._step = self._read_chunk if self._left else self._read_trailer
        return True

    def _read_chunk(self) -> bool:
        piece = self._take(self._left)
        self._sum.update(piece)
        self._left -= len(piece)
        if self._left:
            return False
        self._step = self._read_chunk_end
        return True

    def _read_chunk_end(self) -> bool:
        self._step = self._read_size
        return self._line() is not None or self._await(self._read_chunk_end)

    def _await(self, step: Callable[[], bool]) -> bool:
        self._step = step
        return False

    def _read_trailer(self) -> bool:
        line = self._line()
        self.complete = line == b""
        return line is not None


def _fields(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in _LINE_END.split(text):  # not splitlines(): a name may have other characters that str treats as line ends
        if line[:1] in (" ", "\t") and name:
            found[name] += "\n" + line.strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            found[name] = value.strip()
    return found


def read_options(reply: IcapReply) -> Options:
    """Read the reply to OPTIONS. Raises BadIcapReply if the service cannot be asked."""
    if reply.code != 200:
        raise BadIcapReply(f"{reply.code} {reply.text}")
    if "RESPMOD" not in reply.fields.get("methods", "").upper():
        raise BadIcapReply("the service has no RESPMOD")
    preview = _number(reply.fields.get("preview", ""))
    ttl = _number(reply.fields.get("options-ttl", ""))
    allow = reply.fields.get("allow", "").replace(" ", "").split(",")
    return Options(None if preview is None else min(preview, MAX_PREVIEW), "204" in allow, min(MAX_TTL, ttl or MAX_TTL))


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def finding(reply: IcapReply, sent: bytes) -> ScannerFinding:
    """Read the reply to RESPMOD. `sent`: the digest of the message as sent. Raises BadIcapReply for a fault of the server."""
    if name := _threat(reply.fields):
        return ScannerFinding(name)
    if reply.code == 204:
        return ScannerFinding()
    if reply.code in (200, 201):
        return _changed(reply, sent)
    said = f"{reply.code} {reply.text}"
    if reply.code in MESSAGES_FAULT:
        return ScannerFinding(trouble=said)
    raise BadIcapReply(said)


def _changed(reply: IcapReply, sent: bytes) -> ScannerFinding:
    """Read a changed answer. If it equals what was sent, it means the same as 204."""
    if reply.http_code // 100 != 2:
        return ScannerFinding(f"blocked by the ICAP server ({reply.http_code})")
    return ScannerFinding() if reply.digest == sent else ScannerFinding("changed by the ICAP server")


def _threat(fields: dict[str, str]) -> str:
    """Return the name of the threat from the usual fields, whichever the server uses."""
    if found := _THREAT.search(fields.get("x-infection-found", "")):
        return found[1].strip()
    if name := fields.get("x-virus-id", "").strip():
        return name
    number, *lines = fields.get("x-violations-found", "0").split("\n")
    if number.strip() == "0":
        return fields.get("x-infection-found", "")
    return lines[1] if len(lines) > 1 else "violation"  # four lines each: file, name, number, action
